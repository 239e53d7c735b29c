"""A stateful step of one key as a runner sees it: state, a timer, and bundles that any instance of the step may get."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from apache_beam.utils.timestamp import Timestamp

from sparsewatch.schemas.instances import Instance
from sparsewatch.transforms.window.commit_in_order import CommitInOrder


def instance(generation: int) -> Instance:
    """An instance of a job."""
    return Instance(generation=generation, id="0" * 16, host="here", pid=generation, started_us=0)


@dataclass
class Bag:
    """State of a bag."""

    values: list[bytes] = field(default_factory=list)

    def add(self, value: bytes) -> None:
        self.values.append(value)

    def read(self) -> list[bytes]:
        return list(self.values)

    def clear(self) -> None:
        self.values = []


@dataclass
class Cell:
    """State of one value."""

    value: bytes | None = None

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value


@dataclass
class Timer:
    """A timer of event time; as between processes, it keeps milliseconds."""

    due_us: int | None = None

    def set(self, at: Timestamp) -> None:
        self.due_us = at.micros // 1000 * 1000


@dataclass
class KeyedStep:
    """Runs a step bundle by bundle."""

    held: Bag = field(default_factory=Bag)
    books: Cell = field(default_factory=Cell)
    due: Timer = field(default_factory=Timer)

    def deliver(self, instance: CommitInOrder, values: Sequence[bytes]) -> None:
        """One bundle of elements."""
        with self._bundle(instance) as state:
            for value in values:
                instance.process(("j", value), **state)

    def pass_watermark(self, instance: CommitInOrder, at_us: int) -> None:
        """Fire the timer as often as the watermark demands, each time in a bundle of its own."""
        while self.due.due_us is not None and self.due.due_us <= at_us:
            now, self.due.due_us = Timestamp(micros=self.due.due_us), None
            with self._bundle(instance) as state:
                instance.passed(now, **state)

    def saved(self) -> tuple[list[bytes], bytes | None, int | None]:
        """What a checkpoint holds."""
        return self.held.read(), self.books.read(), self.due.due_us

    def restore(self, saved: tuple[list[bytes], bytes | None, int | None]) -> None:
        """Go back to a checkpoint."""
        self.held.values, self.books.value, self.due.due_us = list(saved[0]), saved[1], saved[2]

    @contextmanager
    def _bundle(self, instance: CommitInOrder) -> Iterator[dict[str, Any]]:
        before = self.saved()
        try:
            instance.start_bundle()
            yield {"held": self.held, "books": self.books, "due": self.due}
            instance.finish_bundle()
        except BaseException:
            # A bundle that fails leaves no trace in the state.
            self.restore(before)
            raise

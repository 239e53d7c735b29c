"""What is fuzzed: a decoder with sound inputs, and what became of damaged ones."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.schemas.errors import SparsewatchError
from tests.fuzz.mutations import mutate

#: An input that takes longer is reported, seconds.
SLOW_S = 2.0
#: Failures whose inputs are held.
_HELD = 20
ACCEPTED = "accepted"


class Case(NamedTuple):
    """A damaged input."""

    data: bytes
    #: Position of the seed it was made of.
    seed: int
    #: Whether a single local change was made.
    local: bool
    #: A folder to write files in.
    folder: Path

    def file(self, name: str) -> Path:
        """The input as a file."""
        path = self.folder / name
        path.write_bytes(self.data)
        return path


#: Reads an input: returns `ACCEPTED` or the code of a reject; any error but a named error is a failure.
Read = Callable[[Case], str]


@dataclass(frozen=True)
class Decoder:
    """A decoder and sound inputs of it."""

    name: str
    make_seeds: Callable[[], Sequence[bytes]]
    read: Read
    #: Whether lines, words and numbers are changed, too.
    text: bool = False
    #: What it may raise.
    errors: tuple[type[Exception], ...] = (SparsewatchError,)

    @cached_property
    def seeds(self) -> Sequence[bytes]:
        """Sound inputs."""
        return self.make_seeds()

    def case(self, number: int, folder: Path) -> Case:
        """Input `number`, the same each time."""
        rng = random.Random(f"{self.name} {number}")
        at = rng.randrange(len(self.seeds))
        mutated = mutate(self.seeds, at, rng, text=self.text)
        return Case(mutated.data, at, mutated.local, folder)

    def sound(self, at: int, seed: bytes, folder: Path) -> None:
        """Read a sound input.

        Raises:
            AssertionError: If it is not accepted.
        """
        found = self.read(Case(seed, at, local=False, folder=folder))
        if found != ACCEPTED:
            raise AssertionError(f"{self.name}: seed {at} is refused: {found}")


@dataclass
class Tally:
    """What became of the inputs of a decoder."""

    decoder: str
    inputs: int = 0
    #: Inputs by what became of them: `ACCEPTED`, codes of rejects, names of errors.
    outcomes: Counter[str] = field(default_factory=Counter)
    #: Number of an input and what went wrong with it.
    failures: list[tuple[int, str]] = field(default_factory=list)
    failed: int = 0
    slow: int = 0
    #: Seconds of the slowest input.
    slowest_s: float = 0.0

    def fail(self, number: int, what: str) -> None:
        """Count a failure."""
        self.failed += 1
        if len(self.failures) < _HELD:
            self.failures.append((number, what))

    def add(self, other: "Tally") -> None:
        """Take in the inputs of another tally."""
        self.inputs += other.inputs
        self.outcomes += other.outcomes
        self.failures = (self.failures + other.failures)[:_HELD]
        self.failed += other.failed
        self.slow += other.slow
        self.slowest_s = max(self.slowest_s, other.slowest_s)

    def line(self) -> str:
        """In a line."""
        named = Counter({name: n for name, n in self.outcomes.items() if name != ACCEPTED})
        kinds = ", ".join(f"{n:,} {name}" for name, n in named.most_common())
        slow = f"; {self.slow} slow, the slowest {self.slowest_s:.1f} s" if self.slow else ""
        return (
            f"{self.decoder}: {self.inputs:,} inputs = {self.outcomes[ACCEPTED]:,} accepted + {named.total():,} refused"
            f" + {self.failed:,} FAILED ({kinds}){slow}"
        )


def read_inputs(decoder: Decoder, numbers: Iterable[int], folder: Path) -> Iterator[Tally]:
    """Read inputs; yields a tally of each, once it is read."""
    for number in numbers:
        case = decoder.case(number, folder)
        tally = Tally(decoder.name, inputs=1)
        start = time.perf_counter()
        try:
            tally.outcomes[decoder.read(case)] += 1
        except decoder.errors as error:
            tally.outcomes[_name(error)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            tally.fail(number, f"{type(error).__name__}: {str(error)[:300]}")
        tally.slowest_s = time.perf_counter() - start
        tally.slow = int(tally.slowest_s > SLOW_S)
        yield tally


def tally_of(decoder: Decoder, numbers: Iterable[int], folder: Path) -> Tally:
    """What became of some inputs."""
    whole = Tally(decoder.name)
    for tally in read_inputs(decoder, numbers, folder):
        whole.add(tally)
    return whole


def _name(error: Exception) -> str:
    return f"{type(error).__name__} {error.code}" if isinstance(error, WaferFileError) else type(error).__name__

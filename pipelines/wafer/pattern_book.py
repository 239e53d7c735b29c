"""What the topic `<prefix>.patterns` holds: the job's emerging patterns and the users' decisions on them.

The topic is the only state. A running job reads on in it whenever a window closes, so a decision holds from the next
window on; commands read it whole.
"""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from sparsewatch.pipelines.wafer.settings import PATTERN_RECORD_BYTES
from sparsewatch.schemas.errors import ConfigError, StateError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.patterns import DECISION, DECISION_KEY, PATTERN, PATTERN_KEY, Decision, Pattern, Status
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.kafka.compacted import Compacted, TopicRecreatedError

if TYPE_CHECKING:
    from sparsewatch.transforms.window.measure import Record

_logger = logging.getLogger(__name__)


@dataclass
class PatternBook:
    """Patterns and decisions by id, the newest of each."""

    patterns: dict[str, Pattern] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)

    def take(self, key: bytes, value: bytes | None) -> None:
        """A record of the topic; a record that cannot be read is reported and left out."""
        name = key.decode(errors="replace")
        try:
            if name.startswith(PATTERN_KEY):
                _put(self.patterns, name.removeprefix(PATTERN_KEY), value, PATTERN, Pattern)
            elif name.startswith(DECISION_KEY):
                _put(self.decisions, name.removeprefix(DECISION_KEY), value, DECISION, Decision)
        except StateError as error:
            _logger.warning("the record %r of the topic of patterns is left out: %s", name, error)

    def root(self, id_: str) -> str:
        """The pattern that this one was merged into, itself without a merge."""
        seen = {id_}
        while (decision := self.decisions.get(id_)) is not None and decision.status == "merged":
            id_ = decision.into or id_
            if id_ in seen:
                break
            seen.add(id_)
        return id_

    def decision(self, id_: str) -> Decision | None:
        """The decision on a pattern, or on the pattern that it was merged into."""
        return self.decisions.get(self.root(id_))

    def status(self, id_: str) -> Status:
        """Status of a pattern; of a merged pattern that of the pattern it was merged into."""
        decision = self.decision(id_)
        return "open" if decision is None or decision.status == "merged" else decision.status

    def parts(self, id_: str) -> list[Pattern]:
        """A pattern and those merged into it, oldest first."""
        found = [pattern for pattern in self.patterns.values() if self.root(pattern.id) == id_]
        return sorted(found, key=lambda pattern: (pattern.raised_us, pattern.id))

    def roots(self) -> list[str]:
        """Ids of patterns that were not merged into others, oldest first."""
        found = [pattern for pattern in self.patterns.values() if self.root(pattern.id) == pattern.id]
        return [pattern.id for pattern in sorted(found, key=lambda pattern: (pattern.raised_us, pattern.id))]

    def known(self, id_: str) -> str:
        """The id itself, or that of the only pattern whose id begins with it.

        Raises:
            ConfigError: No pattern has that id, or several begin with it.
        """
        found = [id_] if id_ in self.patterns else [known for known in self.patterns if id_ and known.startswith(id_)]
        if len(found) == 1:
            return found[0]
        there = ", ".join(self.roots()) or "none"
        raise ConfigError(f"expected the id of one pattern, got {id_!r}; the patterns are {there}")


def _put(records: dict[str, Any], id_: str, value: bytes | None, stored: Format, kind: type[Any]) -> None:
    if value is None:
        records.pop(id_, None)
    else:
        records[id_] = stored.parse(value, kind)


def pattern_record(topic: str, pattern: Pattern) -> "Record":
    """A pattern as a record of its topic."""
    return _record(topic, f"{PATTERN_KEY}{pattern.id}", pattern)


def decision_record(topic: str, decision: Decision) -> "Record":
    """A decision as a record of its topic."""
    return _record(topic, f"{DECISION_KEY}{decision.id}", decision)


def _record(topic: str, key: str, content: Pattern | Decision) -> "Record":
    # It comes with Beam: time and memory that those who only look at patterns do without.
    from sparsewatch.transforms.window.measure import Record

    return Record(topic, key.encode(), msgspec.json.encode(content))


class ReadBook(Protocol):
    """Patterns and decisions as of the time of the call."""

    def __call__(self) -> PatternBook:
        """All patterns and decisions now."""

    def close(self) -> None:
        """Close the connection; it may be called again."""


class PatternTopic:
    """Reads a topic of patterns as it grows; it can be pickled, and connects when first called.

    Args:
        kafka: The broker.
        topic: The topic.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._records = Compacted(kafka, topic, PATTERN_RECORD_BYTES)
        self._book = PatternBook()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._kafka, self._topic)

    def __call__(self) -> PatternBook:
        """All that the topic holds now.

        Raises:
            SourceError: If the broker does not answer.
        """
        try:
            self._read_on()
        except TopicRecreatedError:
            self.close()
            self._read_on()
        return self._book

    def close(self) -> None:
        """See `ReadBook`; a later call reads from the beginning."""
        self._records.close()
        self._book = PatternBook()

    def _read_on(self) -> None:
        for key, value in self._records.changes():
            self._book.take(key, value)


class BookInMemory:
    """See `ReadBook`: patterns that are written nowhere, without a decision of a user."""

    def __init__(self) -> None:
        self._book = PatternBook()

    def __call__(self) -> PatternBook:
        """See `ReadBook`."""
        return self._book

    def close(self) -> None:
        """See `ReadBook`; there is no connection."""


def read_patterns(kafka: KafkaSettings, topic: str) -> PatternBook:
    """All that a topic of patterns holds now.

    Raises:
        SourceError: If the broker does not answer.
    """
    reading = PatternTopic(kafka, topic)
    book = reading()
    found = PatternBook(dict(book.patterns), dict(book.decisions))
    reading.close()
    return found

"""What a window of wafers showed: counts by verdict and pattern, the most novel wafers; and the rules on them.

Both rules are one-sided binomial tests of the window's count against a stated rate, with a least number of wafers
and a least lift, so one stray wafer in a small window raises nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from scipy.stats import binom

from schemas.alerts import Finding
from schemas.errors import StateError
from schemas.wafers import WaferResult

#: Novel wafers kept as evidence, the most novel first.
_KEPT = 20


class NovelWafer(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A wafer called novel; orders by p-value, then identity."""

    p_value: float
    id: str
    wafer_id: str
    lot: str
    tool: str
    nearest_pattern: str
    novelty: float


class WaferCounts(msgspec.Struct, kw_only=True):
    """Mergeable counts of one window of wafers; order-free, about 100 bytes a pattern and kept wafer."""

    wafers: int = 0
    defects: int = 0
    #: Wafers by verdict.
    verdicts: dict[str, int] = {}
    #: Wafers that are not novel, by pattern.
    patterns: dict[str, int] = {}
    novel: list[NovelWafer] = []

    def add(self, results: Iterable[WaferResult]) -> None:
        """Take verdicts into the counts."""
        for result in results:
            self.wafers += 1
            self.defects += result.defects
            self.verdicts[result.verdict] = self.verdicts.get(result.verdict, 0) + 1
            if result.verdict == "novel":
                self.novel.append(_novel_wafer(result))
            else:
                self.patterns[result.pattern] = self.patterns.get(result.pattern, 0) + 1
        self.novel = sorted(self.novel)[:_KEPT]

    def merge(self, other: "WaferCounts") -> None:
        """Add the counts of other wafers."""
        self.wafers += other.wafers
        self.defects += other.defects
        for mine, theirs in ((self.verdicts, other.verdicts), (self.patterns, other.patterns)):
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number
        self.novel = sorted([*self.novel, *other.novel])[:_KEPT]

    def to_bytes(self) -> bytes:
        """MessagePack, keys in order: equal counts give equal bytes."""
        return msgspec.msgpack.encode(self, order="deterministic")

    @classmethod
    def from_bytes(cls, data: bytes) -> "WaferCounts":
        """The counts of `to_bytes`.

        Raises:
            StateError: If the bytes are none.
        """
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise StateError(f"expected counts of wafers, got {len(data)} other bytes: {error}") from error


def _novel_wafer(result: WaferResult) -> NovelWafer:
    return NovelWafer(
        result.p_value, result.id, result.wafer_id, result.lot, result.tool, result.pattern, result.novelty
    )


class WaferCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a window of wafers raises an alert."""

    #: Share of known wafers the model calls novel by its calibration; set from the model.
    false_novel_rate: float = 0.01
    #: Share of wafers of each pattern in normal production; patterns without one are not checked.
    expected_rates: dict[str, float] = {}
    #: Level of each test.
    alpha: float = 1e-6
    #: Least number of wafers that raises an alert.
    min_wafers: int = 4
    #: Least ratio of the share seen to the rate expected.
    min_lift: float = 2.0

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, rate in (("false_novel_rate", self.false_novel_rate), ("alpha", self.alpha)):
            if not 0 < rate < 1:
                raise ValueError(f"{name}: expected a share between 0 and 1, got {rate}")
        for pattern, rate in self.expected_rates.items():
            if not 0 <= rate <= 1:
                raise ValueError(f"expected_rates.{pattern}: expected a share from 0 to 1, got {rate}")


def check_wafers(counts: WaferCounts, settings: WaferCheck, normal: str) -> list[Finding]:
    """Rules `novel_pattern` and `pattern_rate_high`.

    Args:
        counts: A window's wafers.
        settings: Rates and levels.
        normal: Name of the pattern of normal wafers, never reported; empty if the model knows none.
    """
    findings = []
    novel = counts.verdicts.get("novel", 0)
    if (threshold := _alarming(novel, counts.wafers, settings.false_novel_rate, settings)) is not None:
        findings.append(_novel_finding(counts, novel, threshold, settings))
    for pattern, rate in sorted(settings.expected_rates.items()):
        number = counts.patterns.get(pattern, 0)
        threshold = _alarming(number, counts.wafers, rate, settings)
        if pattern != normal and threshold is not None:
            findings.append(_rate_finding(pattern, number, counts.wafers, rate, threshold))
    return findings


def _alarming(number: int, wafers: int, rate: float, settings: WaferCheck) -> float | None:
    """The share from which on the rule fires, None if it does not."""
    if number < settings.min_wafers or number < settings.min_lift * rate * wafers:
        return None
    if binom.sf(number - 1, wafers, rate) >= settings.alpha:
        return None
    least = max(settings.min_wafers, settings.min_lift * rate * wafers, binom.isf(settings.alpha, wafers, rate) + 1)
    return float(least / wafers)


def _novel_finding(counts: WaferCounts, novel: int, threshold: float, settings: WaferCheck) -> Finding:
    lots = sorted({wafer.lot for wafer in counts.novel})
    evidence: Mapping[str, Any] = {"wafers": [msgspec.structs.asdict(w) for w in counts.novel], "lots": lots}
    return Finding(
        rule="novel_pattern",
        subject="wafers",
        severity="critical",
        value=novel / counts.wafers,
        threshold=threshold,
        baseline=settings.false_novel_rate,
        message=(
            f"{novel} of {counts.wafers} wafers show a pattern the model does not know "
            f"({settings.false_novel_rate:.2%} expected by chance), in {len(lots)} lot(s)"
        ),
        evidence=dict(evidence),
    )


def _rate_finding(pattern: str, number: int, wafers: int, rate: float, threshold: float) -> Finding:
    return Finding(
        rule="pattern_rate_high",
        subject=pattern,
        severity="warning",
        value=number / wafers,
        threshold=threshold,
        baseline=rate,
        message=f"{number} of {wafers} wafers show {pattern!r}, {rate:.2%} is expected",
        evidence={"wafers": number, "of": wafers},
    )

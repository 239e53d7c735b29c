"""Counts of a window of wafers by verdict and pattern, with the most novel wafers; and the rules on them.

Wafers that look novel, called so or not, are stored with their embeddings for the search over several windows
(`open_set.emerging`).

Both rules are one-sided binomial tests of the window's count against a stated rate, with a least number of wafers
and a least lift, so a single stray wafer in a small window raises no alert.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from scipy.stats import binom

from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.patterns import NovelLooking
from sparsewatch.schemas.stored import Format
from sparsewatch.schemas.wafers import WaferResult

FORMAT = Format("counts of wafers")
#: Novel wafers stored as evidence, the most novel first.
_MOST_NOVEL = 20
#: Novel-looking wafers stored for the search over several windows, lowest p-value first; 1 to 10 kB each.
MOST_LOOKING_NOVEL = 300


class NovelWafer(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A wafer with the verdict novel; orders by p-value, then identity."""

    p_value: float
    id: str
    wafer_id: str
    lot: str
    tool: str
    nearest_pattern: str
    novelty: float


class WaferCounts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Mergeable counts of one window of wafers, in any order; about 100 bytes for each pattern and novel wafer."""

    wafers: int = 0
    defects: int = 0
    #: Wafers by verdict.
    verdicts: dict[str, int] = {}
    #: Wafers that are not novel, by pattern.
    patterns: dict[str, int] = {}
    #: Wafers by the model that judged them: several models if the model was exchanged within the window.
    models: dict[str, int] = {}
    #: Share of known wafers that each of these models calls novel by its calibration.
    false_novel_rates: dict[str, float] = {}
    novel: list[NovelWafer] = []
    looking_novel: list[NovelLooking] = []

    def add(self, results: Iterable[WaferResult], looking_novel: Iterable[NovelLooking] = ()) -> None:
        """Add verdicts to the counts, and the wafers among them that look novel."""
        self._keep(looking_novel)
        for result in results:
            self.wafers += 1
            self.defects += result.defects
            self.verdicts[result.verdict] = self.verdicts.get(result.verdict, 0) + 1
            self.models[result.model] = self.models.get(result.model, 0) + 1
            self._take_rate(result.model, result.false_novel_rate)
            if result.verdict == "novel":
                self.novel.append(_novel_wafer(result))
            else:
                self.patterns[result.pattern] = self.patterns.get(result.pattern, 0) + 1
        self.novel = sorted(self.novel)[:_MOST_NOVEL]

    def merge(self, other: "WaferCounts") -> None:
        """Add the counts of other wafers."""
        self.wafers += other.wafers
        self.defects += other.defects
        for mine, theirs in (
            (self.verdicts, other.verdicts),
            (self.patterns, other.patterns),
            (self.models, other.models),
        ):
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number
        for model, rate in other.false_novel_rates.items():
            self._take_rate(model, rate)
        self.novel = sorted([*self.novel, *other.novel])[:_MOST_NOVEL]
        self._keep(other.looking_novel)

    def summary(self) -> dict[str, Any]:
        """The counts as the window's record states them, without the novel-looking wafers. JSON types only."""
        record: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(self, looking_novel=[]))
        del record["looking_novel"]
        return record

    @property
    def false_novel_rate(self) -> float:
        """Share of these wafers called novel by chance if all were known: the models' rates, weighted by wafers."""
        expected = (number * self.false_novel_rates[model] for model, number in sorted(self.models.items()))
        return sum(expected) / max(self.wafers, 1)

    def _keep(self, looking_novel: Iterable[NovelLooking]) -> None:
        self.looking_novel = sorted([*self.looking_novel, *looking_novel])[:MOST_LOOKING_NOVEL]

    def _take_rate(self, model: str, rate: float) -> None:
        # The larger, so that the result does not depend on the order.
        self.false_novel_rates[model] = max(rate, self.false_novel_rates.get(model, 0.0))

    def to_bytes(self) -> bytes:
        """MessagePack, keys in order: equal counts give equal bytes."""
        return msgspec.msgpack.encode(self, order="deterministic")

    @classmethod
    def from_bytes(cls, data: bytes) -> "WaferCounts":
        """The counts of `to_bytes`.

        Raises:
            StateError: If the bytes are not such counts.
        """
        return FORMAT.unpack(data, cls)


def _novel_wafer(result: WaferResult) -> NovelWafer:
    return NovelWafer(
        result.p_value, result.id, result.wafer_id, result.lot, result.tool, result.pattern, result.novelty
    )


def check_wafers(counts: WaferCounts, settings: WaferCheck, normal: str) -> list[Finding]:
    """Rules `novel_pattern` and `pattern_rate_high`.

    Args:
        counts: A window's wafers.
        settings: Rates and levels.
        normal: Name of the pattern of normal wafers, never reported; empty if the model has no such pattern.
    """
    findings = []
    novel = counts.verdicts.get("novel", 0)
    by_chance = counts.false_novel_rate if settings.false_novel_rate is None else settings.false_novel_rate
    if (threshold := _alarming(novel, counts.wafers, by_chance, settings)) is not None:
        findings.append(_novel_finding(counts, novel, threshold, by_chance))
    for pattern, rate in sorted(settings.expected_rates.items()):
        number = counts.patterns.get(pattern, 0)
        threshold = _alarming(number, counts.wafers, rate, settings)
        if pattern != normal and threshold is not None:
            findings.append(_rate_finding(pattern, number, counts.wafers, rate, threshold))
    return findings


def _alarming(number: int, wafers: int, rate: float, settings: WaferCheck) -> float | None:
    """The share from which on the rule fires; None if it does not fire."""
    if number < settings.min_wafers or number < settings.min_lift * rate * wafers:
        return None
    if binom.sf(number - 1, wafers, rate) >= settings.alpha:
        return None
    least = max(settings.min_wafers, settings.min_lift * rate * wafers, binom.isf(settings.alpha, wafers, rate) + 1)
    return float(least / wafers)


def _novel_finding(counts: WaferCounts, novel: int, threshold: float, by_chance: float) -> Finding:
    lots = sorted({wafer.lot for wafer in counts.novel})
    evidence: Mapping[str, Any] = {"wafers": [msgspec.structs.asdict(w) for w in counts.novel], "lots": lots}
    return Finding(
        rule="novel_pattern",
        subject="wafers",
        severity="critical",
        value=novel / counts.wafers,
        threshold=threshold,
        baseline=by_chance,
        message=(
            f"{novel} of {counts.wafers} wafers show an unknown pattern "
            f"({by_chance:.2%} expected by chance), in {len(lots)} lot(s)"
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
        message=f"{number} of {wafers} wafers show {pattern!r} ({rate:.2%} expected)",
        evidence={"wafers": number, "of": wafers},
    )

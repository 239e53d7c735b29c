"""Counts of a window of wafers by verdict and pattern, with the most novel wafers; and the rules on them.

Wafers that look novel, called so or not, are stored with their embeddings for the search over several windows
(`open_set.emerging`).

The rules on rates are one-sided binomial tests of the window's count against a stated rate, with a least number of
wafers and a least lift, so a single stray wafer in a small window raises no alert. Where a pattern is, by tool and
step, is said in `sparsewatch.detectors.wafers.concentration`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from scipy.stats import binom

from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.detectors.wafers.concentration import (
    Concentration,
    concentration_findings,
    concentrations,
    place_shown,
    place_told,
)
from sparsewatch.detectors.wafers.lots import UNKNOWN, LotCounts, lots_of, merged
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.schemas.alerts import Finding, counted, number
from sparsewatch.schemas.mistyped import NONE_MISTYPED, MistypedCells
from sparsewatch.schemas.patterns import NovelLooking
from sparsewatch.schemas.stored import Format
from sparsewatch.schemas.wafers import ATTRIBUTES, MISFIT, WaferResult

FORMAT = Format("counts of wafers")
#: Rules on how many wafers are novel and show a pattern, and the subject of the former and of rules on all wafers.
NOVEL, HIGH, SUBJECT = "novel_pattern", "pattern_rate_high", "wafers"
#: A tool or step is named as the place of a pattern that is found where chance explains it less than this.
_EXPLAINS = 0.01
#: Novel wafers stored as evidence, the most novel first.
_MOST_NOVEL = 20
#: Defects outside of a wafer from which on they are more than strays.
_LEAST_OUTSIDE = 3
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


class OutsideWafer(msgspec.Struct, frozen=True, array_like=True):
    """A wafer some of whose defects lie outside of it."""

    #: Share of its defects that do.
    share: float
    outside: int
    id: str
    wafer_id: str
    lot: str
    tool: str


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
    #: Defects outside of their wafers, not among `defects`; wafers that have any; and those of the largest shares.
    outside: int = 0
    outside_wafers: int = 0
    most_outside: list[OutsideWafer] = []
    looking_novel: list[NovelLooking] = []
    #: Attributes that hold a value of another type.
    mistyped: MistypedCells = NONE_MISTYPED
    #: Wafers and patterns by lot, step and tool.
    lots: list[LotCounts] = []

    def add(
        self,
        results: Iterable[WaferResult],
        looking_novel: Iterable[NovelLooking] = (),
        mistyped: MistypedCells = NONE_MISTYPED,
    ) -> None:
        """Add verdicts to the counts, the wafers among them that look novel, and their mistyped attributes."""
        results = list(results)
        self._keep(looking_novel)
        self.mistyped += mistyped.only(ATTRIBUTES)
        self.lots = merged([*self.lots, *lots_of(results)])
        for result in results:
            self.wafers += 1
            self.defects += result.defects
            self.verdicts[result.verdict] = self.verdicts.get(result.verdict, 0) + 1
            self.models[result.model] = self.models.get(result.model, 0) + 1
            self._take_rate(result.model, result.false_novel_rate)
            if result.outside:
                self.outside += result.outside
                self.outside_wafers += 1
                self.most_outside.append(_outside_wafer(result))
            if result.verdict == "novel":
                self.novel.append(_novel_wafer(result))
            elif result.verdict != MISFIT:
                self.patterns[result.pattern] = self.patterns.get(result.pattern, 0) + 1
        self.novel = sorted(self.novel)[:_MOST_NOVEL]
        self.most_outside = _worst(self.most_outside)

    def merge(self, other: "WaferCounts") -> None:
        """Add the counts of other wafers."""
        self.wafers += other.wafers
        self.defects += other.defects
        self.outside += other.outside
        self.outside_wafers += other.outside_wafers
        self.most_outside = _worst([*self.most_outside, *other.most_outside])
        for mine, theirs in (
            (self.verdicts, other.verdicts),
            (self.patterns, other.patterns),
            (self.models, other.models),
        ):
            for name, more in theirs.items():
                mine[name] = mine.get(name, 0) + more
        for model, rate in other.false_novel_rates.items():
            self._take_rate(model, rate)
        self.novel = sorted([*self.novel, *other.novel])[:_MOST_NOVEL]
        self._keep(other.looking_novel)
        self.mistyped += other.mistyped
        self.lots = merged([*self.lots, *other.lots])

    def types(self) -> TypeCounts:
        """Values and mistyped cells of the attributes; an attribute that is missing passes for a value."""
        return TypeCounts.of(self.wafers, dict.fromkeys(ATTRIBUTES, self.wafers), self.mistyped)

    def summary(self) -> dict[str, Any]:
        """The counts as the window's record states them, without novel-looking wafers, types and lots. JSON types."""
        record: dict[str, Any] = msgspec.to_builtins(
            msgspec.structs.replace(self, looking_novel=[], mistyped=NONE_MISTYPED, lots=[])
        )
        del record["looking_novel"], record["mistyped"], record["lots"]
        return record

    @property
    def outside_share(self) -> float:
        """Share of all defects that lie outside of their wafers."""
        return self.outside / max(self.outside + self.defects, 1)

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


def _outside_wafer(result: WaferResult) -> OutsideWafer:
    share = result.outside / (result.outside + result.defects)
    return OutsideWafer(share, result.outside, result.id, result.wafer_id, result.lot, result.tool)


def _worst(wafers: Iterable[OutsideWafer]) -> list[OutsideWafer]:
    """Wafers of the largest shares, of those of more than a stray defect first, the same in any order."""
    ordered = sorted(wafers, key=lambda wafer: (wafer.outside < _LEAST_OUTSIDE, -wafer.share, wafer.id))
    return ordered[:_MOST_NOVEL]


class Where(NamedTuple):
    """Patterns that lots of one tool, or of one step, show and others do not."""

    by_tool: dict[str, Concentration]
    by_step: dict[str, Concentration]

    @classmethod
    def of(cls, counts: WaferCounts, normal: str) -> "Where":
        """Of the wafers of a window.

        Args:
            counts: The wafers.
            normal: See `check_wafers`.
        """
        return cls(*(concentrations(counts.lots, attribute, normal) for attribute in ("tool", "step")))

    @property
    def places(self) -> dict[str, Concentration]:
        """Where each pattern is, where chance does not explain it."""
        return {pattern: one for pattern, one in (self.by_step | self.by_tool).items() if one.p_value < _EXPLAINS}


def check_wafers(counts: WaferCounts, settings: WaferCheck, normal: str, where: Where | None = None) -> list[Finding]:
    """Rules on a window: `novel_pattern`, `pattern_rate_high`, `pattern_concentrated`, and on what cannot be judged.

    Args:
        counts: A window's wafers.
        settings: Rates and levels.
        normal: Name of the pattern of normal wafers, never reported; empty if the model has no such pattern.
        where: The patterns are, if that was found already.
    """
    findings = []
    where = Where.of(counts, normal) if where is None else where
    places = where.places
    novel = counts.verdicts.get("novel", 0)
    by_chance = counts.false_novel_rate if settings.false_novel_rate is None else settings.false_novel_rate
    if (threshold := _alarming(novel, counts.wafers, by_chance, settings)) is not None:
        findings.append(_novel_finding(counts, novel, threshold, by_chance, places.get(UNKNOWN)))
    for pattern, rate in sorted(settings.expected_rates.items()):
        number = counts.patterns.get(pattern, 0)
        threshold = _alarming(number, counts.wafers, rate, settings)
        if pattern != normal and threshold is not None:
            findings.append(_rate_finding(pattern, number, counts.wafers, rate, threshold, places.get(pattern)))
    told = {UNKNOWN if finding.rule == NOVEL else finding.subject for finding in findings}
    findings += concentration_findings(
        {of: one for of, one in where.by_tool.items() if of not in told}, settings.of_tools
    )
    return [*findings, *_outside_findings(counts, settings), *_misfit_findings(counts)]


def _outside_findings(counts: WaferCounts, settings: WaferCheck) -> Iterator[Finding]:
    told = [
        wafer for wafer in counts.most_outside if wafer.outside >= _LEAST_OUTSIDE and wafer.share >= settings.outside
    ]
    if not told:
        return
    all_outside = f"{number(counts.outside)} of {counted(counts.outside + counts.defects, 'defect')}"
    yield Finding(
        rule="defects_outside",
        subject=SUBJECT,
        severity="warning",
        value=told[0].share,
        threshold=settings.outside,
        baseline=0.0,
        message=(
            f"{all_outside} lie outside of their wafers, on {counts.outside_wafers} of "
            f"{counted(counts.wafers, 'wafer')};"
            f" wafer {told[0].wafer_id!r} of lot {told[0].lot!r} has {told[0].share:.0%} of its own there: are unit, "
            "centre and size right?"
        ),
        evidence={
            "outside": counts.outside,
            "share": counts.outside_share,
            "wafers": [msgspec.structs.asdict(wafer) for wafer in told],
        },
    )


def _misfit_findings(counts: WaferCounts) -> Iterator[Finding]:
    wafers = counts.verdicts.get(MISFIT, 0)
    if not wafers:
        return
    models = ", ".join(sorted(counts.models))
    yield Finding(
        rule="model_does_not_fit",
        subject=SUBJECT,
        severity="critical",
        value=wafers / counts.wafers,
        threshold=1 / counts.wafers,
        baseline=0.0,
        message=(
            f"{wafers} of {counted(counts.wafers, 'wafer')} cannot be judged: {models} knows lists of defects and they "
            "are die maps, or the reverse; run them in a job with a model of their own"
        ),
        evidence={"wafers": wafers, "of": counts.wafers, "models": sorted(counts.models)},
    )


def _alarming(number: int, wafers: int, rate: float, settings: WaferCheck) -> float | None:
    """The share from which on the rule fires; None if it does not fire."""
    if number < settings.min_wafers or number < settings.min_lift * rate * wafers:
        return None
    if binom.sf(number - 1, wafers, rate) >= settings.of_test:
        return None
    least = max(settings.min_wafers, settings.min_lift * rate * wafers, binom.isf(settings.of_test, wafers, rate) + 1)
    return float(least / wafers)


def least_wafers(wafers: int, rate: float, settings: WaferCheck) -> int | None:
    """Fewest wafers of a window from which on a rule on their number fires; None if not even all of them would.

    Args:
        wafers: Of the window, > 0.
        rate: Share that is expected.
        settings: Level and least numbers.
    """
    return next((n for n in range(1, wafers + 1) if _alarming(n, wafers, rate, settings) is not None), None)


def _novel_finding(
    counts: WaferCounts, novel: int, threshold: float, by_chance: float, place: Concentration | None
) -> Finding:
    lots = sorted({wafer.lot for wafer in counts.novel})
    evidence: Mapping[str, Any] = {"wafers": [msgspec.structs.asdict(w) for w in counts.novel], "lots": lots}
    return Finding(
        rule=NOVEL,
        subject=SUBJECT,
        severity="critical",
        value=novel / counts.wafers,
        threshold=threshold,
        baseline=by_chance,
        message=(
            f"{novel} of {counts.wafers} wafers show an unknown pattern "
            f"({by_chance:.2%} expected by chance), in {counted(len(lots), 'lot')}{place_told(place)}"
        ),
        evidence={"of": counts.wafers, "effect": novel / counts.wafers - by_chance, **evidence, **place_shown(place)},
        p_value=float(binom.sf(novel - 1, counts.wafers, by_chance)),
    )


def _rate_finding(
    pattern: str, number: int, wafers: int, rate: float, threshold: float, place: Concentration | None
) -> Finding:
    return Finding(
        rule=HIGH,
        subject=pattern,
        severity="warning",
        value=number / wafers,
        threshold=threshold,
        baseline=rate,
        message=f"{number} of {wafers} wafers show {pattern!r} ({rate:.2%} expected){place_told(place)}",
        evidence={"wafers": number, "of": wafers, "effect": number / wafers - rate, **place_shown(place)},
        p_value=float(binom.sf(number - 1, wafers, rate)),
    )

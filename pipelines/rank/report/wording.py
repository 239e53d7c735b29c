"""Findings of a ranking in words, the same on the screen and on the page."""

from collections.abc import Iterable, Sequence

from sparsewatch.detectors.outrank.leakage import Suspicion
from sparsewatch.detectors.outrank.many_tests import holm
from sparsewatch.detectors.outrank.pairs.twins import Twins
from sparsewatch.detectors.outrank.rank_drift import FeatureDrift, RankDrift
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.report.facts import Fact
from sparsewatch.pipelines.report.wording import LISTED, listed, score, share
from sparsewatch.schemas.alerts import counted, number

#: Probability that any feature without information is called significant.
ALPHA = 0.01
_LEAKS = {
    "too_good": "explains {value} of the label: no honest feature explains {threshold}",
    "same_second": "explains {value} of the labels of other rows of its second, suspicious from {threshold}",
    "future": "explains {value} of the labels of the next second, suspicious from {threshold}",
}


def values(one: ScoredFeature) -> str:
    """Distinct values; with a tilde where there are too many to count one by one."""
    estimated = isinstance(one, RankedFeature) and one.score_error > 0
    return ("~" if estimated else "") + number(one.cardinality)


def unit(heuristic: str) -> str:
    """Unit of a heuristic's scores; empty if there is none."""
    return "nats" if heuristic.startswith("MI") and not heuristic.endswith("3mr") else ""


def significant(ranking: Sequence[ScoredFeature]) -> set[str]:
    """Features with more information about the label than by chance, all of them right with probability 1 - `ALPHA`."""
    tested = [one for one in ranking if isinstance(one, RankedFeature)]
    rejected = holm([one.p_value for one in tested], ALPHA) & [one.score > 0 for one in tested] if tested else ()
    return {one.feature for one, found in zip(tested, rejected, strict=True) if found}


def facts(result: RankResult) -> list[Fact]:
    """Findings beside the ranking, most general first."""
    found = [Fact("rows", _rows(result)), Fact("label", _label(result))]
    if result.sampled_rows is not None and result.sampled_rows < result.rows:
        found.append(Fact("sample", f"scores that need whole rows use {number(result.sampled_rows)} of them"))
    ranked = [one for one in result.ranking if isinstance(one, RankedFeature)]
    if ranked:
        found.append(Fact("signal", _signal(result)))
    if many := [one for one in ranked if one.score_error > 0]:
        worst = score(max(one.score_error for one in many))
        found.append(Fact("bound", f"{counted(len(many), 'feature')} of many values (~): scores exact to {worst} nats"))
    found += _first(Fact("leak", leak(one), warning=True) for one in result.leaks)
    if result.untold is not None:
        found.append(Fact("leak", f"leakage between rows was not tested: {result.untold}"))
    found += _first(Fact("twins", twins(one)) for one in result.twins)
    return found + (drift(result.drift) if result.drift else [])


def leak(suspicion: Suspicion) -> str:
    """A suspicion as a sentence."""
    text = _LEAKS[suspicion.kind].format(value=share(suspicion.value), threshold=share(suspicion.threshold))
    return f"{printable(suspicion.feature)} {text}"


def twins(group: Twins) -> str:
    """A group of twins as a sentence."""
    return f"keep {printable(group.keep)}, drop {listed(group.drop)} (redundancy {group.redundancy:.2f})"


def drift(found: RankDrift) -> list[Fact]:
    """A comparison of rankings as lines: agreement, changed features, features of only one of the rankings."""
    changed = [one for one in found.features if one.significant]
    changes = f"{number(len(changed))} of {counted(len(found.features), 'feature')} changed more than by chance"
    lines = [Fact("drift", f"overlap of the rankings {found.overlap:.3f}; {changes}", warning=bool(changed))]
    lines += _first(Fact("drift", change(one), warning=True) for one in sorted(changed, key=lambda one: -abs(one.z)))
    for verb, names in (("appeared", found.appeared), ("vanished", found.vanished)):
        if names:
            lines.append(Fact("drift", f"{verb}: {listed(names)}", warning=True))
    return lines


def change(one: FeatureDrift) -> str:
    """A feature's change as a sentence."""
    return (
        f"{printable(one.feature)} from {share(one.normalised_before)} of the label (rank {one.rank_before}) "
        f"to {share(one.normalised_now)} (rank {one.rank_now}), {abs(one.z):.1f} standard deviations"
    )


def _rows(result: RankResult) -> str:
    rejected = {reason: n for reason, n in result.rejected.items() if n}
    reasons = ", ".join(f"{printable(reason)} {number(n)}" for reason, n in sorted(rejected.items()))
    text = f"{number(result.rows)} counted, {number(sum(rejected.values()))} rejected"
    return f"{text} ({reasons})" if reasons else text


def _label(result: RankResult) -> str:
    return (
        f"{printable(result.label)}: {counted(result.label_values, 'value')}, the rarest in "
        f"{counted(result.rarest_label_rows, 'row')}; {score(result.label_entropy)} nats"
    )


def _signal(result: RankResult) -> str:
    return (
        f"{number(len(significant(result.ranking)))} of {counted(len(result.ranking), 'feature')} explain more of the "
        f"label than by chance"
    )


def _first(lines: Iterable[Fact]) -> list[Fact]:
    """The first lines, and a line with the number of the others."""
    all_lines = list(lines)
    rest = len(all_lines) - LISTED
    if rest <= 0:
        return all_lines
    return [*all_lines[:LISTED], Fact(all_lines[0].about, f"... and {number(rest)} more", all_lines[0].warning)]

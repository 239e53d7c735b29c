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
from sparsewatch.pipelines.report.wording import LISTED, listed, number, score, share

#: Probability that any feature is said to exceed chance that does not.
ALPHA = 0.01
_LEAKS = {
    "too_good": "explains {value} of the label: no honest feature explains {threshold}",
    "same_second": "tells {value} of the labels of other rows of its second, suspicious from {threshold}",
    "future": "tells {value} of the labels of the next second, suspicious from {threshold}",
}


def values(one: ScoredFeature) -> str:
    """Distinct values; with a tilde where there are too many to count one by one."""
    estimated = isinstance(one, RankedFeature) and one.score_error > 0
    return ("~" if estimated else "") + number(one.cardinality)


def unit(heuristic: str) -> str:
    """Unit of a heuristic's scores; empty if there is none."""
    return "nats" if heuristic.startswith("MI") and not heuristic.endswith("3mr") else ""


def beyond_chance(ranking: Sequence[ScoredFeature]) -> set[str]:
    """Features that tell more of the label than chance, all of them right with probability 1 - `ALPHA`."""
    tested = [one for one in ranking if isinstance(one, RankedFeature)]
    significant = holm([one.p_value for one in tested], ALPHA) & [one.score > 0 for one in tested] if tested else ()
    return {one.feature for one, found in zip(tested, significant, strict=True) if found}


def facts(result: RankResult) -> list[Fact]:
    """What to know beside the ranking, most general first."""
    found = [Fact("rows", _rows(result)), Fact("label", _label(result))]
    if result.sampled_rows is not None and result.sampled_rows < result.rows:
        found.append(Fact("sample", f"scores that need whole rows rest on {number(result.sampled_rows)} of them"))
    ranked = [one for one in result.ranking if isinstance(one, RankedFeature)]
    if ranked:
        found.append(Fact("signal", _signal(result)))
    if many := [one for one in ranked if one.score_error > 0]:
        worst = score(max(one.score_error for one in many))
        found.append(Fact("bound", f"{number(len(many))} of many values (~): scores right within {worst} nats"))
    found += _first(Fact("leak", leak(one), warning=True) for one in result.leaks)
    if result.untold is not None:
        found.append(Fact("leak", f"seconds could not be compared: {result.untold}"))
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
    """A comparison of rankings as lines: agreement, changed features, those of one ranking only."""
    changed = [one for one in found.features if one.significant]
    said = f"{number(len(changed))} of {number(len(found.features))} features changed beyond chance"
    lines = [Fact("drift", f"overlap of the rankings {found.overlap:.3f}; {said}", warning=bool(changed))]
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
        f"{printable(result.label)}: {number(result.label_values)} values, the rarest in "
        f"{number(result.rarest_label_rows)} rows; {score(result.label_entropy)} nats"
    )


def _signal(result: RankResult) -> str:
    return (
        f"{number(len(beyond_chance(result.ranking)))} of {number(len(result.ranking))} features tell more of the "
        f"label than chance"
    )


def _first(lines: Iterable[Fact]) -> list[Fact]:
    """Some lines, and one that counts the rest."""
    all_lines = list(lines)
    rest = len(all_lines) - LISTED
    if rest <= 0:
        return all_lines
    return [*all_lines[:LISTED], Fact(all_lines[0].about, f"... and {number(rest)} more", all_lines[0].warning)]

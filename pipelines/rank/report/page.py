"""A ranking as one HTML page."""

from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.pipelines.rank.report import pictures, wording
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.report.facts import Fact, named_once
from sparsewatch.pipelines.report.pages import drawing, render

#: Bars in the picture.
_BARS = 25


def page(result: RankResult) -> str:
    """The page's HTML.

    Costs about a second for matplotlib, and 10 s a picture of 500 features.
    """
    tested = {one.feature for one in result.ranking if isinstance(one, RankedFeature)}
    pairs = pictures.best_pairs(result)
    return render(
        "ranking.html",
        result=result,
        facts=named_once(wording.facts(result)),
        unit=wording.unit(result.heuristic),
        most=max((one.score for one in result.ranking), default=0.0),
        tested=tested,
        silent=tested - wording.significant(result.ranking),
        values=wording.values,
        bars=drawing(pictures.bar_plot(result, _BARS), "bars") if result.ranking else "",
        twins=[wording.twins(one) for one in result.twins],
        pairs=[]
        if pairs is None
        else [drawing(pictures.heat_map(pairs), "map"), drawing(pictures.tree_plot(pairs), "tree")],
        leaks=[wording.leak(one) for one in result.leaks],
        drift=_drift(result),
        costs={one.feature: one.score_a_byte for one in result.costs},
        settings=_settings(result),
    )


def _drift(result: RankResult) -> list[str]:
    """Lines above the table of changes."""
    lines = [] if result.drift is None else wording.drift(result.drift)
    return [fact.text for fact in lines if "standard deviations" not in fact.text]


def _settings(result: RankResult) -> list[Fact]:
    settings = [Fact(name, str(value)) for name, value in result.arguments.items()]
    return settings + [Fact(f"seconds, {part}", f"{seconds:.2f}") for part, seconds in result.seconds.items()]

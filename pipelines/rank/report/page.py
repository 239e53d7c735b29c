"""A ranking as one HTML page that needs nothing else: no network, no script to be read, light and dark.

All text from data is escaped. The script, if it runs, sorts tables.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from string import Template
from typing import Any

from sparsewatch.detectors.outrank.column_report import ColumnReport, ValueCount
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.rank.report import pictures, wording
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.report.page_frame import PAGE

#: Bars in the picture.
_BARS = 25
#: Heading, the cell's HTML, and what it is sorted by.
_Column = tuple[str, Callable[[Any], str], Callable[[Any], float | str]]


def page(result: RankResult) -> str:
    """The page's HTML.

    Costs about a second for matplotlib, and 10 s a picture of 500 features.
    """
    parts = [
        _facts(result),
        _section("Ranking", _ranking(result)),
        _section("Best features", _picture(pictures.bar_plot(result, _BARS), "bars")) if result.ranking else "",
        _redundancy(result),
        _section("Suspected leaks", _items(wording.leak(one) for one in result.leaks)),
        _section("Change", _drift(result)),
        _section("Columns", _columns(result)),
        _section("Settings", _settings(result)),
    ]
    return Template(PAGE).substitute(
        title=_text(f"{result.label}: {result.heuristic}"),
        heading=_text(f"What tells of {result.label}"),
        source=_text(
            f"{result.source}: {wording.number(len(result.ranking))} features by {result.heuristic}, "
            f"{wording.number(result.rows)} rows"
        ),
        body="\n".join(part for part in parts if part),
    )


def _text(text: str) -> str:
    return escape(printable(text))


def _section(title: str, body: str) -> str:
    """A section, or nothing if it would be empty."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _facts(result: RankResult) -> str:
    before, rows = "", []
    for fact in wording.facts(result):
        about = "" if fact.about == before else fact.about
        kind = ' class="warning"' if fact.warning else ""
        rows.append(f"<dt>{escape(about)}</dt><dd{kind}>{escape(fact.text)}</dd>")
        before = fact.about
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _ranking(result: RankResult) -> str:
    most = max((one.score for one in result.ranking), default=0.0)
    found = wording.beyond_chance(result.ranking)
    unit = wording.unit(result.heuristic)
    columns: list[_Column] = [
        ("#", lambda one: str(one.rank), lambda one: one.rank),
        ("feature", lambda one: _text(one.feature), lambda one: one.feature),
        (f"score, {unit}" if unit else "score", lambda one: _bar(one, most), lambda one: one.score),
    ]
    if any(isinstance(one, RankedFeature) for one in result.ranking):
        columns += [
            ("of label", lambda one: _of(one, "normalised", wording.share), lambda one: _key(one, "normalised")),
            ("standard error", lambda one: _of(one, "standard_error", _small), lambda one: _key(one, "standard_error")),
            ("p", lambda one: _of(one, "p_value", wording.probability), lambda one: _key(one, "p_value")),
        ]
    columns += [
        ("values", wording.values, lambda one: one.cardinality),
        ("coverage", lambda one: wording.share(one.coverage), lambda one: one.coverage),
    ]

    def silent(one: ScoredFeature) -> bool:
        return isinstance(one, RankedFeature) and one.feature not in found

    note = "<p>Grey: may well be chance.</p>" if any(map(silent, result.ranking)) else ""
    return _table(columns, result.ranking, silent) + note


def _bar(one: ScoredFeature, most: float) -> str:
    width = 100 * max(one.score, 0.0) / most if most > 0 else 0.0
    return f'{wording.score(one.score)}<i class="bar"><b style="width:{width:.1f}%"></b></i>'


def _small(x: float) -> str:
    return f"{x:.2g}"


def _of(one: ScoredFeature, field: str, shown: Callable[[float], str]) -> str:
    return shown(getattr(one, field)) if isinstance(one, RankedFeature) else ""


def _key(one: ScoredFeature, field: str) -> float | str:
    return float(getattr(one, field)) if isinstance(one, RankedFeature) else ""


def _redundancy(result: RankResult) -> str:
    pairs = pictures.best_pairs(result)
    drawn = (
        "" if pairs is None else _picture(pictures.heat_map(pairs), "map") + _picture(pictures.tree_plot(pairs), "tree")
    )
    return _section("Redundancy", _items(wording.twins(one) for one in result.twins) + drawn)


def _picture(figure: Any, name: str) -> str:
    svg = pictures.svg(figure, name).replace(pictures.INK, "currentColor")
    return f'<div class="wide"><figure>{svg}</figure></div>'


def _items(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _drift(result: RankResult) -> str:
    if result.drift is None:
        return ""
    columns: list[_Column] = [
        ("feature", lambda one: _text(one.feature), lambda one: one.feature),
        ("rank before", lambda one: str(one.rank_before), lambda one: one.rank_before),
        ("rank now", lambda one: str(one.rank_now), lambda one: one.rank_now),
        ("of label before", lambda one: wording.share(one.normalised_before), lambda one: one.normalised_before),
        ("of label now", lambda one: wording.share(one.normalised_now), lambda one: one.normalised_now),
        ("sd", lambda one: f"{one.z:+.1f}", lambda one: one.z),
        ("p", lambda one: wording.probability(one.p_value), lambda one: one.p_value),
    ]
    lines = (fact.text for fact in wording.drift(result.drift) if "standard deviations" not in fact.text)
    return _items(lines) + _table(columns, result.drift.features, lambda one: not one.significant)


def _columns(result: RankResult) -> str:
    reports, costs = result.columns, {one.feature: one.score_a_byte for one in result.costs}
    if not reports:
        return ""
    columns: list[_Column] = [
        ("column", lambda one: _text(one.feature), lambda one: one.feature),
        ("type", lambda one: escape(one.kind), lambda one: one.kind),
        ("nulls", lambda one: wording.share(one.null_share), lambda one: one.null_share),
        ("values", _cardinality, lambda one: one.cardinality),
        ("rare", lambda one: wording.number(one.rare.values), lambda one: one.rare.values),
        ("bytes a value", lambda one: wording.quantity(one.bytes_a_value), lambda one: one.bytes_a_value),
        ("in all", lambda one: wording.size(one.bytes_in_all), lambda one: one.bytes_in_all),
    ]
    columns += [(name, _number_cell(name), _number_key(name)) for name in ("minimum", "median", "mean", "maximum")]
    if costs:
        columns.append(("score a byte", lambda one: _small(costs[one.feature]), lambda one: costs[one.feature]))
    if any(one.top for one in reports):
        columns.append(("most frequent", lambda one: _values(one.top), lambda _: ""))
    if any(one.rare.examples for one in reports):
        columns.append(("rare, such as", lambda one: _values(one.rare.examples), lambda _: ""))
    estimated = any(one.estimated for one in reports)
    note = "<p>~ More values than are counted one by one: estimated.</p>" if estimated else ""
    return _table(columns, reports) + note


def _cardinality(one: ColumnReport) -> str:
    return ("~" if one.estimated else "") + wording.number(one.cardinality)


def _number_cell(name: str) -> Callable[[ColumnReport], str]:
    return lambda one: wording.quantity(getattr(one.numbers, name)) if one.numbers else ""


def _number_key(name: str) -> Callable[[ColumnReport], float | str]:
    return lambda one: getattr(one.numbers, name) if one.numbers else ""


def _values(values: Sequence[ValueCount]) -> str:
    return ", ".join(f"{_text(str(one.value))} <small>{wording.number(one.rows)}</small>" for one in values)


def _settings(result: RankResult) -> str:
    settings = {name: str(value) for name, value in result.arguments.items()}
    settings |= {f"seconds, {part}": f"{seconds:.2f}" for part, seconds in result.seconds.items()}
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in settings.items())
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def _table(columns: list[_Column], rows: Sequence[Any], quiet: Callable[[Any], bool] = lambda _: False) -> str:
    """A table in which numbers stand right, by the type of what they are sorted by."""
    body, numeric = [], [any(not isinstance(key(row), str) for row in rows) for _, _, key in columns]
    head = "".join(
        f'<th scope="col" tabindex="0"{_KIND[right]}>{escape(column[0])}</th>'
        for column, right in zip(columns, numeric, strict=True)
    )
    for row in rows:
        cells = "".join(_cell(cell(row), key(row)) for _, cell, key in columns)
        kind = ' class="quiet"' if quiet(row) else ""
        body.append(f"<tr{kind}>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


_KIND = {True: ' class="n"', False: ""}


def _cell(html: str, key: float | str) -> str:
    if isinstance(key, str):
        return f"<td>{html}</td>"
    return f'<td class="n" data-key="{key!r}">{html}</td>'

import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from sparsewatch.detectors.outrank.column_report import NumberSummary
from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.pipelines.rank.report.files import FORMATS, ranking_table, to_json, write_report
from sparsewatch.pipelines.rank.report.page import page
from sparsewatch.schemas.errors import ConfigError, SinkError
from tests.kit.rank_results import column_report, rank_result, ranked_feature, scored_result

#: Elements that HTML never closes.
_VOID = {"meta", "br"}


class _Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_json_holds_all_fields_and_the_matrix_only_if_asked_for() -> None:
    result = rank_result()
    found = msgspec.json.decode(to_json(result))
    assert set(found) == set(result.__struct_fields__)
    assert found["ranking"][0]["feature"] == "site"
    assert found["columns"][0]["repetitions"]["10"] == 20
    assert found["pairs"] == {"names": ["site", "ad", "hour", "noise"], "measure": "redundancy", "matrix": None}
    with_matrix = msgspec.json.decode(to_json(result, matrix=True))
    assert with_matrix["pairs"]["matrix"][0] == [1.0, 0.95, 0.2, 0.0]


def test_json_says_null_where_a_number_is_not_finite() -> None:
    numbers = NumberSummary(minimum=-math.inf, maximum=1.0, mean=math.nan, median=0.0)
    found = msgspec.json.decode(to_json(rank_result(columns=[column_report("x", numbers=numbers)])))
    assert found["columns"][0]["numbers"] == {"minimum": None, "maximum": 1.0, "mean": None, "median": 0.0}


def test_the_ranking_as_a_table_has_a_column_for_each_field() -> None:
    result = rank_result()
    table = ranking_table(result.ranking)
    assert table.columns == list(RankedFeature.__struct_fields__)
    assert [RankedFeature(**row) for row in table.iter_rows(named=True)] == result.ranking


def test_fields_that_a_heuristic_does_not_give_are_null_in_the_table() -> None:
    table = ranking_table(scored_result().ranking)
    assert table["score"].to_list() == [0.75, 0.25]
    assert table["p_value"].to_list() == [None, None]
    assert table.schema == ranking_table([]).schema


@pytest.mark.parametrize("kind", FORMATS)
def test_a_report_is_written_into_a_new_folder(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"report.{kind}"
    write_report(rank_result(), path, kind)
    if kind == "parquet":
        assert pl.read_parquet(path)["feature"].to_list() == ["site", "ad", "ad AND site", "hour", "noise"]
    else:
        assert b"ad AND site" in path.read_bytes()


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format: expected one of json, parquet, html, got 'xml'"):
        write_report(rank_result(), tmp_path / "x", "xml")


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="expected to write a report there"):
        write_report(rank_result(), tmp_path, "json")


def test_a_page_is_well_formed_and_shows_each_part() -> None:
    seen = _Page(page(rank_result()))
    assert seen.open == []
    text = "\n".join(seen.texts)
    for expected in (
        "Information about click",
        "2,000 counted, 4 rejected (no label 1, ragged 3)",
        "keep site, drop ad (redundancy 0.95)",
        "site explains 95.0 % of the label: no honest feature explains 90.0 %",
        "vanished: gone",
        "11.25",
    ):
        assert expected in text
    headings = ["Ranking", "Best features", "Redundancy", "Suspected leaks", "Change", "Columns", "Settings"]
    assert [part for part in seen.texts if part in headings] == headings
    assert seen.tags.count("svg") == 3


def test_a_page_asks_nothing_of_the_network() -> None:
    seen = _Page(page(rank_result()))
    assert not {"link", "iframe", "object", "img"} & {*seen.tags}
    for name, value in seen.attributes:
        if name in ("src", "href", "xlink:href", "action"):
            assert value is not None
            assert value.startswith(("#", "data:image/png;base64,"))


def test_ids_of_a_page_are_the_only_ones_of_their_name() -> None:
    ids = [value for name, value in _Page(page(rank_result())).attributes if name == "id"]
    assert len(ids) == len({*ids})


def test_a_page_escapes_all_text_from_data() -> None:
    evil = "</title><script>alert('x')</script>--><b>&amp;$title\x1b"
    result: Any = rank_result(
        source=evil,
        label=evil,
        ranking=[ranked_feature(1, evil, 0.1)],
        columns=[column_report(evil)],
        pairs=None,
        arguments={evil: evil},
        seconds={evil: 1.0},
    )
    html = page(result)
    seen = _Page(html)
    assert seen.open == []
    assert seen.tags.count("script") == 1
    assert html.count("<script") == 1
    assert "\x1b" not in html


def test_a_page_of_nothing_but_scores_leaves_out_what_is_not_known() -> None:
    seen = _Page(page(scored_result()))
    assert not {"Redundancy", "Suspected leaks", "Change", "Columns"} & {*seen.texts}
    assert "p" not in seen.texts


def test_a_ranking_of_nothing_makes_a_page() -> None:
    assert _Page(page(scored_result(ranking=[]))).open == []

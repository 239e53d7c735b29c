import math
import statistics
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.column_report import REPETITIONS, ColumnReport, ValueCount, report_columns
from sparsewatch.schemas.errors import ConfigError


def _counts(max_values: int = 1_000_000, **columns: Any) -> FeatureCounts:
    arrays = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    rows = len(next(iter(arrays.values())))
    counts = FeatureCounts(list(arrays), "label", max_values=max_values)
    counts.update(pa.RecordBatch.from_pydict({**arrays, "label": pa.array(np.arange(rows) % 2)}))
    return counts


def _report(values: Any, **wanted: Any) -> ColumnReport:
    return report_columns(_counts(column=values), **wanted)[0]


@settings(max_examples=60)
@given(st.lists(st.none() | st.text(max_size=3), min_size=1, max_size=40), st.integers(1, 3))
def test_texts_agree_with_counting_them_row_by_row(texts: list[str | None], bound: int) -> None:
    report = _report(pa.array(texts, pa.string()), rare_bound=bound, examples=2, top=2)
    held = Counter(text for text in texts if text is not None)
    assert report.nulls == texts.count(None)
    assert report.null_share == report.nulls / len(texts)
    assert report.cardinality == len(held)
    assert report.repetitions == {least: sum(n > least for n in held.values()) for least in REPETITIONS}
    assert report.bytes_in_all == sum(len(text.encode()) * n for text, n in held.items())
    rare = sorted((n, text) for text, n in held.items() if n <= bound)
    assert report.rare.values == len(rare)
    assert [(example.rows, example.value) for example in report.rare.examples] == rare[:2]
    frequent = sorted(held.items(), key=lambda item: (-item[1], item[0]))
    assert [(example.value, example.rows) for example in report.top] == frequent[:2]
    assert not report.estimated


@settings(max_examples=60)
@given(st.lists(st.none() | st.integers(-20, 20), min_size=1, max_size=40))
def test_numbers_agree_with_the_statistics_module(numbers: list[int | None]) -> None:
    report = _report(pa.array(numbers, pa.int64()))
    held = [number for number in numbers if number is not None]
    if not held:
        assert report.numbers is None
        return
    assert report.numbers is not None
    assert (report.numbers.minimum, report.numbers.maximum) == (min(held), max(held))
    assert report.numbers.median == statistics.median(held)
    assert report.numbers.mean == pytest.approx(statistics.mean(held), abs=1e-12)
    assert (report.bytes_a_value, report.bytes_in_all) == (8.0, 8 * len(held))


def test_text_that_reads_as_numbers_is_summarised_as_numbers() -> None:
    report = _report(["10", "9.5", None, "-1e3"])
    assert report.kind == "str"
    assert report.numbers is not None
    assert (report.numbers.minimum, report.numbers.maximum, report.numbers.median) == (-1000.0, 10.0, 9.5)


@pytest.mark.parametrize("odd", ["x", "", "nan", "inf"])
def test_one_text_that_is_no_finite_number_makes_it_text(odd: str) -> None:
    assert _report([*map(str, range(200)), odd]).numbers is None


def test_infinite_numbers_are_bounds_like_others() -> None:
    report = _report([1.0, math.inf, -math.inf])
    assert report.numbers is not None
    assert (report.numbers.minimum, report.numbers.maximum) == (-math.inf, math.inf)
    assert math.isnan(report.numbers.mean)


def test_a_column_of_nulls_has_nothing_to_report() -> None:
    report = _report(pa.array([None, None]), examples=3, top=3)
    assert (report.kind, report.nulls, report.null_share, report.cardinality) == ("null", 2, 1.0, 0)
    assert (report.bytes_a_value, report.bytes_in_all, report.numbers) == (0.0, 0, None)
    assert report.repetitions == dict.fromkeys(REPETITIONS, 0)
    assert (report.rare.values, report.rare.share, report.rare.examples, report.top) == (0, 0.0, [], [])


def test_a_value_of_two_batches_is_not_rare_for_being_rare_in_the_second() -> None:
    counts = _counts(column=["a", "a", "a", "b"])
    counts.merge(_counts(column=["a", "c"]))
    report = report_columns(counts, examples=9)[0]
    assert report.rare.examples == [ValueCount("b", 1), ValueCount("c", 1)]
    assert report.rare.share == pytest.approx(2 / 3)


def test_above_the_cap_numbers_of_values_are_scaled_from_those_stored() -> None:
    rows = np.concatenate([np.arange(20_000), np.arange(5_000)])
    report = report_columns(_counts(max_values=2_000, column=rows.astype(str)))[0]
    assert report.estimated
    assert report.repetitions[0] == pytest.approx(20_000, rel=0.1)
    assert report.repetitions[1] == pytest.approx(5_000, rel=0.15)
    assert report.rare.values == pytest.approx(15_000, rel=0.1)
    assert report.rare.share == pytest.approx(0.75, abs=0.05)
    exact = sum(len(str(row)) for row in rows) / rows.size
    assert report.bytes_a_value == pytest.approx(exact, rel=0.02)
    assert report.numbers is not None
    assert report.numbers.median == pytest.approx(np.median(rows), rel=0.15)


def test_costly_parts_are_left_out_unless_asked_for() -> None:
    report = _report([1, 1, 2], numbers=False)
    assert (report.numbers, report.top, report.rare.examples) == (None, [], [])


def test_columns_come_in_the_order_asked_for() -> None:
    counts = _counts(a=[1], b=["x"])
    assert [report.feature for report in report_columns(counts)] == ["a", "b"]
    assert [report.feature for report in report_columns(counts, ["b", "a"])] == ["b", "a"]


@pytest.mark.parametrize(("setting", "value"), [("rare_bound", 0), ("examples", -1), ("top", -1)])
def test_numbers_out_of_range_are_named(setting: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{setting}: expected a whole number of at least .*, got {value}"):
        _report([1], **{setting: value})

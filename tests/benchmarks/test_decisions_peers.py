from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from benchmarks.decisions_peers import Case, _by_window, _with_wrong, _written, clean_results, fault_results, our_alarms
from benchmarks.decisions_seeded import RECIPES, seeded
from benchmarks.decisions_streams import LABEL, span_of, timed
from benchmarks.faults.stretch import Stretch
from benchmarks.harness import Result


def cases(names: Sequence[str]) -> list[Case]:
    stream = seeded(RECIPES[0], "rows", features=2, a_window=5, count=1, seed=0)
    return [Case(name, replace(stream, name=name), [], []) for name in names]


def one(results: Sequence[Result], name: str) -> Result:
    return next(result for result in results if result.name == name)


def test_false_alarms_are_counted_over_all_windows_and_named_by_stream() -> None:
    said = {"ours": [[False, False], [False] * 3], "other": [[True, False], [False] * 3]}
    results = list(clean_results("rows", "in_order", cases(["calm", "rough"]), said))
    assert one(results, "false_alarms_rows_in_order_ours").value == 0
    other = one(results, "false_alarms_rows_in_order_other")
    assert other.value == pytest.approx(0.2)
    assert "calm 1 of 2." in (other.note or "")


def test_an_alarm_before_a_fault_finds_nothing() -> None:
    said = {"tool": [[False, False, True, True], [True, False, True, True], [False] * 4]}
    (result,) = fault_results("rows", cases(["nulls 1", "nulls 0.2", "lost 1"]), said)
    assert result.value == pytest.approx(1 / 3)
    assert "1 with an alarm before the fault, 2 with one while it lasts; not found: nulls 0.2, lost 1" in (
        result.note or ""
    )


def test_a_value_of_another_type_is_missing_to_a_tool_that_takes_frames() -> None:
    rows = pl.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    assert _with_wrong(Stretch(rows, {"a": pl.Series([None, "n/a"])}))["a"].to_list() == [1.0, None]


def test_rows_come_back_window_by_window() -> None:
    windows = [timed(pl.DataFrame({"a": [number] * 3}), number) for number in (4, 5)]
    parts = [part for _, part in sorted(_by_window(pl.concat(windows)).items())]
    assert [part["a"].to_list() for part in parts] == [[4] * 3, [5] * 3]
    assert all(part["time_us"].min() == span_of(number)[0] for part, number in zip(parts, (4, 5), strict=True))


def test_peers_get_all_columns_of_the_job_without_times(tmp_path: Path) -> None:
    stream = seeded(RECIPES[0], "ctr", features=2, a_window=5, count=3, seed=0)
    first, *others = stream.windows()
    folder = Path(_written(Case("steady", stream, [first], others), tmp_path / "case"))
    assert sorted(path.name for path in folder.iterdir()) == [
        "learned_000.parquet",
        "window_000.parquet",
        "window_001.parquet",
    ]
    assert pl.read_parquet(folder / "window_001.parquet").equals(others[1].select(list(stream.columns)))


def test_both_click_jobs_alert_where_a_column_is_lost_and_take_rows_without_a_label(tmp_path: Path) -> None:
    stream = seeded(RECIPES[0], "ctr", features=2, a_window=500, count=18, seed=0)
    *learned, usual, last = stream.windows()
    unlabelled = usual.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(LABEL).alias(LABEL))
    lost = last.with_columns(pl.lit(None, pl.Int64).alias("f000"))
    said = our_alarms(Case("lost", stream, learned, [unlabelled, lost]), tmp_path)
    assert said == {"sparsewatch_reference": [False, True], "sparsewatch_learning": [False, True]}

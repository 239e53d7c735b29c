"""Streams, tallies and figures of the benchmark of decisions."""

from collections.abc import Sequence
from math import exp
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from benchmarks.decisions_clean import Tally, clean, episodes, rate_bounds, tally
from benchmarks.decisions_faults import WINDOWS, Base, Before, FaultBench, Outcome, divided
from benchmarks.decisions_job import Decided
from benchmarks.decisions_learn import learning_job, some_rows
from benchmarks.decisions_plan import CleanRun, CleanTask, FaultTask, Found, clean_stream, tasks
from benchmarks.decisions_results import results
from benchmarks.decisions_seeded import RECIPES, Recipe, seeded
from benchmarks.decisions_streams import (
    LABEL,
    SEEDS,
    TABLES,
    Kind,
    RealTable,
    cut,
    dealt,
    declared,
    read_table,
    shuffled,
    span_of,
    timed,
)
from benchmarks.decisions_wafers import FILES, STREAMS, WITH_PATTERNS
from benchmarks.faults.library import FAULTS
from benchmarks.faults.stretch import TIME, Stretch, Target
from sparsewatch.schemas.alerts import Alert, Finding, raise_alert

KINDS: tuple[Kind, ...] = ("ctr", "rows")


def alert() -> Alert:
    found = Finding(
        rule="feature_nulls", subject="f001", severity="warning", value=1, threshold=1, baseline=1, message=""
    )
    return raise_alert(found, "bench", 0, 1, "bench-1")


def made(rows: int) -> tuple[RealTable, pl.DataFrame]:
    table = RealTable(name="made", kind="ctr", part="choose", file="none.parquet", read=lambda rows: rows, days=2)
    return table, pl.DataFrame({"x": np.arange(rows), LABEL: np.arange(rows) % 2})


@given(st.lists(st.booleans(), max_size=30))
def test_an_episode_ends_with_two_silent_windows(alerting: list[bool]) -> None:
    decided = [Decided(alerts=[alert()] if one else []) for one in alerting]
    ended = "".join("1" if one else "0" for one in alerting).replace("101", "111").replace("101", "111")
    assert tally(decided).episodes == len([run for run in ended.split("00") if "1" in run])
    assert tally(decided).alerting == sum(alerting)
    assert episodes([at for at, one in enumerate(alerting) if one]) == tally(decided).episodes


@pytest.mark.parametrize("events", [0, 1, 4, 30])
def test_at_the_bounds_of_a_rate_as_many_events_have_a_chance_of_a_fortieth(events: int) -> None:
    def at_most(rate: float, n: int) -> float:
        term, total = exp(-rate), 0.0
        for i in range(n + 1):
            total += term
            term *= rate / (i + 1)
        return total

    low, high = rate_bounds(events, 2.0)
    assert at_most(2 * high, events) == pytest.approx(0.025)
    if events:
        assert 1 - at_most(2 * low, events - 1) == pytest.approx(0.025)
    else:
        assert low == 0


def test_no_table_and_no_seed_is_in_both_parts() -> None:
    assert len({table.name for table in TABLES}) == len(TABLES)
    assert not set(SEEDS["choose"]) & set(SEEDS["report"])
    names = {
        part: {task.stream for task in tasks(part) if isinstance(task, CleanTask | FaultTask)}
        - {recipe.name for recipe in RECIPES}
        # Drawn by the seeds of a part, and of another file in each.
        - {*STREAMS, WITH_PATTERNS}
        for part in SEEDS
    }
    assert len(set(FILES.values())) == len(SEEDS)
    assert not names["choose"] & names["report"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_seeded_stream_repeats_and_another_seed_gives_another(kind: Kind, recipe: Recipe) -> None:
    one, again, other = (seeded(recipe, kind, features=5, a_window=60, count=3, seed=seed) for seed in (1, 1, 2))
    windows = list(one.windows())
    assert len(windows) == one.count == 3
    assert list(one.columns) == [name for name in windows[0].columns if name != TIME]
    for rows, same, different in zip(windows, again.windows(), other.windows(), strict=True):
        assert declared(rows) == dict(one.columns)
        assert_frame_equal(rows, same)
        assert not rows.equals(different)


def test_a_real_table_is_cut_in_its_order_and_rows_of_half_a_window_are_left_out() -> None:
    table, rows = made(25)
    stream = cut(table, rows, 10)
    assert stream.count == 2
    assert stream.windows_a_day == 25 / 10 / 2
    assert_frame_equal(pl.concat(stream.windows()).drop(TIME), rows[:20])


@given(st.integers(0, 5))
def test_dealt_rows_come_once_and_shuffled_ones_are_those_of_the_stream(seed: int) -> None:
    table, rows = made(900)
    stream = dealt(cut(table, rows, 100), rows, 100, 8, seed)
    windows = list(stream.windows())
    assert len(windows) == 8
    assert 8 < pl.concat(windows)["x"].n_unique() == pl.concat(windows).height
    mixed = list(shuffled(stream, seed).windows())
    assert [one.height for one in mixed] == [one.height for one in windows]
    assert pl.concat(mixed)["x"].sort().equals(pl.concat(windows)["x"].sort())
    assert not pl.concat(mixed)["x"].equals(pl.concat(windows)["x"])


def test_event_times_lie_in_their_window_in_order() -> None:
    start, end = span_of(3)
    times = timed(pl.DataFrame({"x": range(7)}), 3)[TIME]
    assert times.is_sorted()
    assert start <= times.min() <= times.max() < end  # type: ignore[operator]


def test_of_large_windows_as_many_rows_are_learned_as_of_small_ones() -> None:
    rows = pl.DataFrame({"x": range(9_000)})
    assert some_rows(rows, 1).height == 9_000
    part = some_rows(rows, 10)
    assert part.height == 2_000
    assert part["x"].is_sorted()


def test_late_rows_and_rows_without_a_label_are_accounted_where_they_arrive() -> None:
    stream = seeded(RECIPES[0], "ctr", features=2, a_window=10, count=3, seed=1)
    rows = pl.concat(stream.windows())
    arrived = rows[TIME]
    numbers = [at for at, one in enumerate(stream.windows()) for _ in range(one.height)]
    second, third = numbers.index(1), numbers.index(2)
    times, clicks = arrived.to_list(), rows[LABEL].to_list()
    times[third], clicks[second] = times[0], None
    changed = rows.with_columns(pl.Series(TIME, times), pl.Series(LABEL, clicks))
    windows = divided(learning_job(stream), stream.columns, Stretch(changed, arrived=arrived), 0, 3, LABEL)
    heights = [one.height for one in stream.windows()]
    assert [one.rows for one in windows] == [heights[0], heights[1] - 1, heights[2] - 1]
    assert [one.late for one in windows] == [0, 0, 1]
    assert [one.rejected for one in windows] == [0, 1, 0]


@pytest.mark.long
def test_a_planted_fault_is_found_by_name_and_a_clean_twin_raises_nothing(tmp_path: Path) -> None:
    target = Target(column="f001", other="f002", number="f000", group=("f001",), label=LABEL)
    stream = seeded(RECIPES[0], "ctr", features=3, a_window=400, count=WINDOWS, seed=5)
    bench = FaultBench(Base(stream, target, seed=5), tmp_path)
    assert {one.job for one in bench.before} == {"reference", "learning"}
    assert sum(one.alerts for one in bench.before) == 0
    nulls = next(fault for fault in FAULTS if fault.name == "nulls")
    reference = next(one for one in bench.plant(nulls, 1.0) if one.job == "reference")
    assert (reference.delay, reference.named, reference.alerting, reference.incidents) == (0, True, 6, 1)
    assert all(one.delay is None and not one.alerts for one in bench.plant(nulls, 0.0))


@pytest.mark.torch
@pytest.mark.long
@pytest.mark.parametrize(("kind", "jobs"), [("ctr", {"reference", "learning"}), ("rows", {"row model"})])
def test_a_clean_stretch_is_judged_behind_what_is_learned(kind: Kind, jobs: set[str], tmp_path: Path) -> None:
    task = CleanTask(stream="day_cycle", kind=kind, part="choose", a_window=60, features=2, judged=5)
    stream, learned = clean_stream(task)
    tallies = clean(stream, learned, tmp_path)
    assert set(tallies) == jobs
    assert {one.windows for one in tallies.values()} == {5}


def outcome(fault: str, delay: int | None, *, named: bool = False, strength: float = 1.0) -> Outcome:
    found = delay is not None
    return Outcome(
        fault=fault,
        strength=strength,
        stream="steady",
        job="reference",
        seed=1,
        delay=delay,
        alerts=3 * found,
        alerting=3 * found,
        incidents=2 * found,
        named=named,
        named_by_any=named,
    )


def figures(found: Found) -> dict[str, tuple[float, bool | None]]:
    return {one.name: (one.value, one.met) for one in results(found)}


def test_figures_are_shares_of_runs_and_rates_of_windows() -> None:
    task = CleanTask(stream="steady", kind="ctr", part="choose", a_window=500, features=5)
    one = Tally(windows=48, compared=48, alerts=9, alerting=6, episodes=3, incidents=4, days=2)
    outcomes: Sequence[Outcome] = [
        outcome("nulls", 0, named=True),
        outcome("nulls", 2),
        outcome("nulls", None, strength=0.05),
        outcome("merged", None),
    ]
    before = Before(stream="steady", job="reference", seed=1, windows=500, alerts=1)
    run = CleanRun(task=task, job="reference", tally=one)
    found = figures(Found(clean=(run,), before=(before,), outcomes=tuple(outcomes)))
    assert found["clean_reference_seeded_5_features_in_order"] == (2.0, False)
    assert found["false_before_fault_reference"] == (2.0, None)
    assert found["ctr_reference_found_share"] == (0.5, None)
    assert found["ctr_reference_incidents_per_fault"] == (2.0, False)
    assert found["ctr_reference_root_suspect_share"] == (0.5, False)
    assert found["weak_ctr_never_found"] == (2.0, False)
    assert found["ctr_merged"] == (0.0, None)


def test_slices_are_counted_of_faults_that_are_found_in_one() -> None:
    places = [("nulls_of_source", "site = 1", True), ("nulls_of_source", "site = 2", False), ("bot_new", "", False)]
    found = [msgspec.structs.replace(outcome(name, 0), place=place, is_placed=placed) for name, place, placed in places]
    whole = Found(outcomes=(*found, outcome("nulls", 0), outcome("source_dropped", None)))
    (share,) = [one for one in results(whole) if one.name == "ctr_reference_slice_share"]
    assert share.value == pytest.approx(1 / 3)
    assert share.met is False
    assert "nulls_of_source 0.50 of 2, bot_new 0.00 of 1; 1 name none, 1 another" in (share.note or "")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_real_tables_have_the_types_of_a_job(table: RealTable, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEWATCH_DATA", str(data_dir))
    rows = read_table(table)
    assert (LABEL in rows.columns) == (table.kind == "ctr")
    assert set(declared(rows).values()) <= {"int", "float", "str", "bool"}
    if table.kind == "ctr":
        assert set(rows[LABEL].unique()) == {0, 1}

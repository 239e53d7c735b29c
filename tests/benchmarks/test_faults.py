"""Each fault does what its docstring says to the rows concerned, leaves the rest as it was, and is seeded."""

from collections.abc import Callable
from math import ceil

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal, assert_series_equal

from benchmarks.faults import cells, labels, rows
from benchmarks.faults.library import FAULTS, STREAM, Fault, plantable
from benchmarks.faults.stretch import TIME, Stretch, Target, of_source, progress, source

TARGET = Target(
    column="site", other="app", third="os", number="price", group=("site", "os"), label="click", window_us=1_000_000
)
CELLS = [fault for fault in FAULTS if fault.plant.__module__ != rows.__name__]
ROWS = [fault for fault in FAULTS if fault.plant.__module__ == rows.__name__]
EACH = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
EACH_OF_CELLS = pytest.mark.parametrize("fault", CELLS, ids=lambda fault: fault.name)
EACH_OF_ROWS = pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.name)


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    """Rows of three windows, with the values that a stream of clicks holds, some of them missing."""
    n, seed = draw(st.integers(40, 300)), draw(st.integers(0, 2**20))
    rng = np.random.default_rng(seed)
    site = pl.Series([f"s{i}" for i in np.minimum(rng.geometric(0.4, n), 9)])
    return pl.DataFrame(
        {
            "site": site.set(pl.Series(rng.random(n) < 0.05), None),
            "app": [f"a{i}" for i in rng.integers(0, 6, n)],
            "os": rng.integers(0, 4, n),
            "price": rng.lognormal(size=n),
            "click": (rng.random(n) < 0.3).astype(np.int8),
            TIME: np.sort(rng.integers(0, 3_000_000, n)),
            "place": np.arange(n),
        }
    )


def planted(fault: Fault, table: pl.DataFrame, strength: float, seed: int = 0) -> Stretch:
    return fault.plant(table, TARGET, strength, np.random.default_rng(seed))


def changed(table: pl.DataFrame, after: pl.DataFrame, column: str) -> int:
    return int((~table[column].eq_missing(after[column])).sum())


@EACH
@given(table=tables(), strength=st.integers(0, 2), seed=st.integers(0, 9))
def test_a_fault_is_seeded_keeps_types_and_leaves_its_input_as_it_was(
    fault: Fault, table: pl.DataFrame, strength: int, seed: int
) -> None:
    before = table.clone()
    one = planted(fault, table, fault.strengths[strength], seed)
    again = planted(fault, table, fault.strengths[strength], seed)
    assert_frame_equal(one.rows, again.rows)
    assert_frame_equal(table, before)
    assert {name: one.rows.schema[name] for name in table.columns} == dict(table.schema)


@EACH_OF_CELLS
@given(table=tables(), strength=st.integers(0, 2))
def test_a_fault_of_cells_or_labels_leaves_all_other_columns_and_the_order_as_they_were(
    fault: Fault, table: pl.DataFrame, strength: int
) -> None:
    after = planted(fault, table, fault.strengths[strength])
    kept = [name for name in table.columns if name not in fault.columns(TARGET)]
    assert {TIME, "place"} < set(kept)
    assert_frame_equal(after.rows.select(kept), table.select(kept))


@EACH_OF_ROWS
@given(table=tables(), strength=st.integers(0, 2))
def test_a_row_that_stays_is_as_it_was_and_in_its_order(fault: Fault, table: pl.DataFrame, strength: int) -> None:
    after = planted(fault, table, fault.strengths[strength]).rows
    kept = [name for name in table.columns if not (fault.plant is rows.clock_skew and name == TIME)]
    own = after.filter(pl.col("place").is_first_distinct()) if fault.plant is rows.doubled else after
    if fault.plant in (rows.bot_known, rows.bot_new):
        # Rows of the bot follow the row that they came behind.
        assert after.height == table.height + ceil(fault.strengths[strength] * table.height)
        own = after.join(table, on=table.columns, how="semi", nulls_equal=True).unique(maintain_order=True)
        assert_frame_equal(own.sort("place", maintain_order=True), table)
        assert after[TIME].is_sorted()
        return
    places = own["place"].to_numpy()
    assert (np.diff(places) > 0).all()
    assert_frame_equal(own.select(kept), table[places].select(kept))


SHARES: dict[Callable[..., Stretch], str] = {
    cells.nulls: "site",
    cells.constant: "site",
    cells.unit: "price",
    cells.out_of_range: "price",
    cells.new_salt: "site",
    cells.shuffled: "site",
    cells.swapped: "site",
    cells.leak: "site",
    labels.label_lost: "click",
}


@pytest.mark.parametrize("plant", SHARES, ids=lambda plant: plant.__name__)
@given(table=tables(), share=st.floats(0, 1))
def test_no_more_than_the_share_of_the_rows_is_touched(
    plant: Callable[..., Stretch], table: pl.DataFrame, share: float
) -> None:
    after = plant(table, TARGET, share, np.random.default_rng(1)).rows
    assert changed(table, after, SHARES[plant]) <= ceil(share * table.height)


@given(table=tables(), share=st.floats(0, 1))
def test_exactly_the_share_of_the_rows_lacks_a_value_a_label_or_its_unit(table: pl.DataFrame, share: float) -> None:
    number, rng = ceil(share * table.height), np.random.default_rng(2)
    assert changed(table, cells.unit(table, TARGET, share, rng).rows, "price") == number
    assert labels.label_lost(table, TARGET, share, rng).rows["click"].null_count() == number
    gone = cells.nulls_of_client(table, TARGET, share, rng).rows
    assert gone.filter(pl.col("site").is_null() & pl.col("os").is_null()).height == number
    assert gone["os"].null_count() == number


@given(table=tables())
def test_at_full_strength_each_fault_of_cells_has_its_own_form(table: pl.DataFrame) -> None:
    rng = np.random.default_rng(3)
    site, known = table["site"], set(table["site"].drop_nulls())
    assert cells.constant(table, TARGET, 1, rng).rows["site"].n_unique() == 1
    assert_series_equal(cells.unit(table, TARGET, 1, rng).rows["price"], table["price"] * 1_000)
    assert cells.out_of_range(table, TARGET, 1, rng).rows["price"].min() > table["price"].max()  # type: ignore[operator]
    salted = cells.new_salt(table, TARGET, 1, rng).rows["site"]
    assert not known & set(salted.drop_nulls())
    assert_series_equal(salted.rank("dense").is_null(), site.is_null(), check_names=False)
    assert sorted(salted.drop_nulls().value_counts()["count"]) == sorted(site.drop_nulls().value_counts()["count"])
    renamed = cells.renamed(table, TARGET, 1, rng).rows["site"]
    assert set(renamed.drop_nulls()) == known
    assert not (renamed == site).any()
    shuffled = cells.shuffled(table, TARGET, 1, rng).rows["site"]
    assert_series_equal(shuffled.sort(), site.sort())
    swapped = cells.swapped(table, TARGET, 1, rng).rows
    assert_series_equal(swapped["site"], table["app"], check_names=False)
    assert_series_equal(swapped["app"], site, check_names=False)
    merged = cells.merged(table, TARGET, 1, rng).rows["site"]
    assert len(set(merged.drop_nulls())) == len(known) - 1
    leaked = cells.leak(table, TARGET, 1, rng).rows
    assert leaked.select("site", "click").n_unique() == leaked["site"].n_unique() == table["click"].n_unique()


@given(table=tables(), share=st.floats(0.01, 1))
def test_values_of_another_type_are_given_apart_from_the_rows(table: pl.DataFrame, share: float) -> None:
    text = cells.other_type(table, TARGET, share, np.random.default_rng(4))
    assert_frame_equal(text.rows, table)
    assert text.wrong["site"].dtype == pl.Int64
    assert text.wrong["site"].len() - text.wrong["site"].null_count() == ceil(share * table.height)
    at = Target(column="os", other="app", number="price", group=("os",))
    assert cells.other_type(table, at, share, np.random.default_rng(4)).wrong["os"].dtype == pl.String


@given(table=tables())
def test_a_drift_begins_with_nothing_and_grows(table: pl.DataFrame) -> None:
    after = cells.drift(table, TARGET, 1.0, np.random.default_rng(5)).rows
    different = ~table["site"].eq_missing(after["site"]).to_numpy()
    done = progress(table)
    assert not different[done == 0].any()
    second = after["site"].to_numpy()[done == 1]
    assert len(set(second)) == 1


@given(table=tables(), windows=st.sampled_from([0.0, 0.5, 1.0, 9.0]))
def test_a_delayed_label_is_that_of_an_older_row(table: pl.DataFrame, windows: float) -> None:
    after = labels.label_delayed(table, TARGET, windows, np.random.default_rng(6)).rows
    times, own = table[TIME].to_list(), table["click"].to_list()
    for time, found in zip(times, after["click"].to_list(), strict=True):
        older = [click for at, click in zip(times, own, strict=True) if at <= time - windows * 1_000_000]
        assert found == (older[-1] if older else 0)


@given(table=tables(), share=st.floats(0, 1))
def test_clicks_are_lost_and_nothing_else(table: pl.DataFrame, share: float) -> None:
    after = labels.rate_down(table, TARGET, share, np.random.default_rng(7)).rows["click"]
    clicks = int(table["click"].sum())
    assert int(after.sum()) == clicks - ceil(share * clicks)
    assert (after <= table["click"]).all()


@given(table=tables(), share=st.floats(0, 1))
def test_rows_are_lost_or_doubled_by_the_share(table: pl.DataFrame, share: float) -> None:
    number, rng = ceil(share * table.height), np.random.default_rng(8)
    assert rows.lost(table, TARGET, share, rng).rows.height == table.height - number
    doubled = rows.doubled(table, TARGET, share, rng).rows
    assert doubled.height == table.height + number
    assert doubled.unique().height == table.height


@given(table=tables(), share=st.floats(0, 1))
def test_of_a_source_that_is_dropped_all_rows_are_gone_and_no_other(table: pl.DataFrame, share: float) -> None:
    after = rows.source_dropped(table, TARGET, share, np.random.default_rng(9)).rows
    counts = {value: table.filter(pl.col("site") == value).height for value in table["site"].drop_nulls().unique()}
    (gone,) = set(counts) - set(after["site"])
    assert_frame_equal(after, table.filter(pl.col("site").is_null() | (pl.col("site") != gone)))
    off = {value: abs(number / table.height - share) for value, number in counts.items()}
    assert off[gone] == min(off.values())


@given(table=tables(), share=st.floats(0, 1))
def test_of_a_source_the_values_or_the_clicks_are_gone_in_all_its_rows(table: pl.DataFrame, share: float) -> None:
    rng = np.random.default_rng(12)
    nulls = cells.nulls_of_source(table, TARGET, share, rng).rows
    hit = table.filter(nulls["site"].is_null() & table["site"].is_not_null())
    assert hit["app"].n_unique() <= 1
    assert nulls.filter(pl.col("app").is_in(hit["app"].to_list()))["site"].is_null().all()
    clicks = labels.clicks_of_source(table, TARGET, share, rng).rows
    lost = table.filter(clicks["click"] != table["click"])
    assert lost["site"].n_unique() <= 1
    assert clicks.filter(pl.col("site").is_in(lost["site"].to_list()))["click"].sum() == 0


@pytest.mark.parametrize("plant", [rows.bot_known, rows.bot_new])
@given(table=tables(), share=st.floats(0.01, 0.5))
def test_rows_of_a_bot_are_alike_and_without_a_click(
    plant: Callable[..., Stretch], table: pl.DataFrame, share: float
) -> None:
    after = plant(table, TARGET, share, np.random.default_rng(10)).rows
    own = after.join(table, on=table.columns, how="anti", nulls_equal=True)
    assert own.drop(TIME).n_unique() <= 1
    assert own["click"].sum() == 0
    is_known = set(after["site"].drop_nulls()) == set(table["site"].drop_nulls())
    assert is_known == (plant is rows.bot_known)


@given(table=tables(), share=st.floats(0, 1))
def test_slow_clocks_are_two_windows_behind_and_arrive_in_time(table: pl.DataFrame, share: float) -> None:
    after = rows.clock_skew(table, TARGET, share, np.random.default_rng(11))
    behind = table[TIME] - after.rows[TIME]
    assert set(behind) <= {0, 2_000_000}
    assert int((behind > 0).sum()) == ceil(share * table.height)
    assert after.arrived is not None
    assert_series_equal(after.arrived, table[TIME])


def test_the_library_has_more_than_twenty_kinds_of_three_rising_strengths() -> None:
    assert len(FAULTS) == len({fault.name for fault in FAULTS}) > 20
    for fault in FAULTS:
        assert list(fault.strengths) == sorted(set(fault.strengths))
        assert fault.subjects(TARGET) <= {STREAM, cells.NEW_COLUMN, "site", "app", "price", "os"}


def test_what_needs_a_label_a_number_or_values_is_not_planted_without() -> None:
    bare = Target(column="price", other="price", group=("price",))
    names = {fault.name for fault in plantable(bare, {"price": "float"})}
    assert names == {f.name for f in FAULTS} - {
        *("unit_x1000", "out_of_range"),
        *("leak", "label_lost", "label_delayed", "rate_down", "clicks_lost", "clicks_of_source"),
        *("merged", "renamed", "source_dropped", "nulls_of_source", "nulls_of_slice", "salt_of_source"),
    }


@pytest.mark.parametrize("plant", [cells.nulls_of_source, cells.nulls_of_slice, cells.salt_of_source])
@given(table=tables(), share=st.floats(0.01, 0.5))
def test_a_fault_of_a_source_concerns_its_rows_and_no_others(
    plant: Callable[..., Stretch], table: pl.DataFrame, share: float
) -> None:
    after = plant(table, TARGET, share, np.random.default_rng(0))
    assert after.slice is not None
    own = of_source(table, after.slice)
    differs = (~table["site"].eq_missing(after.rows["site"])).to_numpy()
    assert own.any()
    assert np.array_equal(differs, own & table["site"].is_not_null().to_numpy())


@given(table=tables(), share=st.floats(0.02, 0.5))
def test_rows_of_a_dropped_source_and_of_a_bot_are_those_of_the_slice(table: pl.DataFrame, share: float) -> None:
    dropped = rows.source_dropped(table, TARGET, share, np.random.default_rng(0))
    assert dropped.slice is not None
    assert dropped.rows.height == table.height - of_source(table, dropped.slice).sum()
    added = rows.bot_new(table, TARGET, share, np.random.default_rng(0))
    assert added.slice is not None
    assert of_source(added.rows, added.slice).sum() == added.rows.height - table.height


def test_a_source_is_the_one_whose_share_is_next() -> None:
    table = pl.DataFrame({"a": ["x"] * 5 + ["y"] * 3 + ["z"] * 2, "b": [0, 1] * 5})
    assert source(table, ["a"], 0.28) == {"a": "y"}
    assert source(table, ["a", "b"], 0.3) == {"a": "x", "b": 0}

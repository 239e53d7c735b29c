"""Rows sent twice and rows that a bot repeats are found where few rows are equal by chance."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.repeated_rows import (
    Repeats,
    alike_rows,
    check_repeats,
    fit_repeats,
    repeated_rows,
    telling_columns,
)
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import EVENT_TIME_US
from sparsewatch.schemas.units import HOUR_US

COLUMNS = ("site", "user", "click")
ROWS = 2_000


class Stream:
    """Rows of two columns and a label; of so many users two rows are rarely equal."""

    def __init__(self, seed: int, users: int = 50_000) -> None:
        self.rng = np.random.default_rng(seed)
        self.users = users

    def rows(self, n: int = ROWS) -> pa.RecordBatch:
        users = self.rng.integers(0, self.users, n)
        site = [None if i == 0 else f"s{i}" for i in self.rng.integers(0, 5, n)]
        return pa.record_batch({"site": site, "user": users, "click": self.rng.integers(0, 2, n)})

    def repeats(self, windows: int = 16, rows: int = 256) -> Repeats:
        batches = [self.rows(rows) for _ in range(windows)]
        return fitted(batches)


def fitted(batches: list[pa.RecordBatch]) -> Repeats:
    starts = np.repeat(np.arange(len(batches)) * HOUR_US, [batch.num_rows for batch in batches])
    found = fit_repeats(joined(batches), COLUMNS, starts)
    assert found is not None
    return found


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return batch


def check(rows: pa.RecordBatch, before: Repeats, of: int | None = None) -> Finding | None:
    return check_repeats(repeated_rows(rows, COLUMNS), of or rows.num_rows, before, ClickThresholds())


def doubled(rows: pa.RecordBatch, share: float) -> pa.RecordBatch:
    return joined([rows, rows.slice(0, int(share * rows.num_rows))])


def test_equal_pairs_are_counted_by_window() -> None:
    """The slow way: each pair of a window."""
    stream = Stream(1, users=40)
    batches = [stream.rows(60) for _ in range(5)]
    rates = []
    for batch in batches:
        rows = list(zip(*(batch.column(name).to_pylist() for name in COLUMNS), strict=True))
        pairs = [(i, j) for i in range(60) for j in range(i)]
        rates.append(sum(rows[i] == rows[j] for i, j in pairs) / len(pairs))
    found = fitted(batches)
    assert found.rate.mean == pytest.approx(np.mean(rates))
    assert found.rate.sd == pytest.approx(np.std(rates, ddof=1))
    assert (found.rate.max, found.windows, found.pairs) == (max(rates), 5, 60 * 59 / 2)


@given(st.lists(st.lists(st.none() | st.integers(0, 1), min_size=9, max_size=9), max_size=60), st.integers(0, 99))
def test_equal_rows_of_many_columns_are_counted_in_any_order(rows: list[list[int | None]], seed: int) -> None:
    """The slow way: all rows as tuples."""
    names = [f"x{i}" for i in range(9)]
    columns = [pa.array([row[i] for row in rows], pa.int64()) for i in range(8)]
    texts = pa.array([None if row[8] is None else f"v{row[8]}" for row in rows], pa.string())
    batch = pa.record_batch([*columns, texts], names=names)
    sizes = list(Counter(tuple(row.values()) for row in batch.to_pylist()).values())
    found = repeated_rows(batch, names)
    assert (found.sampled, found.pairs) == (len(rows), sum(n * (n - 1) // 2 for n in sizes))
    assert (found.twice, found.more) == (sizes.count(2), sum(n - 1 for n in sizes if n > 2))
    assert found.most == max(sizes, default=1)
    assert found.values == {} or sum(row == found.values for row in batch.to_pylist()) == found.most
    assert (found.values == {}) == (found.most == 1)
    order = np.random.default_rng(seed).permutation(len(rows))
    assert repeated_rows(batch.take(pa.array(order)), names) == found
    alike, first = alike_rows(batch, names), int(order[0]) if rows else 0
    told = alike_rows(batch, names, telling_columns({name: int(order.sum()) % (i + 2) for i, name in enumerate(names)}))
    assert [one.tolist() for one in told] == [one.tolist() for one in alike]
    assert alike.pairs_among(first) == repeated_rows(batch.slice(0, first), names).pairs


def test_columns_of_most_values_tell_most() -> None:
    assert telling_columns({"two": 2, "many": 900, "some": 30})[:2] == ["many", "some"]


@pytest.mark.parametrize("users", [20, 500, 50_000])
def test_clean_windows_repeat_no_more_than_the_reference(users: int) -> None:
    stream = Stream(2, users)
    before = stream.repeats()
    assert all(check(stream.rows(n), before) is None for n in [ROWS] * 20 + [300, 10_000])


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
def test_rows_that_come_twice_are_found_with_their_share(share: float) -> None:
    stream = Stream(3)
    found = check(doubled(stream.rows(), share), stream.repeats())
    assert found is not None
    assert (found.rule, found.subject, found.severity) == ("rows_duplicated", "stream", "warning")
    assert found.value == pytest.approx(share / (1 + share), abs=0.02)
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert 0 < found.threshold - found.baseline <= found.value - found.baseline


def test_a_sample_of_a_larger_window_tells_the_same_share() -> None:
    """Of 20,000 rows, a fifth of them twice, 4,096 are sampled: of most pairs at most one row is."""
    stream = Stream(4, users=10**9)
    whole = doubled(stream.rows(20_000), 0.2)
    sampled = whole.take(pa.array(np.sort(stream.rng.permutation(whole.num_rows)[:4_096])))
    found = check(sampled, stream.repeats(), whole.num_rows)
    assert found is not None
    assert found.value == pytest.approx(0.2 / 1.2, abs=0.04)


def test_a_bot_is_shown_with_what_it_sends() -> None:
    stream = Stream(5)
    bot = pa.record_batch({"site": ["s1"] * 200, "user": [7] * 200, "click": [0] * 200})
    found = check(joined([stream.rows(), bot]), stream.repeats())
    assert found is not None
    most = found.evidence["most_repeated"]
    assert most["values"] == {"site": "s1", "user": 7, "click": 0}
    assert 200 <= most["rows"] <= 202
    assert found.message.endswith(f"one comes {most['rows']} times")


def test_where_rows_are_equal_by_chance_a_few_more_are_no_finding() -> None:
    stream = Stream(6, users=2)
    assert check(doubled(stream.rows(), 0.05), stream.repeats()) is None


def test_a_window_of_the_reference_in_which_rows_came_twice_is_left_out() -> None:
    stream = Stream(7)
    batches = [stream.rows(256) for _ in range(20)]
    poisoned = fitted([*batches[:8], doubled(stream.rows(128), 1.0), *batches[8:]])
    assert poisoned == fitted(batches)


def test_a_reference_of_few_rows_a_window_tells_nothing() -> None:
    stream = Stream(8)
    starts = np.repeat(np.arange(40) * HOUR_US, 5)
    assert fit_repeats(stream.rows(200), COLUMNS, starts) is None


def test_a_reference_that_keeps_rows_knows_how_they_repeat(tmp_path: Path) -> None:
    stream = Stream(9)
    batches, windows = [stream.rows(300) for _ in range(6)], []
    sample = RowSample((*COLUMNS, EVENT_TIME_US), 1_000)
    for number, batch in enumerate(batches):
        windows.append(FeatureCounts(COLUMNS[:2], "click"))
        windows[-1].update(batch)
        times = pa.array(np.full(300, number * HOUR_US + 5))
        sample.update(batch.append_column(EVENT_TIME_US, times), row_identities(number, np.arange(300)))
    starts = [number * HOUR_US for number in range(6)]
    reference = fit_reference(windows, HOUR_US, starts, sample=sample.rows())
    times = sample.rows().column(EVENT_TIME_US).to_numpy()
    assert reference.repeats == fit_repeats(sample.rows(), COLUMNS, times // HOUR_US * HOUR_US)
    assert reference.repeats is not None
    loaded = Reference.load(reference.save(tmp_path / "clicks"))
    assert loaded.repeats == reference.repeats
    assert fit_reference(windows, HOUR_US, starts).repeats is None

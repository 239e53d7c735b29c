import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from sparsewatch.detectors.conformal import EDGES
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.blocks import (
    FEWEST_BLOCKS,
    MOST_BLOCKS,
    BlockSpread,
    Known,
    block_size,
    block_sums,
    spread_between,
    spread_of_stored,
)
from sparsewatch.detectors.rows.windows.checks import check_rows
from sparsewatch.detectors.rows.windows.column_checks import check_columns
from sparsewatch.detectors.rows.windows.summary import score_encoded
from sparsewatch.detectors.rows.windows.thresholds import RowCheck


def remembering(n: int, memory: float, seed: int) -> np.ndarray:
    """Gaussian numbers of variance 1, each correlated with the one before."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n) * math.sqrt(1 - memory**2)
    values: np.ndarray = lfilter([1.0], [1, -memory], noise, zi=[rng.standard_normal() * memory])[0]
    return values


def spread_of(values: np.ndarray, rows_each: float = 1.0) -> BlockSpread:
    spread = spread_between(block_sums((values <= 0)[:, None]), block_size(len(values)), rows_each)
    assert spread is not None
    return spread


def slow(shares: list[float], size: int) -> tuple[float, float]:
    """Surplus variance and its standard error of one share, block by block."""
    half = len(shares) // 2
    halves = [shares[:half], shares[half : 2 * half]]
    means = [sum(own) / half for own in halves]
    own = [[share - mean for share in part] for part, mean in zip(halves, means, strict=True)]
    squares = sum(x * x for part in own for x in part)
    products = sum(a * b for part in own for a, b in itertools.pairwise(part))
    repeated = min(max(products / squares, 0.0), 0.99) ** 2 if squares else 0.0
    freedom = max(2 * (half - 1) * (1 - repeated) / (1 + repeated), 1.0)
    inside = squares / (2 * (half - 1))
    apart = max((means[0] - means[1]) ** 2 - 2 * inside / half, 0.0)
    mean = sum(shares) / len(shares)
    return max(inside + apart - mean * (1 - mean) / size, 0.0), math.sqrt(2 * (inside**2 / freedom + apart**2))


@given(st.lists(st.integers(0, 16), min_size=4, max_size=31))
def test_the_surplus_of_the_smallest_blocks_is_that_of_its_definition(hits: list[int]) -> None:
    spread = spread_between(np.array(hits)[:, None], 16)
    assert spread is not None
    variance, error = slow([count / 16 for count in hits], 16)
    assert spread.variance[0, 0] == pytest.approx(variance, rel=1e-5, abs=1e-9)
    assert spread.error[0, 0] == pytest.approx(error, rel=1e-5, abs=1e-9)


@given(st.integers(4, 200))
def test_larger_blocks_are_the_smaller_ones_in_pairs(blocks: int) -> None:
    counts = np.random.default_rng(blocks).integers(0, 17, (blocks, 1))
    spread = spread_between(counts, 16)
    assert spread is not None
    assert spread.spans.tolist() == [16 * 2**k for k in range(len(spread.spans))]
    assert all(blocks // 2**k >= FEWEST_BLOCKS for k in range(1, len(spread.spans)))
    for k, size in enumerate(spread.spans.tolist()):
        whole = blocks // 2**k
        shares = [counts[i * 2**k : (i + 1) * 2**k].sum() / size for i in range(whole)]
        assert spread.variance[k, 0] == pytest.approx(slow(shares, size)[0], rel=1e-4, abs=1e-8)


def test_independent_rows_have_hardly_a_surplus_and_rows_that_remember_have_that_of_their_memory() -> None:
    independent, memory = spread_of(remembering(40_000, 0.0, 0)), spread_of(remembering(40_000, 0.99, 1))
    assert independent.independent_rows(1000)[0] > 500
    # A mean of 1,000 numbers tells as much as 1000 (1 - 0.99) / (1 + 0.99) = 5 numbers; of signs some more.
    assert 4 < memory.independent_rows(1000)[0] < 12


def test_what_a_sample_knows_of_a_stretch_counts_by_the_rows_of_the_stream() -> None:
    values = remembering(80_000, 0.99, 2)
    every, tenth = spread_of(values), spread_of(values[::10], rows_each=10)
    assert tenth.of_span(2_000).variance[0] == pytest.approx(every.of_span(2_000).variance[0], rel=0.4)


def test_windows_of_a_stream_that_remembers_lie_within_its_spread() -> None:
    chances = []
    for seed in range(40):
        values = remembering(30_000, 0.98, seed)
        spread = spread_of(values[:20_000])
        windows = (values[20_000:].reshape(10, 1000) <= 0).mean(axis=1)
        base = np.full(10, (values[:20_000] <= 0).mean())
        surplus = spread.of_span(1000)
        chances += surplus.chance(windows, Known(base, 20_000, 1000)).tolist()
    shares = [np.mean(np.array(chances) <= level) for level in (0.1, 0.01, 0.001)]
    assert shares[0] < 0.12
    assert shares[1] < 0.02
    assert shares[2] < 0.005


def test_the_highest_share_is_where_the_chance_is_the_level() -> None:
    spread = spread_of(remembering(20_000, 0.9, 3))
    base = spread.shares.astype(np.float64)
    surplus, known = spread.of_span(500), Known(base, 4_000, 500)
    highest = surplus.highest(known, 1e-4)
    assert surplus.chance(highest, known)[0] == pytest.approx(2e-4, rel=1e-3)
    assert surplus.chance(base, known)[0] == 1.0


def test_few_rows_have_no_spread_and_many_have_blocks_of_bounded_number() -> None:
    assert spread_between(np.zeros((3, 1), dtype=np.int64), 16) is None
    assert len(block_sums(np.ones(10**6, dtype=np.bool_))) <= MOST_BLOCKS


def test_a_spread_is_the_same_once_stored() -> None:
    spread = spread_of(remembering(5_000, 0.5, 4))
    for again in (spread_of_stored(spread.stored()), BlockSpread.from_arrays(spread.to_arrays())):
        assert again is not None
        for name, array in spread.to_arrays().items():
            np.testing.assert_array_equal(again.to_arrays()[name], array)
    assert BlockSpread.from_arrays({}) is None


def table(n: int, memory: float, seed: int) -> pa.Table:
    return pa.table({name: remembering(n, memory, 10 * seed + i) for i, name in enumerate("abc")})


def findings(model: RowModel, rows: pa.Table) -> list[tuple[str, str]]:
    [batch] = rows.combine_chunks().to_batches()
    positions = np.stack([np.zeros(len(batch)), np.arange(len(batch)), np.zeros(len(batch))], axis=1).astype(np.int64)
    scores = score_encoded(model, model.encoder.transform(batch), positions, 0.01)
    found = [*check_rows(scores, RowCheck()), *check_columns(model, batch, len(batch), RowCheck())]
    return [(finding.rule, finding.subject) for finding in found]


def test_rows_that_remember_raise_no_alert_and_a_fault_among_them_is_found() -> None:
    model = train_row_model(table(20_000, 0.99, 0))
    later = table(10_000, 0.99, 1)
    assert [findings(model, later.slice(first, 500)) for first in range(0, 10_000, 500)] == [[]] * 20
    broken = later.slice(0, 500).set_column(1, "b", pa.array(np.full(500, 1e3)))
    assert ("rows_unlike_training", "b") in findings(model, broken)


def test_without_a_spread_a_model_decides_by_independent_rows_as_models_of_before_do(tmp_path: Path) -> None:
    model = train_row_model(table(20_000, 0.99, 0))
    before = dataclasses.replace(model, column_blocks=None, score_blocks=None)
    later = table(10_000, 0.99, 1)
    assert any(findings(before, later.slice(first, 500)) for first in range(0, 10_000, 500))
    kept, loaded = (RowModel.load(one.save(tmp_path / "rows")) for one in (model, before))
    assert (loaded.column_blocks, loaded.score_blocks) == (None, None)
    assert kept.score_blocks is not None
    assert kept.score_blocks.shares.shape == (len(EDGES),)
    assert findings(kept, later.slice(0, 500)) == findings(model, later.slice(0, 500))


def test_independent_rows_lose_no_finding_to_the_spread() -> None:
    model = train_row_model(table(20_000, 0.0, 0))
    moved = table(2_000, 0.0, 1)
    moved = moved.set_column(2, "c", pa.array(moved["c"].to_numpy() + 1.2))
    assert ("columns_moved", "c") in findings(model, moved)

import dataclasses
import functools
import itertools
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.conformal import EDGES
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.summary import RowScores, positions_of, score_encoded
from sparsewatch.schemas.block import EVENT_TIME_US, META
from sparsewatch.schemas.errors import SchemaError, StateError

N_ROWS = 700


def score_block(model: RowModel, rows: pa.RecordBatch, alarm_rate: float) -> RowScores:
    return score_encoded(model, model.encoder.transform(rows), positions_of(rows), alarm_rate)


def columns(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    word = rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
    return pa.table({"x": x, "y": x + rng.normal(0, 0.1, n), "word": word, "z": rng.random(n)})


def block(n: int, seed: int, broken: float = 0.0) -> pa.RecordBatch:
    """Rows with their positions; in a share of them `word` is new. Some rows repeat."""
    table = columns(n, seed)
    odd = np.random.default_rng(seed + 1).random(n) < broken
    word = np.where(odd, "new", table["word"].to_numpy())
    table = table.set_column(2, "word", pa.array(word))
    table = table.take(np.arange(n) // 2 * 2)
    place = np.random.default_rng(seed + 2).permutation(n)
    values = (place % 3, place // 3, place % 2, place)
    for field, column in zip(META, values, strict=True):
        table = table.append_column(field, pa.array(column, field.type))
    return table.combine_chunks().to_batches()[0]


@pytest.fixture(scope="module")
def model() -> RowModel:
    return train_row_model(columns(4000, 0), method="hbos")


@pytest.fixture(scope="module")
def two(model: RowModel) -> tuple[RowModel, RowModel]:
    """One model under two names, the second with a calibration of its own."""
    second = dataclasses.replace(model, id="rows/0002", calibration=model.calibration[::2])
    return dataclasses.replace(model, id="rows/0001"), second


def scored(model: RowModel, rows: pa.RecordBatch, results: int, rate: float = 0.01) -> RowScores:
    context = rows.select([EVENT_TIME_US, "word"])
    return score_encoded(
        model, model.encoder.transform(rows), positions_of(rows), rate, context=context, results=results
    )


@settings(max_examples=15)
@given(
    cuts=st.lists(st.integers(0, N_ROWS), max_size=5),
    seed=st.integers(0, 100),
    nested=st.booleans(),
    results=st.sampled_from([0, 3, 40, 1000]),
)
def test_any_split_merged_in_any_order_gives_the_same_bytes(
    two: tuple[RowModel, RowModel], cuts: list[int], seed: int, nested: bool, results: int
) -> None:
    """Both models score a part of the rows, as where one takes over."""
    rows = block(N_ROWS, 1, broken=0.3)
    whole = scored(two[0], rows.slice(0, 300), results).merge(scored(two[1], rows.slice(300), results))
    rng = np.random.default_rng(seed)
    parts = []
    for model, part in zip(two, (rows.slice(0, 300), rows.slice(300)), strict=True):
        shuffled = part.take(pa.array(rng.permutation(part.num_rows)))
        edges = [0, *sorted(cut for cut in cuts if cut < part.num_rows), part.num_rows]
        parts += [scored(model, shuffled.slice(a, b - a), results) for a, b in itertools.pairwise(edges)]
    parts = [parts[i] for i in rng.permutation(len(parts))]
    if nested:
        parts = [functools.reduce(RowScores.merge, parts[:2]), *parts[2:]][::-1]
    merged = functools.reduce(RowScores.merge, parts, RowScores())
    assert merged.to_bytes() == whole.to_bytes()
    assert len(merged.outliers) == min(results, merged.above)


def test_the_summary_counts_rows_by_p_value_and_by_blamed_column(model: RowModel) -> None:
    rows = block(N_ROWS, 2, broken=0.1)
    scores = score_block(model, rows, 0.05)
    [counts] = scores.models
    p = model.p_values(model.score(rows))
    blamed, _ = model.blame_matrix(model.encoder.transform(rows), 3)
    above = np.flatnonzero(p <= 0.05)
    fine = [0, *EDGES, 1]
    assert (scores.rows, scores.above) == (N_ROWS, len(above))
    assert scores.p_values == tuple(sum(i / 20 < value <= (i + 1) / 20 for value in p) for i in range(20))
    assert counts.p_values == tuple(sum(a < value <= b for value in p) for a, b in itertools.pairwise(fine))
    assert counts.carried == tuple(sum(blamed[i, 0] == j for i in above) for j in range(4))
    assert sum(counts.carried) == scores.above


@pytest.mark.parametrize("n", [1, 7, 19, 20, 400])
def test_calibration_rows_are_binned_as_rows_are(model: RowModel, n: int) -> None:
    """With ties, and with calibrations too small for some bins."""
    small = dataclasses.replace(model, calibration=np.sort(np.round(model.calibration[:n], 1)))
    counts = score_block(small, block(50, 4), 0.6).models[0].calibration
    p = small.p_values(small.calibration)
    assert counts == tuple(sum(a < value <= b for value in p) for a, b in itertools.pairwise([0, *EDGES, 1]))
    assert sum(counts) == n


def test_the_worst_rows_come_first_with_ties_by_position(model: RowModel) -> None:
    rows = block(N_ROWS, 3, broken=0.2)
    scores = score_block(model, rows, 0.01)
    raw = model.score(rows)
    places = zip(*(rows.column(field.name).to_pylist() for field in META[:3]), strict=True)
    scored_rows = zip(model.p_values(raw).tolist(), raw.tolist(), places, strict=True)
    slow = sorted((p, -score, *place) for p, score, place in scored_rows)[:10]
    assert [worst.rank for worst in scores.worst] == slow
    assert len({score for _, score, *_ in slow}) < 10, "the case has ties"
    excesses = [excess for _, excess in scores.worst[0].columns]
    assert excesses == sorted(excesses, reverse=True)
    assert 1 <= len(excesses) <= 3
    assert min(excesses) >= max(excesses) / 4


def test_rows_above_the_threshold_are_held_up_to_a_number_with_their_context(model: RowModel) -> None:
    rows = block(N_ROWS, 3, broken=0.2)
    everything, some = scored(model, rows, 10_000), scored(model, rows, 25)
    assert len(everything.outliers) == everything.above > 25
    assert some.outliers == everything.outliers[:25]
    assert all(row.p_value <= 0.01 for row in everything.outliers)
    by_place = {tuple(place): at for at, place in enumerate(positions_of(rows).tolist())}
    for row in everything.outliers:
        at = by_place[(row.partition, row.offset, row.row)]
        assert row.context == {EVENT_TIME_US: rows[EVENT_TIME_US][at].as_py(), "word": rows["word"][at].as_py()}
    assert scored(model, rows, 0).outliers == ()
    assert everything.worst[0].as_json()["identity"] == {"word": "new"}


def test_stored_bytes_give_back_the_summary_and_others_are_refused(model: RowModel) -> None:
    scores = score_block(model, block(50, 4), 0.01)
    assert RowScores.from_bytes(scores.to_bytes()) == scores
    assert RowScores.from_bytes(RowScores().to_bytes()) == RowScores()
    with pytest.raises(StateError, match="stored row scores"):
        RowScores.from_bytes(b"\x90")


def test_a_block_without_rows_changes_nothing(model: RowModel) -> None:
    scores = score_block(model, block(50, 4), 0.01)
    empty = score_block(model, block(50, 4).slice(0, 0), 0.01)
    assert scores.merge(empty) == empty.merge(scores) == scores


def test_two_models_are_counted_apart_and_their_worst_rows_ordered_by_p_value(two: tuple[RowModel, RowModel]) -> None:
    rows = block(N_ROWS, 3, broken=0.2)
    parts = [score_block(two[0], rows.slice(0, 300), 0.01), score_block(two[1], rows.slice(300), 0.01)]
    merged = parts[1].merge(parts[0])
    assert [(scores.model, scores.rows) for scores in merged.models] == [("rows/0001", 300), ("rows/0002", 400)]
    assert merged.above == parts[0].above + parts[1].above
    ranks = [row.rank for row in merged.worst]
    assert ranks == sorted(ranks)
    assert {row.model for part in parts for row in part.worst} == {"rows/0001", "rows/0002"}


@pytest.mark.parametrize("change", [{"alarm_rate": 0.02}, {"calibration": (7,) * 25}, {"columns": ("a", "c")}])
def test_one_model_at_two_rates_or_with_two_calibrations_does_not_merge(
    model: RowModel, change: dict[str, Any]
) -> None:
    scores = score_block(model, block(50, 4), 0.01)
    other = RowScores(models=(msgspec.structs.replace(scores.models[0], **change),))
    with pytest.raises(StateError, match="one model and alarm rate"):
        scores.merge(other)


def test_missing_positions_are_named(model: RowModel) -> None:
    with pytest.raises(SchemaError, match="columns of a block"):
        score_block(model, block(50, 4).drop_columns(["_offset"]), 0.01)

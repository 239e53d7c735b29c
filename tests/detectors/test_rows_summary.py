import functools
import itertools
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from detectors.apre.scorer import fit_apre
from detectors.apre.train import TrainConfig
from detectors.rows.model import RowModel
from detectors.rows.summary import RowCheck, RowScores, check_rows, score_block
from detectors.rows.training import train_row_model
from schemas.block import META
from schemas.errors import ConfigError, SchemaError, StateError

N_ROWS = 700


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
    return train_row_model(
        columns(4000, 0), method="apre", fit=functools.partial(fit_apre, training=TrainConfig(steps=200))
    )


def summary(rows: int, above: int, calibration_rows: int = 20_000, **changes: Any) -> RowScores:
    return RowScores(
        model="rows/0001",
        alarm_rate=0.01,
        calibration_rows=calibration_rows,
        columns=("a", "b"),
        rows=rows,
        above=above,
        carried=(above - above // 4, above // 4),
        **changes,
    )


def fires(scores: RowScores, **check: float) -> bool:
    return bool(check_rows(scores, RowCheck(**check)))


@settings(deadline=None, max_examples=15)
@given(
    cuts=st.lists(st.integers(0, N_ROWS), max_size=5),
    seed=st.integers(0, 100),
    nested=st.booleans(),
)
def test_any_split_merged_in_any_order_gives_the_same_bytes(
    model: RowModel, cuts: list[int], seed: int, nested: bool
) -> None:
    rows = block(N_ROWS, 1, broken=0.3)
    whole = score_block(model, rows, 0.01)
    rng = np.random.default_rng(seed)
    shuffled = rows.take(pa.array(rng.permutation(N_ROWS)))
    edges = [0, *sorted(cuts), N_ROWS]
    parts = [score_block(model, shuffled.slice(a, b - a), 0.01) for a, b in itertools.pairwise(edges)]
    if nested:
        parts = [functools.reduce(RowScores.merge, parts[:2]), *parts[2:]][::-1]
    merged = functools.reduce(RowScores.merge, parts, RowScores())
    assert merged.to_bytes() == whole.to_bytes()


def test_the_summary_counts_what_the_scores_say(model: RowModel) -> None:
    rows = block(N_ROWS, 2, broken=0.1)
    scores = score_block(model, rows, 0.05)
    raw = model.score(rows)
    p = model.p_values(raw)
    blamed, _ = model.blame_matrix(model.encoder.transform(rows), 3)
    above = np.flatnonzero(p <= 0.05)
    assert (scores.rows, scores.above) == (N_ROWS, len(above))
    assert scores.p_values == tuple(sum(i / 20 < value <= (i + 1) / 20 for value in p) for i in range(20))
    assert scores.carried == tuple(sum(blamed[i, 0] == j for i in above) for j in range(4))
    assert sum(scores.carried) == scores.above


def test_the_worst_rows_come_first_with_ties_by_position(model: RowModel) -> None:
    rows = block(N_ROWS, 3, broken=0.2)
    scores = score_block(model, rows, 0.01)
    raw = model.score(rows).tolist()
    places = zip(*(rows.column(field.name).to_pylist() for field in META[:3]), strict=True)
    slow = sorted((-score, *place) for score, place in zip(raw, places, strict=True))[:10]
    assert [worst.rank for worst in scores.worst] == slow
    assert len({score for score, *_ in slow}) < 10, "the case has ties"
    assert scores.worst[0].columns[0][0] == "word"
    excesses = [excess for _, excess in scores.worst[0].columns]
    assert excesses == sorted(excesses, reverse=True)
    assert len(excesses) == 3


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


def test_summaries_of_two_models_or_rates_do_not_merge() -> None:
    changes: list[dict[str, Any]] = [
        {"model": "rows/0002"},
        {"alarm_rate": 0.02},
        {"calibration_rows": 7},
        {"columns": ("a", "c")},
    ]
    for change in changes:
        other = msgspec.structs.replace(summary(10, 0), **change)
        with pytest.raises(StateError, match="one model and alarm rate"):
            summary(10, 0).merge(other)


def test_missing_positions_are_named(model: RowModel) -> None:
    with pytest.raises(SchemaError, match="columns of a block"):
        score_block(model, block(50, 4).drop_columns(["_offset"]), 0.01)


def test_planted_new_values_raise_one_finding_that_names_the_column(model: RowModel) -> None:
    assert check_rows(score_block(model, block(4000, 5), 0.01), RowCheck()) == []
    scores = score_block(model, block(4000, 6, broken=0.15), 0.01)
    (finding,) = check_rows(scores, RowCheck())
    assert (finding.rule, finding.subject) == ("rows_unlike_training", "rows")
    assert finding.value == scores.above / 4000 >= finding.threshold >= 0.03
    assert finding.baseline == 0.01
    assert next(iter(finding.evidence["carried_by"])) == "word"
    assert finding.evidence["carried_by"]["word"] > 0.8
    assert finding.evidence["worst"][0]["offset"] == scores.worst[0].offset
    assert "word" in finding.message


@pytest.mark.parametrize("rows", [1, 30, 1000, 50_000, 5_000_000])
def test_it_fires_from_the_stated_threshold_on(rows: int) -> None:
    first = next((n for n in _around(rows) if fires(summary(rows, n))), rows + 1)
    assert not fires(summary(rows, first - 1))
    if first <= rows:
        (finding,) = check_rows(summary(rows, first), RowCheck())
        assert finding.value == finding.threshold == first / rows
        assert finding.value >= 0.03
        assert stats.binom.sf(first - 1, rows, 0.01) < 1e-6


def _around(rows: int) -> range:
    """Counts to try: all, or those near three times the expected one."""
    return range(rows + 1) if rows <= 50_000 else range(int(rows * 0.0299), int(rows * 0.0301))


def test_a_small_excess_is_no_alarm_however_many_rows() -> None:
    assert not fires(summary(10_000_000, 290_000))
    assert fires(summary(10_000_000, 290_000), least_ratio=2.0)


def test_a_few_calibration_rows_ask_for_more_evidence() -> None:
    """Two of 200 held-out rows are beyond the threshold: its true rate may well be 5 %."""
    assert fires(summary(10_000, 500))
    assert not fires(summary(10_000, 500, calibration_rows=199))
    assert fires(summary(10_000, 2_500, calibration_rows=199))


def test_false_alarms_stay_within_the_level() -> None:
    """The threshold's true rate and the counts are drawn anew each time; level 5 %."""
    rng = np.random.default_rng(0)
    draws = 2000
    rates = rng.beta(2, 198, draws)
    counts = rng.binomial(5000, rates)
    check = RowCheck(level=0.05, least_ratio=1.0)
    alarms = sum(bool(check_rows(summary(5000, n, 199), check)) for n in counts.tolist())
    assert 0 < alarms / draws < 0.05


def test_no_rows_are_no_finding() -> None:
    assert check_rows(RowScores(), RowCheck()) == []


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"level": 0.0}, {"least_ratio": 0.5}])
def test_thresholds_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RowCheck(**wrong)
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        msgspec.convert(wrong, RowCheck)

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
from scipy import stats

from sparsewatch.detectors.conformal import P_VALUE_BINS
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.shadow import (
    ShadowRule,
    Shadows,
    ShadowScores,
    decide,
    distance_from_uniform,
    of_pair,
    rank_correlation,
    regret,
    shadow_block,
)
from sparsewatch.schemas.errors import ConfigError, StateError

RATE = 0.05


def table(n: int, seed: int, shift: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + shift
    return pa.table({"x": x, "y": x + rng.normal(0, 0.3, n), "z": rng.normal(size=n)})


def batch(n: int, seed: int, shift: float = 0.0) -> pa.RecordBatch:
    return table(n, seed, shift).combine_chunks().to_batches()[0]


@pytest.fixture(scope="module")
def models() -> tuple[RowModel, RowModel]:
    first = train_row_model(table(1500, 0), method="hbos")
    second = train_row_model(table(1500, 1), method="hbos", seed=1)
    return dataclasses.replace(first, id="fab/0001"), dataclasses.replace(second, id="fab/0002")


def shadow(**changes: Any) -> ShadowScores:
    """A run of 2,000 rows on which both models agree and are right."""
    joint = np.diag(np.full(P_VALUE_BINS, 100))
    given: dict[str, Any] = {
        "present": "fab/0001",
        "candidate": "fab/0002",
        "alarm_rate": RATE,
        "present_calibration": 2000,
        "candidate_calibration": 2000,
        "rows": 2000,
        "above_present": 100,
        "above_candidate": 100,
        "above_both": 100,
        "joint": tuple(joint.reshape(-1).tolist()),
    }
    return ShadowScores(**(given | changes))


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 300), max_size=4), order=st.randoms(use_true_random=False))
def test_any_split_and_order_of_rows_gives_the_same_bytes(
    models: tuple[RowModel, RowModel], cuts: list[int], order: Any
) -> None:
    rows = batch(300, 2)
    edges = sorted({0, 300, *cuts})
    parts = [shadow_block(*models, rows.slice(a, b - a), RATE) for a, b in itertools.pairwise(edges)]
    order.shuffle(parts)
    merged = functools.reduce(Shadows.merge, parts, Shadows())
    assert merged.to_bytes() == shadow_block(*models, rows, RATE).to_bytes()
    assert Shadows.from_bytes(merged.to_bytes()) == merged


def test_a_shadow_counts_what_a_row_by_row_reading_counts(models: tuple[RowModel, RowModel]) -> None:
    rows = batch(400, 3, shift=1.0)
    [seen] = shadow_block(*models, rows, RATE).pairs
    p = [model.p_values(model.score(rows)) for model in models]
    above = [p_values <= RATE + 1e-9 for p_values in p]
    assert (seen.above_present, seen.above_candidate) == (above[0].sum(), above[1].sum())
    assert seen.above_both == (above[0] & above[1]).sum()
    joint = np.zeros((P_VALUE_BINS, P_VALUE_BINS), dtype=int)
    for first, second in zip(*p, strict=True):
        joint[int(np.ceil(first * P_VALUE_BINS)) - 1, int(np.ceil(second * P_VALUE_BINS)) - 1] += 1
    assert seen.joint == tuple(joint.reshape(-1).tolist())
    assert [histogram.tolist() for histogram in seen.histograms] == [joint.sum(1).tolist(), joint.sum(0).tolist()]


def test_known_scores_are_taken_as_they_are(models: tuple[RowModel, RowModel]) -> None:
    rows = batch(100, 3)
    assert shadow_block(*models, rows, RATE, models[0].score(rows)) == shadow_block(*models, rows, RATE)


def test_no_model_is_its_own_shadow(models: tuple[RowModel, RowModel]) -> None:
    assert shadow_block(models[0], models[0], batch(100, 3), RATE) == Shadows()
    assert shadow_block(*models, batch(100, 3).slice(0, 0), RATE) == Shadows()


def test_pairs_of_a_window_in_which_models_change_places_stay_apart(models: tuple[RowModel, RowModel]) -> None:
    one, two = models
    before, after = shadow_block(one, two, batch(50, 4), RATE), shadow_block(two, one, batch(30, 5), RATE)
    both = after.merge(before)
    assert [(pair.pair, pair.rows) for pair in both.pairs] == [
        (("fab/0001", "fab/0002"), 50),
        (("fab/0002", "fab/0001"), 30),
    ]
    assert both == before.merge(after)
    found = of_pair([both, before], ("fab/0001", "fab/0002"))
    assert found is not None
    assert found.rows == 100
    assert of_pair([both], ("fab/0001", "fab/0003")) is None


def test_shadows_survive_the_json_of_a_record() -> None:
    record = msgspec.json.decode(msgspec.json.encode({"shadow": [shadow().to_json()]}))
    assert msgspec.convert(record["shadow"], tuple[ShadowScores, ...]) == (shadow(),)
    assert record["shadow"][0]["candidate_alarm_share"] == RATE


@pytest.mark.parametrize("changes", [{"alarm_rate": 0.1}, {"candidate": "fab/0003"}, {"candidate_calibration": 5}])
def test_shadows_of_other_models_or_rates_do_not_merge(changes: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="expected a shadow of"):
        shadow().merge(shadow(**changes))


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(StateError, match="expected stored shadows"):
        Shadows.from_bytes(b"no")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=40))
def test_rank_correlation_of_a_joint_histogram_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    joint = np.zeros((5, 4), dtype=np.int64)
    np.add.at(joint, (first, second), 1)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert rank_correlation(joint) == 0
    else:
        assert rank_correlation(joint) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), max_size=40))
def test_distance_from_uniform_is_the_largest_gap_at_an_edge(bins: list[int]) -> None:
    histogram = np.bincount(np.array(bins, dtype=np.int64), minlength=10)
    gaps = [abs(sum(b < edge for b in bins) / len(bins) - edge / 10) for edge in range(1, 11)] if bins else [0]
    assert distance_from_uniform(histogram) == pytest.approx(max(gaps))


def test_a_candidate_like_the_present_model_is_promoted(models: tuple[RowModel, RowModel]) -> None:
    [seen] = shadow_block(*models, batch(3000, 6), RATE).pairs
    decision = decide(seen, ShadowRule())
    assert decision.promote, decision.reasons
    assert decision.reasons == ()


def test_good_candidates_are_seldom_refused_and_of_every_method() -> None:
    rule = ShadowRule()
    refused: list[str] = []
    for method, seed in itertools.product(("hbos", "ecod"), range(12)):
        assert method in METHODS
        one, two = (
            dataclasses.replace(train_row_model(table(1000, 10 * seed + k), method=method), id=f"m/{k}") for k in (1, 2)
        )
        [seen] = shadow_block(one, two, batch(2000, 10 * seed + 3), 0.01).pairs
        refused += decide(seen, rule).reasons
    assert len(refused) <= 1, refused


@pytest.mark.parametrize(("above", "loud"), [(300, False), (301, True)])
def test_a_candidate_may_flag_three_times_its_rate_and_no_more(above: int, loud: bool) -> None:
    decision = decide(shadow(above_candidate=above), ShadowRule())
    assert decision.promote is not loud
    if loud:
        assert decision.reasons == ("it flags 15.05% of 2000 rows, expected 5.00% and at most 15.00%",)


def test_a_candidate_with_too_few_alarms_is_refused_unless_few_held_out_rows_explain_it() -> None:
    [reason] = decide(shadow(above_candidate=5), ShadowRule()).reasons
    assert "it may miss anomalies" in reason
    assert decide(shadow(above_candidate=12, candidate_calibration=20), ShadowRule()).promote
    assert decide(shadow(above_candidate=34), ShadowRule()).promote


@pytest.mark.parametrize(
    ("rows", "above"),
    [(814, 0), (500, 0), (8_140, 1), (20_000, 19)],
    ids=["none", "none of few", "almost none", "a twentieth"],
)
def test_a_candidate_that_flags_next_to_nothing_is_refused_however_uncertain_its_threshold(
    rows: int, above: int
) -> None:
    """Seen: a candidate that flagged none of 814 rows where 8 were expected was promoted."""
    seen = shadow(
        rows=rows, alarm_rate=0.01, above_present=rows // 100, above_candidate=above, candidate_calibration=150
    )
    [reason] = decide(seen, ShadowRule()).reasons
    assert f"it flags {above / rows:.2%} of {rows} rows, expected 1.00% and at least 0.33%" in reason


def test_a_candidate_further_from_uniform_by_more_than_the_margin_is_refused() -> None:
    low, high = np.full(P_VALUE_BINS, 100), np.arange(P_VALUE_BINS)
    squeezed = np.zeros((P_VALUE_BINS, P_VALUE_BINS), dtype=int)
    squeezed[high, high // 2] = low
    worse = shadow(joint=tuple(squeezed.reshape(-1).tolist()))
    [reason] = decide(worse, ShadowRule()).reasons
    assert "its p-values lie 0.500 from uniform, expected at most 0.1 more than those of fab/0001, 0.000" in reason
    better = shadow(joint=tuple(squeezed.T.reshape(-1).tolist()))
    assert decide(better, ShadowRule()).promote
    assert decide(worse, ShadowRule(uniform_margin=0.5)).promote
    (reason,) = decide(worse, ShadowRule(uniform_margin=0.5, largest_distance=0.05)).reasons
    assert "it has not learned the drift" in reason


def test_a_candidate_that_turns_the_order_round_is_refused() -> None:
    turned = np.fliplr(np.diag(np.full(P_VALUE_BINS, 100)))
    [reason] = decide(shadow(joint=tuple(turned.reshape(-1).tolist())), ShadowRule()).reasons
    assert "rank correlation -1.00, expected at least 0" in reason


def test_too_few_rows_decide_nothing() -> None:
    few = shadow(rows=99, above_candidate=99)
    assert decide(few, ShadowRule()).reasons == (
        "99 rows are too few to judge an alarm rate of 5.00%: expected at least 100",
    )
    assert regret(few, ShadowRule()) is None


@pytest.mark.parametrize(
    ("new", "old", "goes_back"), [(301, 300, True), (300, 100, False), (301, 301, False), (100, 100, False)]
)
def test_a_new_model_is_rolled_back_if_it_alone_flags_too_much(new: int, old: int, goes_back: bool) -> None:
    swapped = shadow(present="fab/0002", candidate="fab/0001", above_present=new, above_candidate=old)
    reason = regret(swapped, ShadowRule())
    assert (reason is not None) is goes_back
    if reason is not None:
        assert reason == "fab/0002 flags 15.05% of 2000 rows, fab/0001 15.00%, expected at most 15.00%"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("largest_ratio", 0.5),
        ("uniform_margin", 2),
        ("largest_distance", -1),
        ("least_correlation", -2),
        ("least_alarms", 0),
        ("level", 0),
    ],
)
def test_rules_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected"):
        ShadowRule(**{name: value})

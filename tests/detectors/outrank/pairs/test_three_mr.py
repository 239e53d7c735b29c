from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.pairs.three_mr import Aggregate, min_max, rank_three_mr
from sparsewatch.schemas.errors import ConfigError, SchemaError
from tests.oracles import outrank as oracle

Pairs = dict[tuple[str, str], float]

RELEVANCE = {"a": 1.0, "b": 0.9, "c": 0.5, "d": 0.1}
REDUNDANCY: Pairs = {("a", "b"): 0.9, ("a", "c"): 0.1, ("b", "c"): 0.2, ("c", "d"): 0.3}
RELATION: Pairs = {("a", "d"): 0.7, ("b", "c"): 0.0}
#: Few different scores, all exact in binary, so that ties are common and sums have no rounding.
SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, float], Pairs, Pairs]:
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True))
    pairs = [pair if draw(st.booleans()) else pair[::-1] for pair in combinations(names, 2)]
    chosen: list[Pairs] = [{pair: draw(SCORES) for pair in pairs if draw(st.booleans())} for _ in range(2)]
    return {name: draw(SCORES) for name in names}, chosen[0], chosen[1]


def order(relevance: dict[str, float], redundancy: Pairs, relation: Pairs, **settings: object) -> str:
    return "".join(step.feature for step in rank_three_mr(relevance, redundancy, relation, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(("aggregate", "expected"), [("median", "adbc"), ("mean", "adbc"), ("sum", "adcb")])
def test_orders_are_those_of_the_public_tool(aggregate: Aggregate, expected: str) -> None:
    assert order(RELEVANCE, REDUNDANCY, RELATION, aggregate=aggregate) == expected
    both_ways = [table | {(b, a): value for (a, b), value in table.items()} for table in (REDUNDANCY, RELATION)]
    assert order(RELEVANCE, both_ways[0], both_ways[1], aggregate=aggregate, directed=True) == expected


def test_terms_without_weight_or_scores_have_no_say() -> None:
    assert order(RELEVANCE, REDUNDANCY, RELATION, alpha=0, beta=0) == "abcd"
    assert order(RELEVANCE, REDUNDANCY, {}) == "acbd"
    assert order(RELEVANCE, {}, {}) == "abcd"


def test_direction_of_a_pair_matters_only_on_request() -> None:
    for directed, backward in ((True, "abcd"), (False, "acbd")):
        assert order(RELEVANCE, {("a", "b"): 0.9}, {}, directed=directed) == "acbd"
        assert order(RELEVANCE, {("b", "a"): 0.9}, {}, directed=directed) == backward


@pytest.mark.parametrize("aggregate", ["median", "mean", "sum"])
@settings(max_examples=60)
@given(tables())
def test_order_equals_the_definition(aggregate: Aggregate, drawn: tuple[dict[str, float], Pairs, Pairs]) -> None:
    assert order(*drawn, aggregate=aggregate) == "".join(oracle.three_mr(*drawn, aggregate))


def test_steps_add_up_and_say_what_was_looked_at() -> None:
    steps = rank_three_mr(RELEVANCE, REDUNDANCY, RELATION, alpha=0.5, beta=2.0)
    assert [step.feature for step in steps] == ["a", "d", "b", "c"]
    assert steps[0][1:] == pytest.approx((1.0, 1.0, 0.0, 0.0))
    assert steps[1][1:] == pytest.approx((1.5, 0.1, 0.0, 0.7))
    assert steps[2][1:] == pytest.approx((0.9 - 0.5 * 0.45, 0.9, 0.45, 0.0))
    assert steps[3][1:] == pytest.approx((0.5 - 0.5 * 0.2, 0.5, 0.2, 0.0))


def test_equal_features_rank_by_name_however_they_are_given() -> None:
    assert order({"c": 1.0, "a": 1.0, "b": 1.0}, {}, {}) == "abc"


def test_second_place_goes_to_whatever_beats_a_duplicate_of_the_first() -> None:
    relevance = {"top": 1.0, "twin": 0.95, "weak": 0.0}
    assert [step.feature for step in rank_three_mr(relevance, {("top", "twin"): 1.0}, {})] == ["top", "weak", "twin"]
    assert [step.feature for step in rank_three_mr(relevance, {("top", "twin"): 0.9}, {})] == ["top", "twin", "weak"]


@pytest.mark.long
def test_a_thousand_features_are_ranked() -> None:
    rng = np.random.default_rng(0)
    names = [f"f{i}" for i in range(1_000)]
    relevance = dict(zip(names, rng.random(1_000).tolist(), strict=True))
    pairs = list(combinations(names, 2))
    redundancy = dict(zip(pairs, rng.random(len(pairs)).tolist(), strict=True))
    steps = rank_three_mr(relevance, redundancy, {})
    assert sorted(step.feature for step in steps) == sorted(names)
    ranked = [step.feature for step in steps[:-1]]
    last = [redundancy.get((name, steps[-1].feature), redundancy.get((steps[-1].feature, name))) for name in ranked]
    assert steps[-1].redundancy == pytest.approx(np.median(np.array(last, float)))


def test_nothing_to_rank_is_no_error() -> None:
    assert rank_three_mr({}, {}, {}) == []
    assert min_max({}) == {}


def test_scores_are_stretched_to_one_and_equal_ones_are_nothing() -> None:
    assert min_max({"a": -1.0, "b": 0.0, "c": 3.0}) == {"a": 0.0, "b": 0.25, "c": 1.0}
    assert min_max({("a", "b"): 0.3, ("a", "c"): 0.3}) == {("a", "b"): 0.0, ("a", "c"): 0.0}


def test_wrong_tables_and_settings_are_refused() -> None:
    with pytest.raises(SchemaError, match="redundancy: expected pairs of features with a relevance, got 'label'"):
        rank_three_mr(RELEVANCE, {("a", "label"): 1.0}, {})
    with pytest.raises(SchemaError, match="relation: expected finite numbers, got nan"):
        rank_three_mr(RELEVANCE, {}, {("a", "b"): float("nan")})
    with pytest.raises(SchemaError, match="relevance: expected finite numbers, got inf"):
        rank_three_mr({"a": float("inf")}, {}, {})
    with pytest.raises(SchemaError, match="scores: expected finite numbers"):
        min_max({"a": float("nan")})
    with pytest.raises(ConfigError, match="got 'max'"):
        order(RELEVANCE, {}, {}, aggregate="max")

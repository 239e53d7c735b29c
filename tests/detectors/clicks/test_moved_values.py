from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.moved_values import EXAMPLES, most_frequent, most_moved
from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.clicks.value_shares import movement
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.units import HOUR_US

TEXTS, NUMBERS = st.text(max_size=3), st.integers(-5, 5)


@given(st.dictionaries(TEXTS, st.integers(1, 4), max_size=30) | st.dictionaries(NUMBERS, st.integers(1, 4)))
def test_the_most_frequent_come_first_and_ties_by_ascending_value(rows: dict[Any, int]) -> None:
    values = pa.array(list(rows), pa.large_string() if any(isinstance(one, str) for one in rows) else pa.int64())
    by_bytes = sorted(rows.items(), key=lambda one: one[0].encode() if isinstance(one[0], str) else one[0])
    expected = sorted(by_bytes, key=lambda one: -one[1])[:EXAMPLES]
    assert most_frequent(values, np.array(list(rows.values()), np.int64)) == expected


@pytest.mark.parametrize("kind", [pa.null(), pa.float64()])
def test_of_no_values_there_are_none(kind: Any) -> None:
    assert most_frequent(pa.array([], kind), np.zeros(0, np.int64)) == []


def test_of_values_that_are_known_but_rare_no_share_before_is_told() -> None:
    rng = np.random.default_rng(0)

    def counts(values: np.ndarray) -> FeatureCounts:
        own = FeatureCounts(("shop",), "click")
        own.update(pa.record_batch({"shop": values, "click": rng.integers(0, 2, values.size)}))
        return own

    # Of 600 values the reference keeps shares of the more frequent ones only.
    usual = [(rng.random(3_000) ** 3 * 600).astype(np.int64) for _ in range(12)]
    reference = fit_reference([counts(values) for values in usual], HOUR_US)
    assert len(reference.shares["shop"].values) < 600 == len(reference.known_values["shop"])
    now = np.concatenate([(rng.random(2_000) ** 3 * 600).astype(np.int64), np.full(60, 599), np.full(1_000, 7_777)])
    movement_now = movement(reference.shares["shop"], counts(now), "shop")
    assert movement_now is not None
    told = most_moved(movement_now, counts(now).stored(["shop"])[0], reference.known_values["shop"])
    assert {one.value: one.before for one in told}[7_777] == 0
    assert 599 not in {one.value for one in told}
    before = np.concatenate(usual)
    for one in told:
        assert one.before == pytest.approx((before == one.value).mean(), abs=1e-9)
        assert one.now == pytest.approx((now == one.value).mean())

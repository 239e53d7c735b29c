"""The search against one that tries everything, on planted changes and on chance alone."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.slices.columns import Coded, code_columns
from sparsewatch.detectors.slices.scan import DEFAULTS, Change, Mask
from sparsewatch.detectors.slices.search import Found, find_slice

ROWS = 4_000
NAMES = ("site", "sdk", "country", "price", "ad")


def rows(seed: int, n: int = ROWS) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    return pa.record_batch(
        {
            "site": rng.integers(0, 10, n),
            "sdk": rng.choice(["3.0", "3.1", "3.2"], n),
            "country": rng.choice(["de", "fr", "us"], n, p=[0.2, 0.2, 0.6]),
            "price": rng.gamma(2.0, 5.0, n),
            "ad": np.minimum(rng.zipf(1.5, n), 500),
        }
    )


NOW, BEFORE = rows(1), rows(2)
CODED = code_columns(NOW, BEFORE, NAMES)


def where(**values: Any) -> Mask:
    masks = [np.array(NOW.column(name).to_pylist()) == value for name, value in values.items()]
    mask: Mask = np.logical_and.reduce(masks)
    return mask


def at_random(share: float, seed: int, n: int = ROWS) -> Mask:
    mask: Mask = np.random.default_rng(seed).random(n) < share
    return mask


def texts(found: Found | None) -> list[str]:
    assert found is not None
    return [condition.text for condition in found.conditions]


@pytest.mark.parametrize("base", [0.0, 0.02, 0.2])
def test_two_conditions_that_carry_new_nulls(base: float) -> None:
    inside = where(site=3, sdk="3.2")
    found = find_slice(CODED, Change(at_random(base, 3) | inside, at_random(base, 4), scale=1.0))
    assert texts(found) == ["site = 3", "sdk = 3.2"]
    assert found is not None
    assert found.kind == "slice"
    assert found.share > 0.8
    assert (found.changed, found.rows) == (inside.sum(), inside.sum())
    assert np.array_equal(found.inside, inside)


def test_one_condition_is_not_made_two() -> None:
    # Most rows of the site are of one country, and two thirds of its rows have the change.
    changed = where(site=3) & at_random(0.66, 5)
    found = find_slice(CODED, Change(changed, np.zeros(ROWS, np.bool_), scale=1.0))
    assert texts(found) == ["site = 3"]


def test_three_conditions() -> None:
    inside = where(site=3, sdk="3.2", country="us")
    found = find_slice(CODED, Change(inside, np.zeros(ROWS, np.bool_), scale=1.0))
    assert texts(found) == ["site = 3", "sdk = 3.2", "country = us"]


def test_a_range_of_numbers() -> None:
    price = NOW.column("price").to_numpy()
    changed = (price >= np.quantile(BEFORE.column("price").to_numpy(), 0.75)) & at_random(0.5, 6)
    (text,) = texts(find_slice(CODED, Change(changed | at_random(0.05, 7), at_random(0.05, 8), scale=1.0)))
    assert text.startswith("price from ")
    assert float(text.removeprefix("price from ")) == pytest.approx(float(np.quantile(price, 0.75)), rel=0.05)


def test_clicks_that_are_lost() -> None:
    clicks = at_random(0.2, 9) & ~where(ad=1, sdk="3.0")
    found = find_slice(CODED, Change(clicks, at_random(0.2, 10), scale=1.0))
    assert texts(found) == ["sdk = 3.0", "ad = 1"]
    assert found is not None
    assert found.changed == 0


def test_rows_that_do_not_come() -> None:
    kept = np.flatnonzero(~where(country="fr"))
    now = NOW.take(pa.array(kept))
    change = Change(np.ones(kept.size, np.bool_), np.ones(ROWS, np.bool_), scale=1.0, is_certain=True)
    found = find_slice(code_columns(now, BEFORE, NAMES), change)
    assert texts(found) == ["country = fr"]
    assert found is not None
    assert (found.kind, found.rows) == ("slice", 0)


@pytest.mark.parametrize("hours_before", [[16], [14, 15, 16, 17]])
def test_an_hour_that_all_rows_of_now_have_is_no_part_of_a_slice(hours_before: list[int]) -> None:
    hour = np.random.default_rng(6).choice(hours_before, ROWS)
    now = NOW.append_column("hour", pa.array(np.full(ROWS, 17)))
    coded = code_columns(now, BEFORE.append_column("hour", pa.array(hour)), (*NAMES, "hour"))
    none, all_, site = np.zeros(ROWS, np.bool_), np.ones(ROWS, np.bool_), where(site=3)
    assert texts(find_slice(coded, Change(site, none, scale=1.0))) == ["site = 3"]
    assert texts(find_slice(coded, Change(all_, none, scale=1.0))) == []
    assert texts(find_slice(coded, Change(none, all_, scale=1.0))) == []


def test_everywhere() -> None:
    for seed in range(20):
        found = find_slice(CODED, Change(at_random(0.3, seed), at_random(0.1, seed + 100), scale=1.0))
        assert found is not None
        assert (found.kind, found.conditions) == ("everywhere", ())
        assert found.inside.all()


def test_chance_seldom_makes_a_slice() -> None:
    changes = [Change(at_random(0.07, seed), at_random(0.1, seed + 500), scale=1.0) for seed in range(100)]
    found = [find_slice(CODED, change) for change in changes]
    assert sum(one is not None and one.kind != "everywhere" for one in found) <= DEFAULTS.level * 100


def test_two_slices_are_told_in_part() -> None:
    changed = at_random(0.02, 1) | where(site=3) | where(site=5)
    found = find_slice(CODED, Change(changed, at_random(0.02, 2), scale=1.0))
    assert found is not None
    assert found.kind == "partly"
    assert texts(found) in (["site = 3"], ["site = 5"])
    assert 0.4 < found.share < 0.6


def test_no_change_has_no_place() -> None:
    for seed in range(40):
        assert find_slice(CODED, Change(at_random(0.1, seed), at_random(0.1, seed + 100), scale=1.0)) is None
    nothing = np.zeros(0, np.bool_)
    empty = code_columns(NOW.slice(0, 0), BEFORE, NAMES)
    assert find_slice(empty, Change(nothing, at_random(0.1, 2), scale=0.0, is_certain=True)) is None


def test_columns_and_missing_values_that_a_slice_must_not_name() -> None:
    sites = [
        None if hit else value for hit, value in zip(where(sdk="3.2"), NOW.column("site").to_pylist(), strict=True)
    ]
    now = NOW.set_column(0, "site", pa.array(sites))
    coded = code_columns(now, BEFORE, NAMES)
    change = Change(where(sdk="3.2"), np.zeros(ROWS, np.bool_), scale=1.0)
    assert texts(find_slice(coded, change, without=["sdk"])) == ["site is missing"]
    assert texts(find_slice(coded, change, never_missing=["site"])) == ["sdk = 3.2"]
    alone = find_slice(coded, change, without=["sdk"], never_missing=["site"])
    assert alone is not None
    assert alone.kind == "everywhere"


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(0, 3))
def test_the_order_of_rows_and_columns_is_irrelevant(shuffle: int, seed: int) -> None:
    rng = np.random.default_rng(shuffle)
    changed, changed_before = at_random(0.05, seed) | where(site=seed, country="us"), at_random(0.05, seed + 9)
    places, places_before = (rng.permutation(ROWS) for _ in range(2))
    names = rng.permutation(list(NAMES)).tolist()
    whole = find_slice(CODED, Change(changed, changed_before, scale=1.0))
    coded = code_columns(NOW.take(pa.array(places)), BEFORE.take(pa.array(places_before)), names)
    shuffled = find_slice(coded, Change(changed[places], changed_before[places_before], scale=1.0))
    assert whole is not None
    assert shuffled is not None
    assert {*texts(shuffled)} == {*texts(whole)}
    assert np.array_equal(shuffled.inside, whole.inside[places])
    assert (shuffled.share, shuffled.rows, shuffled.looks) == pytest.approx((whole.share, whole.rows, whole.looks))


def oracle(columns: list[Coded], change: Change) -> float:
    """The score of the best slice of up to three conditions that carries a change, of all that there are."""
    atoms = [
        (one.name, one.holds(n, one.now), one.holds(n, one.before)) for one in columns for n in range(one.first.size)
    ]
    spread, n, m = 1 + change.scale, change.now.size, change.before.size

    def expected(now: Mask, before: Mask) -> float:
        part = now.sum() / n / 2 + before.sum() / m / 2
        return float(change.scale * (before & change.before).sum() + change.prior * part)

    everything = expected(np.ones(n, np.bool_), np.ones(m, np.bool_))
    excess = change.now.sum() - everything
    best = 0.0
    for size in (1, 2, 3):
        for chosen in itertools.combinations(atoms, size):
            if len({name for name, _, _ in chosen}) < size:
                continue
            now, before = (np.logical_and.reduce([one[1:][side] for one in chosen]) for side in (0, 1))
            seen, normal = float((now & change.now).sum()), expected(now, before)
            rest = excess - (seen - normal)
            chance = math.sqrt(spread * max(everything - normal, 1.0))
            is_less = abs(rest) > (1 - DEFAULTS.carried) * abs(excess) + DEFAULTS.slack * chance
            if is_less or abs(rest) >= DEFAULTS.z * chance or seen <= normal or (seen - normal) / excess < 0.5:
                continue
            best = max(best, (seen * math.log(seen / normal) + normal - seen) / spread)
    return best


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_the_best_of_all_slices_is_found(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = 600, 500
    now, before = (pa.record_batch({name: rng.integers(0, 3, k) for name in "abcd"}) for k in (n, m))
    planted = rng.permutation(list("abcd"))[:size]
    inside = np.logical_and.reduce([now.column(name).to_numpy() == 1 for name in planted])
    change = Change(inside | (rng.random(n) < 0.03), rng.random(m) < 0.03, scale=n / m)
    coded = code_columns(now, before, list("abcd"))
    # Without a penalty for what was looked at, the search is for the best score alone.
    free = replace(DEFAULTS, level=1e9, least_rows=0)
    found = find_slice(coded, change, settings=free)
    best = oracle(coded, change)
    if found is not None and found.kind == "slice":
        normal = change.scale * found.changed_before + (found.rows / n + found.rows_before / m) / 2
        score = (found.changed * math.log(found.changed / normal) + normal - found.changed) / (1 + change.scale)
        assert score == pytest.approx(best)


def test_work_is_bounded_by_settings_whatever_the_columns() -> None:
    rng = np.random.default_rng(0)
    wide = [pa.record_batch({f"f{i}": rng.integers(0, 2, 300) for i in range(60)}) for _ in range(2)]
    coded = code_columns(wide[0], wide[1], [f"f{i}" for i in range(60)])
    few = replace(DEFAULTS, most_conditions=8, beam=2)
    found = find_slice(coded, Change(np.ones(300, np.bool_), np.zeros(300, np.bool_), scale=1.0), settings=few)
    assert found is not None
    assert found.looks <= 1 + 2 * 60 + 8 * 7 // 2 + 2 * 8

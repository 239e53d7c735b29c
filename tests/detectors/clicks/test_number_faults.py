"""Faults of a column of numbers at full precision: found where it is counted in bins, and not where by value."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding
from tests.kit import click_streams

ROWS = 2_000
WINDOWS = 24
Fault = Callable[[Any, np.random.Generator], Any]


def window(seed: int, *, numbers: tuple[str, ...] = ("price",), fault: Fault | None = None) -> FeatureCounts:
    """Clicks that depend on the price, which is log-normal, and a site that says nothing."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=ROWS)
    clicks = rng.random(ROWS) < 1 / (1 + np.exp(2 - z))
    price = 10 * np.exp(z)
    counts = FeatureCounts(["price", "site"], "click", numbers=numbers)
    counts.update(
        pa.record_batch(
            {
                "price": price if fault is None else fault(price, rng),
                "site": rng.integers(0, 20, ROWS),
                "click": clicks.astype(np.int8),
            }
        )
    )
    return counts


def findings(reference: Reference, counts: FeatureCounts) -> list[Finding]:
    return click_streams.findings(counts, reference, start_us=0)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return fit_reference([window(seed) for seed in range(WINDOWS)])


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("feature_unseen_values", lambda x, _: 1000 * x),
        ("feature_unseen_values", lambda x, _: -x),
        ("feature_unseen_values", lambda x, rng: np.where(rng.random(x.size) < 0.3, 0, x)),
        ("feature_unseen_values", lambda x, rng: np.where(rng.random(x.size) < 0.1, np.inf, x)),
        ("feature_signal_lost", lambda x, rng: rng.permutation(x)),
        ("feature_cardinality", lambda x, _: np.full(x.size, x[0])),
        ("feature_cardinality", lambda x, _: np.round(x)),
    ],
    ids=["x1000", "negated", "30 % zeros", "10 % infinite", "shuffled", "constant", "rounded"],
)
def test_a_fault_of_numbers_is_found_in_its_window(reference: Reference, rule: str, fault: Fault) -> None:
    for seed in range(100, 105):
        found = findings(reference, window(seed, fault=fault))
        assert [(one.rule, one.subject) for one in found] == [(rule, "price")]


def test_ordinary_windows_raise_nothing(reference: Reference) -> None:
    assert [found for seed in range(100, 160) for found in findings(reference, window(seed))] == []
    assert reference.features["price"].normalised.mean > 0.1


def test_examples_of_numbers_are_intervals(reference: Reference) -> None:
    (found,) = findings(reference, window(100, fault=lambda x, _: -x))
    assert found.evidence["top_values"][0]["value"] == "(-8.25, -8]"


def test_values_as_names_tell_nothing_of_a_number() -> None:
    by_value = fit_reference([window(seed, numbers=()) for seed in range(WINDOWS)])
    assert abs(by_value.features["price"].normalised.mean) < 1e-6
    assert findings(by_value, window(100, numbers=(), fault=lambda x, _: 1000 * x)) == []


def test_a_saved_reference_knows_what_it_counted_in_bins(reference: Reference, tmp_path: Path) -> None:
    loaded = Reference.load(reference.save(tmp_path))
    assert loaded.bins == reference.bins == window(0).bins
    assert fit_reference([window(0, numbers=())]).bins.features == ()


@pytest.mark.parametrize(("share", "factor"), [(0.3, 1_000), (1.0, 100), (1.0, 10), (1.0, 0.1)])
def test_another_unit_is_told_with_its_factor(reference: Reference, share: float, factor: float) -> None:
    def in_another_unit(prices: Any, rng: np.random.Generator) -> Any:
        return np.where(rng.random(prices.size) < share, factor * prices, prices)

    (found,) = findings(reference, window(100, fault=in_another_unit))
    assert (found.rule, found.evidence["factor"]) == ("feature_unseen_values", factor)
    assert found.message.endswith(": another unit?")
    for fault in (lambda x, _: -x, lambda x, _: 3 * x):
        (found,) = findings(reference, window(100, fault=fault))
        assert "factor" not in found.evidence
        assert not found.message.endswith("unit?")


def test_another_unit_of_numbers_that_reach_as_far_is_told_by_where_they_lie() -> None:
    reference = fit_reference([window(seed, fault=lambda x, _: x**3) for seed in range(WINDOWS)])
    (found,) = findings(reference, window(100, fault=lambda x, _: 24 * x**3))
    assert (found.rule, found.evidence["factor"]) == ("feature_numbers_moved", 24)
    assert found.message.endswith("; they are 24 times those before: another unit?")


def test_another_unit_of_numbers_that_are_names_is_told_with_its_factor() -> None:
    def hours(seed: int, factor: int) -> FeatureCounts:
        rng = np.random.default_rng(seed)
        counts = FeatureCounts(["hour"], "click")
        hour = factor * rng.integers(1, 25, ROWS)
        counts.update(pa.record_batch({"hour": hour, "click": rng.integers(0, 2, ROWS)}))
        return counts

    reference = fit_reference([hours(seed, 1) for seed in range(WINDOWS)])
    told = [one.evidence["factor"] for one in findings(reference, hours(99, 3600)) if "factor" in one.evidence]
    assert told == [3600]

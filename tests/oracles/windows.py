"""Independent recomputation of click windows with polars and scikit-learn: counts, mutual information, expectation."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import expected_mutual_information


@dataclass(frozen=True)
class FeatureTruth:
    """What a window's record must say of a feature."""

    cardinality: int
    nulls: int
    mutual_information: float
    expected: float


@dataclass(frozen=True)
class WindowTruth:
    """What a window's record must say."""

    rows: int
    clicks: int
    features: Mapping[str, FeatureTruth]


def window_truths(
    events: pl.DataFrame, time_ms: str, length_us: int, features: Sequence[str], label: str
) -> dict[int, WindowTruth]:
    """Windows of events that are all on time.

    Args:
        events: One row an event.
        time_ms: Column of event times in milliseconds.
        length_us: Window length.
        features: Columns to look at.
        label: Column of 0 and 1.
    """
    windowed = events.with_columns((pl.col(time_ms) * 1000 // length_us * length_us).alias("window"))
    return {
        int(window): WindowTruth(
            rows=part.height,
            clicks=int(part[label].sum()),
            features={name: _feature_truth(part, name, label) for name in features},
        )
        for (window,), part in windowed.group_by("window")
    }


def _feature_truth(part: pl.DataFrame, name: str, label: str) -> FeatureTruth:
    counted = part.group_by(name).agg(pl.len().alias("rows"), pl.col(label).sum().alias("clicks"))
    joint = np.stack([counted["rows"] - counted["clicks"], counted["clicks"]], axis=1).astype(np.int64)
    totals = joint.sum(axis=0)
    if (totals == 0).any():
        return FeatureTruth(part[name].n_unique() - part[name].has_nulls(), part[name].null_count(), 0.0, 0.0)
    return FeatureTruth(
        cardinality=part[name].n_unique() - int(part[name].has_nulls()),
        nulls=part[name].null_count(),
        mutual_information=float(mutual_info_score(None, None, contingency=joint)),
        expected=float(expected_mutual_information(joint, int(joint.sum()))),
    )


def assert_window_equals(record: Mapping[str, Any], truth: WindowTruth, tolerance: float = 1e-9) -> None:
    """Compare a record of the windows topic with its truth."""
    assert record["rows"] == truth.rows, (record["window_start_us"], record["rows"], truth.rows)
    assert record["profile"]["clicks"] == truth.clicks
    for ranked in record["ranking"]:
        expected = truth.features[ranked["feature"]]
        assert ranked["cardinality"] == expected.cardinality, ranked
        assert round((1 - ranked["coverage"]) * truth.rows) == expected.nulls, ranked
        assert abs(ranked["mutual_information"] - expected.mutual_information) < tolerance, (ranked, expected)
        assert abs(ranked["expected"] - expected.expected) < tolerance, (ranked, expected)
        assert abs(ranked["score"] - (expected.mutual_information - expected.expected)) < tolerance, (ranked, expected)
    scores = [ranked["score"] for ranked in record["ranking"]]
    assert scores == sorted(scores, reverse=True)


def json_events(values: Iterable[bytes]) -> pl.DataFrame:
    """Events of JSON records."""
    return pl.DataFrame([json.loads(value) for value in values], infer_schema_length=None)

"""A job that names the column of a prediction: its calibration is learned or read, checked, shown and budgeted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.decisions_job import Decided, Measured, WindowedJob, measure_window
from benchmarks.faults.stretch import TIME
from sparsewatch.detectors.clicks.calibration_checks import TESTS
from sparsewatch.detectors.clicks.profile import profile_window
from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import rank_features
from sparsewatch.pipelines.ctr.job import click_metrics
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.transforms.window.in_memory import Remembered
from sparsewatch.transforms.window.measure import unpack_parts

WINDOW_US, START_US = 300_000_000, 1_700_006_400_000_000
COLUMNS = {"site": "str", "p_click": "float", "label": "int"}
#: Windows that are learned, and the first one, which may be incomplete.
LEARNED = 25


def job(**checks: Any) -> WindowedJob:
    settings = {"kind": "ctr", "label": "label", "columns": COLUMNS, "checks": {"prediction": "p_click", **checks}}
    return WindowedJob(settings, WINDOW_US)


def rows(seed: int, kept: float = 1.0, n: int = 3_000) -> pl.DataFrame:
    """Clicks as predicted, of which some are lost."""
    rng = np.random.default_rng(seed)
    p = np.minimum(0.1 * np.exp(0.8 * rng.normal(size=n)), 0.99)
    return pl.DataFrame(
        {
            "site": pl.Series([f"s{at}" for at in rng.integers(0, 9, n)]),
            "p_click": p,
            "label": (rng.random(n) < kept * p).astype(np.int64),
            TIME: np.zeros(n, np.int64),
        }
    )


def measured(of: WindowedJob, windows: Sequence[pl.DataFrame], first: int = 0) -> list[Measured]:
    spans = [(START_US + at * WINDOW_US, START_US + (at + 1) * WINDOW_US) for at in range(first, first + len(windows))]
    return [measure_window(of.new, COLUMNS, one, span) for one, span in zip(windows, spans, strict=True)]


def decided(of: WindowedJob, windows: Sequence[Measured], state: Remembered) -> tuple[list[Decided], Remembered]:
    told = []
    for one in windows:
        found, state = of.decide(state, one)
        told.append(found)
    return told, state


def shifts(told: Sequence[Decided]) -> list[bool]:
    return ["calibration_shift" in {alert.rule for alert in one.alerts} for one in told]


@pytest.fixture(scope="module")
def clean() -> list[pl.DataFrame]:
    return [rows(seed) for seed in range(LEARNED)]


def test_a_job_that_learns_tells_it_and_does_not_learn_what_is_off(clean: list[pl.DataFrame]) -> None:
    learning = job()
    told, state = decided(learning, measured(learning, clean), learning.first)
    assert not any(one.alerts for one in told)
    off = measured(learning, [rows(100 + at, kept=0.55) for at in range(12)], LEARNED)
    told, behind = decided(learning, off, state)
    assert shifts(told) == [True] * 12
    # From its saved state on another process decides the same.
    again, _ = decided(job(), off[6:], decided(job(), off[:6], state)[1])
    assert [one.alerts for one in again] == [one.alerts for one in told[6:]]
    back, _ = decided(learning, measured(learning, [rows(200 + at) for at in range(4)], LEARNED + 12), behind)
    assert shifts(back) == [False] * 4


def test_a_job_with_a_reference_compares_with_it(clean: list[pl.DataFrame], tmp_path: Path) -> None:
    counts = [FeatureCounts.from_bytes(unpack_parts(one.state)["counts"]) for one in measured(job(), clean)]
    fixed = job(reference=str(fit_reference(counts, WINDOW_US, prediction="p_click").save(tmp_path / "reference")))
    told, _ = decided(fixed, measured(fixed, [rows(1), rows(300), rows(301, kept=0.5)]), fixed.first)
    assert shifts(told) == [False, False, True]
    [alert] = [one for one in told[-1].alerts if one.rule == "calibration_shift"]
    assert alert.subject == "p_click"
    assert alert.evidence["baseline"]["kind"] == "fixed"
    [remark] = job(reference=str(fit_reference(counts, WINDOW_US).save(tmp_path / "without")))._parts.remarks
    assert remark.startswith("the calibration of p_click is not in the reference")
    assert [one.change for one in fixed._parts.findable if "calibration" in one.change] == ["shift of the calibration"]


@pytest.mark.parametrize("name", ["site", "label", "p_clik"])
def test_only_a_ranked_column_of_floats_predicts(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"checks.prediction: expected a ranked column of type 'float', got '{name}'"
    ):
        job(prediction=name)


def test_it_has_a_part_of_the_budget_only_where_one_is_named() -> None:
    named, without = job().job, job(prediction=None).job
    assert named.tests() == {**without.tests(), "calibration": TESTS}
    thresholds = ClickThresholds().within(named.allowance)
    assert thresholds.of_calibration == named.allowance.z("calibration")
    assert ClickThresholds().within(without.allowance).calibration_z is None
    assert ClickThresholds(z=5.5).within(named.allowance).of_calibration == 5.5


def test_its_ratio_is_a_metric() -> None:
    [state] = [FeatureCounts.from_bytes(unpack_parts(one.state)["counts"]) for one in measured(job(), [rows(0, 0.5)])]
    ranking = rank_features(state)
    values = {
        prediction: [
            sample.value
            for sample in click_metrics(ranking, profile_window(state, ranking, prediction=prediction))
            if sample.name == "sparsewatch_window_calibration_ratio"
        ]
        for prediction in ("p_click", None)
    }
    assert values["p_click"] == [pytest.approx(0.5, abs=0.06)]
    assert values[None] == []

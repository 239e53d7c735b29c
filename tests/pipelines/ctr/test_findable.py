"""What `check` says that a job can find."""

from pathlib import Path

import pytest
from scipy.stats import binom

from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import prepare, ready
from sparsewatch.pipelines.rows.findable import findable_rows
from sparsewatch.pipelines.wafer.findable import findable_wafers
from tests.pipelines.ctr.test_reference_fit import fit, job


def test_a_job_with_a_reference_says_the_smallest_change_of_each_kind(tmp_path: Path) -> None:
    made = job(tmp_path, fit())
    found = {one.change: one for one in prepare(ready(made)).findable}
    assert list(found) == [
        "fall of the volume",
        "rise of the volume",
        "change of the click rate",
        "rise of missing values",
        "rise of new values",
        "fall of distinct values",
        "rise of distinct values",
        "loss of signal",
        "gain of signal",
    ]
    assert found["rise of the volume"].where == "windows of 200 rows"
    assert found["rise of the volume"].least.endswith(" times")
    assert found["rise of missing values"].where.endswith(f" of {len(made.ranked_features)} features")


def test_a_job_without_a_reference_does_not_know_yet(tmp_path: Path) -> None:
    job(tmp_path, fit())
    path = tmp_path / "job.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("checks.reference")))
    assert prepare(ready(load_job(path))).findable == ()


def test_larger_windows_find_smaller_shares_of_outliers_down_to_what_matters() -> None:
    assert [one.least for one in findable_rows(5_000, None, 0.01, RowCheck(level=1e-3))] == [
        "5.5% of rows (1.0% expected)",
        "3.0% of rows (1.0% expected)",
        "3.0% of rows (1.0% expected)",
    ]
    shares = [one.least for one in findable_rows(99, None, 0.01, RowCheck(level=1e-6))]
    assert [float(share.split("%")[0]) for share in shares] == [27.0, 17.5, 14.8]


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.3])
def test_the_wafers_stated_are_the_fewest_that_fire(rate: float) -> None:
    check = WaferCheck(alpha=1e-6, expected_rates={"scratch": 0.02})
    told = list(findable_wafers(rate, check))
    assert [one.change for one in told[:6]] == ["wafers of unknown patterns"] * 3 + ["scratch"] * 3
    for one, wafers in zip(told[:3], (25, 100, 1_000), strict=True):
        assert one.where == f"windows of {wafers:,} wafers"
        least = int(one.least.split()[0])
        assert binom.sf(least - 1, wafers, rate) < 1e-6
        fewer = least - 1
        few = fewer < check.min_wafers or fewer < check.min_lift * rate * wafers
        assert few or binom.sf(fewer - 1, wafers, rate) >= 1e-6


def test_where_half_of_all_wafers_are_expected_nothing_is_found_in_a_few() -> None:
    assert next(findable_wafers(0.6, WaferCheck(alpha=1e-6))).least == "none is found"

from pathlib import Path
from typing import Any

import pytest

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.ctr.job import ClickMeasure
from sparsewatch.pipelines.ctr.reference_fit import reference_remarks
from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import prepare, ready
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import DAY_US, HOUR_US
from sparsewatch.transforms.window.measure import Window
from tests.pipelines.ctr.example import COLUMNS, FEATURES, NUMBERS, events

LENGTH_US = 60_000_000
JOB = """
kind = "ctr"
name = "clicks"
label = "click"
columns = {{ amount = "float", weight = "float", site = "{site}", guess = "float", click = "int", other = "int" }}
features = {features}
kafka.bootstrap_servers = ["nowhere:1"]
source = {{ topic = "clicks", time_column = "time", time_format = "epoch_ms" }}
windows.length = "{length}"
checks.reference = "{reference}"
"""


def fit(window_us: int | None = LENGTH_US, **bins: Any) -> Reference:
    windows = []
    for seed in range(4):
        counts = FeatureCounts(FEATURES, "click", **{"numbers": NUMBERS, **bins})
        counts.update(events(200, seed))
        windows.append(counts)
    return fit_reference(windows, window_us)


def job(folder: Path, reference: Reference, **changes: Any) -> CtrJob:
    reference.save(folder / "reference")
    settings = {"site": "str", "features": list(FEATURES), "length": "1m", **changes}
    path = folder / "job.toml"
    path.write_text(JOB.format(reference=folder / "reference", **settings))
    made = load_job(path)
    assert isinstance(made, CtrJob)
    return made


@pytest.mark.parametrize("window_us", [LENGTH_US, None], ids=["this release", "an earlier release"])
def test_a_reference_of_the_jobs_own_settings_fits(tmp_path: Path, window_us: int | None) -> None:
    prepared = prepare(ready(job(tmp_path, fit(window_us))))
    assert any("earlier release" in remark for remark in prepared.remarks) is (window_us is None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": "5m"}, "expected windows of 5m, got a reference of windows of 1m"),
        ({"site": "int"}, "column 'site': expected values of type 'int', got 'str'"),
        ({"features": ["other"]}, r"expected some of the features \['other'\]"),
    ],
    ids=["other windows", "other type", "other columns"],
)
def test_a_reference_of_other_settings_is_refused_before_the_broker_is_asked(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"does not fit: {message}.*sparsewatch train reference"):
        prepare(ready(job(tmp_path, fit(), **changes)))


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        ({"numbers": ["weight", "guess"]}, "column 'amount': expected counts in bins, got counts by value"),
        ({"numbers": NUMBERS, "number_bits": 6}, "expected bins of 5 bits, got 6"),
    ],
)
def test_a_reference_that_counts_numbers_otherwise_is_refused(
    tmp_path: Path, bins: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"does not fit: {message} \(ranking.number.*sparsewatch train reference"):
        prepare(ready(job(tmp_path, fit(**bins))))


def test_by_value_and_integers_in_bins_fit_where_the_job_says_so(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    job(tmp_path, fit(numbers=()))
    prepare(ready(load_job(path, ["ranking.numbers=values"])))
    job(tmp_path, fit())
    with pytest.raises(ConfigError, match="'weight': expected counts by value, got counts in bins"):
        prepare(ready(load_job(path, ["ranking.numbers=values"])))
    # The reference's bins of integers are floats, which is no other type.
    prepare(ready(load_job(path, ["columns.weight=int", 'ranking.number_columns=["weight"]'])))


def test_features_that_a_reference_lacks_are_named(tmp_path: Path) -> None:
    [remark] = reference_remarks(fit(), job(tmp_path, fit(), features=[*FEATURES, "other"]))
    assert remark == "not in the reference and so not checked: other"


def test_a_job_compares_a_window_with_its_hour(tmp_path: Path) -> None:
    """Two days of which the afternoons have five times the rows of the mornings, and as many clicks a row."""
    windows, starts = [], range(0, 2 * DAY_US + HOUR_US, 30 * LENGTH_US)
    for start in starts:
        counts = FeatureCounts(FEATURES, "click", numbers=NUMBERS)
        counts.update(events(60 if start % DAY_US < DAY_US // 2 else 300, start))
        windows.append(counts)
    settings = job(tmp_path, fit_reference(windows, LENGTH_US, starts))
    conclude = prepare(ready(settings)).conclude
    measure = ClickMeasure(settings.ranked_features, "click", settings.ranking, declared=COLUMNS)
    measure.counts.state.update(events(60, 1))
    hours = (3 * DAY_US + 6 * HOUR_US, 3 * DAY_US + 18 * HOUR_US)
    morning, evening = (conclude(Window(hour, hour + LENGTH_US), [measure.to_bytes()]).findings for hour in hours)
    assert morning == []
    assert [finding.rule for finding in evening] == ["volume_low"]
    assert evening[0].evidence["baseline_kind"] == "hour of day"
    [empty] = conclude(Window(hours[0], hours[0] + LENGTH_US), []).findings
    assert (empty.rule, empty.evidence["baseline_kind"]) == ("volume_low", "hour of day")
    assert empty.baseline == pytest.approx(60)

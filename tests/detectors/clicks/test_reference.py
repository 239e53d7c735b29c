from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.artefacts.artefact import save_artefact
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE
from sparsewatch.detectors.outrank.ranking import rank_features
from sparsewatch.schemas.errors import ConfigError, ModelError
from tests.kit.click_streams import NAMES, Clicks


def window(x: list[str | None], click: list[int]) -> FeatureCounts:
    counts = FeatureCounts(["x"], "click")
    counts.update(pa.record_batch({"x": pa.array(x, pa.string()), "click": click}))
    return counts


def test_statistics_are_over_windows() -> None:
    windows = Clicks(seed=1).windows(6, 500)
    reference = fit_reference(windows)
    rows = np.array([counts.rows for counts in windows])
    assert reference.windows == 6
    assert (reference.volume.mean, reference.volume.min) == (rows.mean(), rows.min())
    assert reference.volume.sd == pytest.approx(rows.std(ddof=1))
    nulls = [counts.nulls("site") / counts.rows for counts in windows]
    assert reference.features["site"].null_share.max == max(nulls)
    scores = [{r.feature: r.score for r in rank_features(counts)}["strong"] for counts in windows]
    assert reference.features["strong"].score.mean == pytest.approx(np.mean(scores))
    assert reference.features["strong"].rank == 1
    assert sorted(feature.rank for feature in reference.features.values()) == list(range(1, len(NAMES) + 1))


def test_unseen_share_counts_rows_of_values_no_window_before_has_in_the_later_half() -> None:
    windows = [
        window(["a", "a", "b", None], [0, 1, 0, 0]),
        window(["a", "c", "c", "c"], [0, 1, 0, 0]),
        window(["b", "a", "d", "e"], [0, 1, 0, 0]),
    ]
    reference = fit_reference(windows)
    unseen = reference.features["x"].unseen_share
    assert unseen is not None
    assert unseen.mean == pytest.approx((0.75 + 0.5) / 2)
    assert (unseen.min, unseen.max) == (0.5, 0.75)
    assert reference.known_values["x"].to_list() == ["a", "b", "c", "d", "e"]
    assert reference.features["x"].listed == 11


def test_cardinality_ratio_is_near_one_whatever_the_volume() -> None:
    clicks = Clicks(seed=2)
    reference = fit_reference([clicks.window(n) for n in (300, 600, 2_000, 4_000)])
    for name in ("country", "campaign", "site", "user", "device"):
        ratio = reference.features[name].cardinality_ratio
        assert ratio.min == pytest.approx(1, abs=0.15)
        assert ratio.max == pytest.approx(1, abs=0.15)


def test_one_window_knows_no_unseen_share() -> None:
    reference = fit_reference([window(["a", "b"], [0, 1])])
    assert reference.features["x"].unseen_share is None
    assert reference.volume.sd == 0


def test_feature_without_values_is_fitted() -> None:
    reference = fit_reference([window([None, None], [0, 1])] * 3)
    assert reference.features["x"].null_share.mean == 1
    assert reference.features["x"].unseen_share is None
    assert reference.known_values["x"].len() == 0


def test_windows_without_rows_are_left_out_and_none_is_refused() -> None:
    empty = FeatureCounts(["x"], "click")
    assert fit_reference([empty, window(["a"], [1])]).windows == 1
    with pytest.raises(ConfigError, match="at least one window"):
        fit_reference([empty])


def test_saved_reference_is_loaded_as_it_was(tmp_path: Path) -> None:
    reference = fit_reference([*Clicks(seed=3).windows(4, 300)])
    version = reference.save(tmp_path / "clicks")
    for path in (version, tmp_path / "clicks"):
        loaded = Reference.load(path)
        assert loaded.features == reference.features
        assert (loaded.windows, loaded.volume, loaded.click_rate) == (4, reference.volume, reference.click_rate)
        for name in NAMES:
            assert loaded.known_values[name].equals(reference.known_values[name], check_dtypes=True)
            assert loaded.abundances[name].sizes.tolist() == reference.abundances[name].sizes.tolist()
            assert loaded.abundances[name].times.tolist() == reference.abundances[name].times.tolist()


def test_values_of_any_type_and_script_survive(tmp_path: Path) -> None:
    counts = FeatureCounts(["word", "price"], "click")
    counts.update(pa.record_batch({"word": ["", "ü", "a\x00b"], "price": [0.5, 1e300, -1.0], "click": [0, 1, 0]}))
    loaded = Reference.load(fit_reference([counts]).save(tmp_path / "r"))
    assert loaded.known_values["word"].to_list() == ["", "a\x00b", "ü"]
    assert loaded.known_values["price"].to_list() == [-1.0, 0.5, 1e300]


def test_an_artefact_that_is_no_reference_is_refused(tmp_path: Path) -> None:
    save_artefact(tmp_path / "r", kind="reference", tensors={"x": np.zeros(1)}, meta={"label": "click"})
    with pytest.raises(ModelError, match="not a reference"):
        Reference.load(tmp_path / "r")


def test_above_the_cap_the_figures_are_those_of_all_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    samples: list[FeatureCounts] = []
    whole: list[FeatureCounts] = []
    for _ in range(4):
        rows = {"x": rng.integers(0, 30_000, 20_000), "click": rng.integers(0, 2, 20_000)}
        for windows, cap in ((samples, 3_000), (whole, 100_000)):
            windows.append(FeatureCounts(["x"], "click", max_values=cap))
            windows[-1].update(pa.record_batch(rows))
    sampled, exact = fit_reference(samples), fit_reference(whole)
    assert exact.hash_limits == {}
    assert exact.hash_limit("x") == HASH_RANGE
    estimate, truth = sampled.features["x"], exact.features["x"]
    assert estimate.unseen_share is not None
    assert truth.unseen_share is not None
    assert estimate.unseen_share.mean == pytest.approx(truth.unseen_share.mean, rel=0.1)
    assert estimate.cardinality_ratio.mean == pytest.approx(1, abs=0.05)
    assert sampled.abundances["x"].values == pytest.approx(exact.abundances["x"].values, rel=0.1)
    for n in (5_000, 200_000):
        expected = exact.abundances["x"].expected_distinct(n)
        assert sampled.abundances["x"].expected_distinct(n) == pytest.approx(expected, rel=0.1)
    loaded = Reference.load(sampled.save(tmp_path / "r"))
    assert loaded.hash_limits == sampled.hash_limits
    assert loaded.abundances["x"].values == sampled.abundances["x"].values
    assert loaded.abundances["x"].rows == sampled.abundances["x"].rows == 80_000

"""All methods see the same rows, labels only where the protocol lets them, and no part is without outliers."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rows_labelled, rows_protocol
from benchmarks.rows_labelled import GRIDS, NETWORKS, judge_labelled, settings_for
from benchmarks.rows_protocol import (
    Table,
    halves,
    judge_label_free,
    judged,
    sampled,
    set_names,
    set_shape,
    split_set,
)
from sparsewatch.detectors.rows.methods.registry import METHODS


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a set with outliers that lie apart."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 6 == 0
    (tmp_path / "outliers").mkdir()
    np.savez(tmp_path / "outliers" / "9_made.npz", X=rng.normal(size=(120, 3)) + 8 * y[:, None], y=y.astype(np.int64))
    monkeypatch.setenv("SPARSEWATCH_DATA", str(tmp_path))
    for cached in (rows_protocol.read_set, split_set, rows_protocol._encoded_parts, rows_labelled._encoded):
        cached.cache_clear()
    return "9_made"


def test_a_sample_keeps_the_share_of_outliers_and_of_few_all_parts_get_one() -> None:
    outlier = np.zeros(95_000, dtype=np.bool_)
    outlier[::3_200] = True
    table = sampled(Table(np.arange(95_000.0)[:, None], outlier), seed=0)
    assert 20_000 <= len(table.outlier) <= 20_001
    assert table.outlier.sum() == np.ceil(outlier.sum() * 20_000 / 95_000)
    assert len(np.unique(table.X)) == len(table.X)


def test_a_small_set_is_taken_whole() -> None:
    table = Table(np.zeros((5, 1)), np.zeros(5, dtype=np.bool_))
    assert sampled(table, seed=0) is table


def test_parts_are_disjoint_and_hold_half_and_quarters_of_each_class(made_up: str) -> None:
    parts = split_set(made_up, 3)
    assert [len(part.X) for part in parts] == [60, 30, 30]
    assert [int(part.outlier.sum()) for part in parts] == [10, 5, 5]
    rows = np.concatenate([part.X for part in parts])
    assert len(np.unique(rows, axis=0)) == 120
    assert np.array_equal(parts.fit.X, rows[:90])


def test_another_seed_is_another_split(made_up: str) -> None:
    assert not np.array_equal(split_set(made_up, 0).test.X, split_set(made_up, 1).test.X)
    assert np.array_equal(split_set(made_up, 0).test.X, split_set(made_up, 0).test.X)


def test_halves_alternate_without_the_widest_set_which_counts_to_the_other() -> None:
    chosen_on, other = halves(["11_a", "12_b", "17_InternetAds", "18_c", "1_d"])
    assert (chosen_on, other) == (["11_a", "18_c"], ["12_b", "17_InternetAds", "1_d"])


def test_the_half_the_default_was_chosen_on_is_the_one_stated(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEWATCH_DATA", str(data_dir))
    chosen_on, other = halves(set_names())
    numbers = [int(name.split("_")[0]) for name in chosen_on]
    assert numbers == [11, 14, 18, 20, 22, 26, 29, 31, 34, 38, 41, 44, 47, 5]
    assert len(other) == 15


def test_a_shape_is_read_without_the_rows(made_up: str) -> None:
    assert set_shape(made_up) == (120, 3)


def test_without_data_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEWATCH_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="SPARSEWATCH_DATA"):
        set_names()


def test_high_scores_of_outliers_are_right() -> None:
    figures = judged(np.array([1.0, 2.0, 3.0]), np.array([False, False, True]))
    assert figures == {"auc": 1.0, "ap": 1.0, "rows": 3, "outliers": 1}


@pytest.mark.parametrize("method", ["ensemble", "hbos", "knn"])
def test_a_method_finds_outliers_that_lie_apart_without_labels(made_up: str, method: str) -> None:
    figures = judge_label_free(method, made_up, 0)
    assert figures["auc"] > 0.9
    assert figures["fit_seconds"] > 0


@pytest.mark.parametrize("method", sorted(GRIDS))
def test_a_grid_names_settings_that_its_method_has(method: str) -> None:
    known = inspect.signature(METHODS[method].fit).parameters
    assert all(set(settings) <= set(known) for settings in GRIDS[method].settings)


def test_labels_choose_among_settings_and_seeds(made_up: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GRIDS, "hbos", rows_labelled.Grid(({"bins": 5}, {"bins": 10})))
    (row,) = judge_labelled("hbos", made_up).values()
    assert row["chosen"]["bins"] in (5, 10)
    assert row["validation_auc"] > 0.9


@pytest.mark.parametrize("kind", sorted(NETWORKS))
def test_a_network_gets_a_row_for_each_target(made_up: str, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(rows_labelled, "STEPS", 2)
    monkeypatch.setattr(rows_labelled, "SEEDS", (0,))
    rows = judge_labelled(kind, made_up)
    assert list(rows) == [f"{kind} {target}" for target in ("none", "mss1", "mss2", "mss3")]
    assert all(0 <= row["auc"] <= 1 and row["chosen"]["seed"] == 0 for row in rows.values())


@pytest.mark.parametrize(("n", "d"), [(120, 3), (20_000, 10), (1_966, 1_555)])
def test_every_set_gets_about_as_many_steps(n: int, d: int) -> None:
    settings = settings_for(True, n, d)
    per_epoch = (n * 3 // 4) // settings.batch_rows if settings.batch_rows else 1
    assert 0.9 * rows_labelled.STEPS <= settings.epochs * per_epoch <= rows_labelled.STEPS
    assert settings.look_every * per_epoch <= rows_labelled.LOOK_EVERY

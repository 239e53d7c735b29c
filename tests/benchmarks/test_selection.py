"""What is planted is found, halves are apart in time, and a copy of the label is chosen and used."""

import numpy as np
import polars as pl
import pytest

from benchmarks.downstream import DATA_SETS, bench_downstream, by_forest, by_score, by_three_mr, halves, judge
from benchmarks.planted import bench_planted, label, rank_combinations
from sparsewatch.detectors.outrank.columns.codes import encode


def clicks(rows: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, rows)
    columns = {f"noise{i}": rng.integers(0, 50, rows) for i in range(5)}
    copies = {"copy": np.where(rng.random(rows) < 0.1, 1 - truth, truth)}
    return pl.DataFrame({"time": rng.permutation(rows), **columns, **copies, "attributed_time": truth, "label": truth})


def test_an_exclusive_or_is_the_best_pair() -> None:
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (4, 1_000))
    ranking = rank_combinations({f"f{i}": encode(row) for i, row in enumerate(bits)}, 2, encode(bits[1] ^ bits[3]))
    assert ranking[0].feature == "f1 AND f3"
    assert len(ranking) == 6
    assert ranking[0].score > 0.6 > ranking[1].score


def test_values_below_20_are_one_label() -> None:
    assert label(np.array([10, 19, 20, 21])).codes.tolist() == [0, 0, 1, 2]


@pytest.mark.slow
def test_everything_planted_is_on_top() -> None:
    assert all(result.met for result in bench_planted() if result.target is not None)


def test_the_test_half_is_the_later_one() -> None:
    data = halves(clicks(2_000).sort("time"), "time", seed=0)
    place = data.features.index("time")
    # Codes number values in the order they appear, which is that of time.
    assert data.train[:, place].max() < data.test[:, place].min()


def test_what_is_known_with_the_label_only_is_left_out() -> None:
    data = halves(clicks(200), None, seed=0)
    assert not {"attributed_time", "label"} & set(data.features)


def test_random_halves_differ_by_seed_and_hold_all_rows() -> None:
    first, second = (halves(clicks(201), None, seed) for seed in (0, 1))
    assert first.train_labels.size + first.test_labels.size == 201
    assert first.train_labels.tolist() != second.train_labels.tolist()


def test_all_selections_put_a_copy_of_the_label_first() -> None:
    data = halves(clicks(2_000), None, seed=0)
    copy = data.features.index("copy")
    for select in (by_score, by_three_mr, by_forest):
        order = select(data)
        assert order[0] == copy
        assert sorted(order) == list(range(len(data.features)))


def test_a_model_is_judged_on_rows_it_has_not_seen() -> None:
    data = halves(clicks(2_000), None, seed=0)
    with_copy = judge(data, np.array([data.features.index("copy")]))
    without = judge(data, np.array([data.features.index("time")]))
    assert with_copy.auc == pytest.approx(0.9, abs=0.03)
    assert without.auc == 0.5
    assert with_copy.log_loss < without.log_loss


def test_each_selection_is_set_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATA_SETS, "clicks", "time")
    results = {result.name: result for result in bench_downstream("clicks", clicks(2_000))}
    assert {"clicks_best_5_forest", "clicks_best_5_plain_mi", "clicks_best_5_three_mr", "clicks_all"} <= set(results)
    assert results["clicks_best_5_forest"].peer == "random forest importance"
    assert results["clicks_seconds_forest"].value > 0

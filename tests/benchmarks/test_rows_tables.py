"""The page says of whatever was measured where the default stands, and the results name the best peer."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rows_results, rows_tables
from benchmarks.harness import this_machine
from benchmarks.rows_peers import PEERS
from benchmarks.rows_protocol import Measurement
from benchmarks.rows_results import BEST_METHOD, BEST_NETWORK, labelled, results_of
from benchmarks.rows_tables import write_tables
from sparsewatch.detectors.rows.methods.registry import DEFAULT

SETS = ["1_a", "2_b", "3_c"]


@pytest.fixture(autouse=True)
def _three_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rows_results, rows_tables):
        monkeypatch.setattr(module, "set_names", lambda: SETS)
    monkeypatch.setattr(rows_tables, "set_shape", lambda name: (30_000, 7))


def measurement(of: str, method: str, rows: dict[str, dict[str, Any]], protocol: str = "label-free") -> Measurement:
    return Measurement(
        protocol=protocol,
        set=of,
        seed=0,
        method=method,
        rows=rows,
        seconds=60.0,
        machine=this_machine(),
        date=datetime(2026, 1, 1, tzinfo=UTC),
        command="python -m benchmarks.rows",
    )


def free(of: str, method: str, auc: float) -> Measurement:
    figures = {"auc": auc, "ap": auc / 2, "rows": 10, "outliers": 1, "fit_seconds": 1.0, "score_seconds": 0.5}
    return measurement(of, method, {method: figures})


def chosen(of: str, method: str, validation_auc: float, auc: float, row: str = "") -> Measurement:
    chosen_here = {"k": 5, "seed": 2}
    figures = {"auc": auc, "ap": auc, "validation_auc": validation_auc, "mean_auc": auc, "chosen": chosen_here}
    return measurement(of, method, {row or method: figures}, "labelled")


def label_free() -> list[Measurement]:
    aucs = {DEFAULT: (0.9, 0.8, 0.7), **dict.fromkeys(PEERS, (0.6, 0.6, 0.6)), "PyOD KNN": (0.5, 0.9, 0.8)}
    return [free(of, method, auc) for method, by_set in aucs.items() for of, auc in zip(SETS, by_set, strict=True)]


def test_the_default_stands_beside_the_best_single_peer() -> None:
    results = {result.name: result for result in results_of(label_free())}
    auc = results["default_auc"]
    assert auc.value == pytest.approx(0.8)
    assert auc.peer == "PyOD KNN"
    assert auc.peer_value == pytest.approx(2.2 / 3)
    assert auc.met is True
    assert results["default_auc_half_other"].met is False
    assert results["default_auc_beside_ECOD"].ratio == pytest.approx(0.8 / 0.6)
    assert "PyOD KNN 2." in auc.note


def test_there_are_no_results_before_all_peers_are_measured() -> None:
    assert not results_of([free(of, DEFAULT, 0.9) for of in SETS])


def test_what_labels_choose_goes_by_the_validation_not_the_test() -> None:
    entries = [
        chosen("1_a", "knn", 0.7, 0.9),
        chosen("1_a", "lof", 0.8, 0.6),
        chosen("1_a", "apre", 0.99, 0.5, row="apre none"),
    ]
    board = labelled(entries)
    assert board.of(BEST_METHOD).tolist() == [0.6]
    assert board.of(BEST_NETWORK).tolist() == [0.5]


def test_the_page_says_where_the_default_is_not_ahead(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write_tables([*label_free(), chosen("1_a", "apre", 0.9, 0.8, row="apre none")], path)
    page = path.read_text(encoding="utf-8")
    assert "- Mean AUC: ahead of all." in page
    assert "- Mean AUC on the other half: behind PyOD KNN." in page
    assert "2 to PyOD KNN." in page
    assert "| 1_a | 30,000 | 20,000 | 7 | 10 | 1 |" in page
    assert "| 1_a | 5, 2 (0.800) |" in page


def test_a_page_of_nothing_is_an_introduction(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write_tables([], path)
    assert path.read_text(encoding="utf-8").startswith("# Row anomalies")

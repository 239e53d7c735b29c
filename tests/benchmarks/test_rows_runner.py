"""What was measured is found again until what it depends on changes; parts have names; a peer says why it fails."""

import re
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import rows, rows_labelled, rows_peers, rows_tables, runs
from benchmarks.harness import this_machine
from benchmarks.rows import Task, main, measured_before, perform, place, seconds_left, tasks
from benchmarks.rows_peers import PEERS, Peer
from benchmarks.rows_protocol import Measurement, read_set, split_set
from sparsewatch.detectors.rows.methods.registry import METHODS

LITTLE, LARGE = "10_little", "2_large"


@pytest.fixture(autouse=True)
def _two_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "outliers").mkdir()
    for name, n in ((LITTLE, 60), (LARGE, 240)):
        y = np.arange(n) % 5 == 0
        np.savez(
            tmp_path / "outliers" / f"{name}.npz", X=rng.normal(size=(n, 3)) + 9 * y[:, None], y=y.astype(np.int64)
        )
    monkeypatch.setenv("SPARSEWATCH_DATA", str(tmp_path))
    monkeypatch.setattr(rows, "CACHE", tmp_path / "cache")
    for cached in (read_set, split_set, rows.cells, runs.file_digest):
        cached.cache_clear()


def test_a_first_seed_of_small_sets_comes_first_and_labels_last() -> None:
    everything = list(tasks())
    assert (everything[0].protocol, everything[0].set, everything[0].seed) == ("label-free", LITTLE, 0)
    protocols = [task.protocol for task in everything]
    assert protocols == sorted(protocols, key=["label-free", "labelled"].index)
    seeds = [task.seed > 0 for task in everything if task.protocol == "label-free"]
    assert seeds == sorted(seeds)
    assert len(set(everything)) == len(everything)
    assert {task.method for task in everything} >= {*METHODS, *PEERS, *rows_labelled.NETWORKS}


def test_what_was_measured_is_stored() -> None:
    task = Task("label-free", LITTLE, 0, "hbos")
    assert measured_before(task) is None
    measured = perform(task, "python -m benchmarks.rows")
    assert measured_before(task) == measured
    assert measured.rows["hbos"]["auc"] > 0.9
    assert [path.suffix for path in rows.CACHE.iterdir()] == [".json"]


def test_only_a_method_that_changed_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    hbos, knn = Task("label-free", LITTLE, 0, "hbos"), Task("label-free", LITTLE, 0, "knn")
    before = place(hbos), place(knn)
    monkeypatch.setitem(rows.VERSIONS, "hbos", 2)
    assert place(hbos) != before[0]
    assert place(knn) == before[1]


def test_other_settings_of_the_labelled_protocol_are_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    network, grid = Task("labelled", LITTLE, 0, "apre"), Task("labelled", LITTLE, 0, "knn")
    before = place(network), place(grid)
    monkeypatch.setattr(rows_labelled, "STEPS", 7)
    assert place(network) != before[0]
    assert place(grid) == before[1]


def test_what_is_left_takes_as_long_as_another_seed_or_as_the_cells_of_other_sets() -> None:
    def measurement(task: Task, seconds: float) -> Measurement:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return Measurement(
            protocol=task.protocol,
            set=task.set,
            seed=task.seed,
            method=task.method,
            rows={},
            seconds=seconds,
            machine=this_machine(),
            date=now,
            command="",
        )

    first = Task("label-free", LITTLE, 0, "knn")
    done = {first: measurement(first, 3.0)}
    assert seconds_left([Task("label-free", LITTLE, 1, "knn")], done) == pytest.approx(3.0)
    assert seconds_left([Task("label-free", LARGE, 0, "knn")], done) == pytest.approx(12.0)
    assert 0 < seconds_left([Task("label-free", LARGE, 0, "lof")], done) < 1


@pytest.mark.parametrize("option", ["--sets", "--methods", "--seeds"])
def test_an_unknown_part_is_named(option: str) -> None:
    done = CliRunner().invoke(main, [option, "nonesuch"])
    assert done.exit_code == 2
    assert "got nonesuch" in done.output


def test_a_part_measured_alone_leaves_the_results_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "rows-benchmark.md"
    page.write_text("## Without labels\n\n| **ensemble** | 0.7 |\n| knn | 0.6 |\n| a method that is gone | 0.5 |\n")
    monkeypatch.setattr(rows, "missing", partial(rows_tables.missing, path=page))
    written: list[str] = []
    monkeypatch.setattr(rows, "write_results", lambda name, results: written.append(name))
    monkeypatch.setattr(rows, "write_tables", lambda measurements: written.append("page"))
    perform(Task("label-free", LITTLE, 0, "knn"), "")
    part = CliRunner().invoke(main, ["--tables-only"]).output
    assert "results and page stay: 1 of what they show not measured here, ensemble;" in part
    assert re.search(r"^knn +\d\.\d{4}$", part, flags=re.MULTILINE)
    assert written == []
    perform(Task("label-free", LITTLE, 0, "ensemble"), "")
    assert CliRunner().invoke(main, ["--tables-only"]).exit_code == 0
    assert written == ["rows", "page"]


def test_a_set_is_asked_for_by_number_or_name() -> None:
    assert rows._chosen("2,little", [LITTLE, LARGE], "--sets") == {LITTLE, LARGE}


def test_help_says_how_to_begin() -> None:
    assert "--protocol label-free --seeds 0" in CliRunner().invoke(main, ["--help"]).output


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    """A peer that scores by the sum of a row, and fails for one detector."""
    script = tmp_path / "stand_in.py"
    script.write_text(
        "import json, sys\n"
        "import numpy as np\n"
        "for line in sys.stdin:\n"
        "    name, seed, folder = line.split()\n"
        "    np.save(folder + '/scores.npy', np.load(folder + '/test.npy').sum(axis=1))\n"
        "    fine = {'fit_seconds': 1.0, 'score_seconds': 2.0}\n"
        "    print(json.dumps({'error': 'so it is'} if name == 'ECOD' else fine), flush=True)\n"
    )
    monkeypatch.setattr(rows_peers, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(rows_peers, "SCRIPT", script)
    peer = Peer()
    monkeypatch.setattr(rows_peers, "the_peer", lambda: peer)
    return peer


def test_a_peer_is_judged_on_the_same_test_rows(stand_in: Peer) -> None:
    figures = rows_peers.judge_peer("PyOD KNN", LITTLE, 0)
    assert (figures["auc"], figures["rows"], figures["fit_seconds"]) == (1.0, 15, 1.0)
    with pytest.raises(RuntimeError, match="ECOD failed: so it is"):
        rows_peers.judge_peer("PyOD ECOD", LITTLE, 0)
    stand_in.close()
    with pytest.raises(RuntimeError, match="ended with 0"):
        rows_peers.judge_peer("PyOD KNN", LITTLE, 0)


def test_a_missing_peer_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_peers, "PYTHON", tmp_path / "python")
    with pytest.raises(FileNotFoundError, match="make bench-rows"):
        Peer()

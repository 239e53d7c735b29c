"""Peers count what polars counts, one that read other rows is no measurement, and a missing one says how to get it."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from benchmarks import profilers
from benchmarks.profilers import PEERS, SCRIPTS, Peer, run_peer
from benchmarks.whole_jobs import Bench, Topic, click_values
from benchmarks.workloads import FEATURES, LABEL, TIME

_PEER = Peer("some", "Some", "")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A peer whose environment is this one; its script is yet to be written."""
    (tmp_path / "some" / "bin").mkdir(parents=True)
    (tmp_path / "some" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(profilers, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(profilers, "SCRIPTS", tmp_path)
    return tmp_path


def test_a_peer_tells_its_rows_and_what_they_took(environment: Path) -> None:
    script = 'print("chatter"); print(\'{"rows": 7, "clicks": 1, "seconds": 2.0, "processor_s": 1.0}\')'
    (environment / "some_clicks.py").write_text(script)
    assert run_peer(_PEER, [], 7).seconds == 2.0
    with pytest.raises(RuntimeError, match="Some: expected 8 rows, got 7"):
        run_peer(_PEER, [], 8)


def test_a_peer_that_fails_is_no_measurement(environment: Path) -> None:
    (environment / "some_clicks.py").write_text("raise SystemExit('so it is')")
    with pytest.raises(RuntimeError, match=r"Some ended with 1: so it is"):
        run_peer(_PEER, [], 7)


def test_a_missing_peer_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profilers, "ENVIRONMENTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="make bench-profilers"):
        run_peer(_PEER, [], 1)


def test_each_peer_has_a_script_an_environment_and_a_place_in_the_makefile() -> None:
    makefile = (SCRIPTS.parents[1] / "Makefile").read_text(encoding="utf-8")
    (line,) = [line for line in makefile.splitlines() if line.startswith("bench-profilers:")]
    for peer in PEERS:
        assert (SCRIPTS / f"{peer.name}_clicks.py").exists()
        assert (SCRIPTS / f"{peer.name}.txt").exists()
        assert peer.name in line


def test_a_slow_peer_reads_fewer_rows(tmp_path: Path) -> None:
    rows = profilers.Rows(Topic("all", rows=9), Topic("few", rows=2), tmp_path / "x")
    bench = Bench("b:1", tmp_path, 1)
    assert rows.arguments(bench, Peer("a", "A", "", reads_kafka=True)) == ["b:1", "few", "2"]
    assert rows.arguments(bench, Peer("a", "A", "", is_fast=True)) == [str(tmp_path / "x"), "9"]


def test_counts_in_python_are_those_of_polars() -> None:
    values = list(click_values(200, window_rows=120))
    program = (
        "import json, sys; from click_counts import Counting; counting = Counting(lambda: None)\n"
        "for line in sys.stdin: counting.add(json.loads(line))\n"
        "print(json.dumps([[w, n, v, *c] for w, f in counting.counts.items()"
        " for n, vs in f.items() for v, c in vs.items()]))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n{program}"]
    done = subprocess.run(command, input=b"\n".join(values), capture_output=True, check=True)
    counted = {(window, name, value): (rows, clicks) for window, name, value, rows, clicks in json.loads(done.stdout)}
    frame = pl.read_ndjson(b"\n".join(values), infer_schema_length=None)
    frame = frame.with_columns(window=pl.col(TIME) // 60_000)
    expected = {
        (window, name, value): (rows, clicks)
        for name in FEATURES
        for window, value, rows, clicks in frame.group_by("window", name).agg(pl.len(), pl.col(LABEL).sum()).iter_rows()
    }
    assert len({window for window, *_ in expected}) > 1
    assert counted == expected

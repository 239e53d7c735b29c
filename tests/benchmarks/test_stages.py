"""Stages are those of a real job, an earlier commit's stand beside as the peer, and sums are of each round."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import stages
from benchmarks.stages_run import STAGES, timed_stages
from benchmarks.whole_jobs import Bench, Topic, click_job, click_values
from sparsewatch.testing.broker import FakeBroker


def _round(us: float) -> dict[str, float]:
    return dict.fromkeys(STAGES, us)


def test_an_earlier_commit_is_the_peer_and_the_sum_is_that_of_a_round() -> None:
    rounds = {"now": [_round(1.0), _round(3.0), _round(2.0)], "abc": [_round(4.0)] * 3}
    results = {result.name: result for result in stages.results_of("x", rounds, 10)}
    assert list(results) == [f"x_{stage}" for stage in (*STAGES, "whole")]
    assert (results["x_decode"].value, results["x_decode"].spread, results["x_decode"].peer) == (
        2.0,
        (1.0, 3.0),
        "before (abc)",
    )
    assert (results["x_whole"].value, results["x_whole"].peer_value, results["x_whole"].ratio) == (12.0, 24.0, 0.5)


def test_without_a_commit_there_is_no_peer() -> None:
    assert {r.peer for r in stages.results_of("x", {"now": [_round(1.0)]}, 10)} == {None}


def test_an_unknown_commit_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError), stages.code_of("no-such-commit"):
        pass


def test_a_run_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"x\.toml of the code of now failed: "):
        stages.measure(tmp_path / "x.toml", 1, stages.Code("now", str(stages.ROOT)))


def test_every_stage_of_a_job_takes_time_and_all_rows_are_counted(tmp_path: Path) -> None:
    topic, job_file = Topic("clicks-json"), tmp_path / "x.toml"
    with FakeBroker() as broker:
        broker.create(topic.name, partitions=2)
        writer = broker.writer()
        for value in click_values(3_000):
            writer.send(topic.name, None, value)
        writer.close()
        job = click_job(Bench(broker.settings.bootstrap_servers[0], tmp_path, 1), topic, "kafka-python")
        job_file.write_text(job("x"))
        found = timed_stages(job_file, 3_000)
        assert list(found) == list(STAGES)
        assert all(us > 0 for us in found.values())
        with pytest.raises(ValueError, match="expected 2999 rows in all windows, got 3000"):
            timed_stages(job_file, 2_999)

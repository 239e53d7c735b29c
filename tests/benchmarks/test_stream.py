"""Results have their own targets, figures are those of their runs, and topics go on where they ended."""

import json
from pathlib import Path

import polars as pl
import pytest

from benchmarks import stream
from benchmarks.harness import Rounds
from benchmarks.timed_job import Timing, machine_busy_s
from benchmarks.whole_jobs import Bench, JobText, Topic, click_job, click_values
from benchmarks.workloads import FEATURES, LABEL, TIME


class _Bench(Bench):
    """Runs nothing: each round takes twice as long as the one before."""

    def run(self, job: JobText, rows: int, environment: object = None) -> Timing:
        self.jobs += 1
        took = 2.0**self.jobs
        return Timing(
            first_read=5.0,
            last_commit=5.0 + took,
            processor_at_last_commit=took / 2,
            machine_at_last_commit=took * 1.5,
            rows=rows,
            peak_memory_mb=100.0 * self.jobs,
            start_up=2.0,
        )


def test_each_result_is_compared_with_its_own_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "peer_rate", lambda _: 1_000.0)
    topic = Topic("t", rows=1_600)
    targets = {"of_polars": 0.4, "cores": 1.8, "start_up": 3.0, "memory": 200.0}
    found = stream.measure(_Bench("", Path(), 3), "x", topic, str, 500.0, targets=targets)
    results = {result.name: result for result in found}
    assert (results["x"].value, results["x"].spread, results["x"].met) == (400.0, (200.0, 800.0), False)
    assert (results["x_of_polars"].value, results["x_of_polars"].met) == (0.4, True)
    assert (results["x_cores"].value, results["x_cores"].met) == (1.5, False)
    assert (results["x_own_cores"].value, results["x_own_cores"].met) == (0.5, None)
    assert results["x_processor"].value == 800.0
    assert (results["x_start_up"].met, results["x_memory"].value, results["x_memory"].met) == (True, 200.0, True)


def test_the_share_of_a_peer_is_the_middle_of_the_rounds_own_shares() -> None:
    (share,) = stream.of_polars("x", Rounds([1.0, 2.0, 9.0]), Rounds([10.0, 10.0, 10.0]), 0.4)
    assert (share.value, share.spread, share.met) == (0.2, (0.1, 0.9), False)
    assert stream.of_polars("x", Rounds([1.0]), Rounds([2.0]), None) == []


def test_a_machine_is_busy_with_all_but_waiting() -> None:
    # user nice system idle iowait irq softirq steal
    assert machine_busy_s("cpu  100 20 30 900 800 4 6 700 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n") == pytest.approx(1.6)
    assert 0 < machine_busy_s() <= machine_busy_s()


@pytest.mark.parametrize("format_", ["json", "arrow"])
def test_a_topic_goes_on_where_it_ended(format_: str) -> None:
    def events(rows: int, first_row: int = 0) -> pl.DataFrame:
        values = list(click_values(rows, format_, first_row))
        if format_ == "arrow":
            return pl.concat([pl.read_ipc_stream(value) for value in values])
        return pl.read_ndjson(b"\n".join(values))

    first, second = events(300), events(200, 300)
    assert (first.height, second.height) == (300, 200)
    steps = pl.concat([first[TIME], second[TIME]]).diff().drop_nulls()
    assert steps.min() == 0
    assert steps.max() == 1
    assert not first.head(200).drop(TIME).equals(second.drop(TIME))


def test_the_peer_decodes_what_the_topic_holds() -> None:
    sample = list(click_values(50))
    assert stream.peer_rate(Topic("t", sample=sample)) > 0
    with pytest.raises(pl.exceptions.ComputeError):
        stream.peer_rate(Topic("t", "arrow", sample=[b"no stream"]))


def test_a_job_file_names_all_columns_and_what_is_asked_of_its_source() -> None:
    text = click_job(Bench("b:1", Path(), 1), Topic("t"), "confluent", window="1s", source=["readers = 2"])("some")
    for line in (
        'name = "some"',
        'client = "confluent"',
        'length = "1s"',
        "[source]\nreaders = 2\n",
        f'{LABEL} = "int"',
    ):
        assert line in text
    assert all(f'{name} = "{kind}"' in text for name, kind in FEATURES.items())


def test_values_are_records_with_a_label_and_a_time() -> None:
    (value,) = click_values(1)
    assert {TIME, LABEL} <= json.loads(value).keys()

"""Metrics of every job: how long a record takes until its window is closed, how far each partition is read."""

import time

from sparsewatch.schemas.accounts import Account, LastRecord, Progress, ResumePoint
from sparsewatch.schemas.stream_history import StreamHistory
from sparsewatch.transforms.window.job_metrics import newest_came_s, progress_metrics, window_metrics


def progress(*last_ms: int | None, silent_since_us: int | None = None) -> Progress:
    """A job whose partitions' last records came at these times; None of a partition without a record."""
    points = {
        p: ResumePoint(offset=0, newest_us=0, high=10 * p, last=None if ms is None else LastRecord(9, ms, 0))
        for p, ms in enumerate(last_ms)
    }
    return Progress(
        job="j",
        topic="t",
        settings="",
        closed_end_us=1,
        partitions=points,
        sequences={},
        totals=Account(),
        stream=StreamHistory(silent_since_us=silent_since_us),
    )


def test_the_heartbeat_is_measured_from_the_newest_record_of_any_partition() -> None:
    assert newest_came_s(progress(1_000, None, 3_500, 2_000)) == 3.5


def test_there_is_no_heartbeat_where_no_record_tells_its_time() -> None:
    assert newest_came_s(progress()) is None
    assert newest_came_s(progress(None, -1)) is None
    assert newest_came_s(progress(1_000, silent_since_us=5)) is None


def test_the_heartbeat_ends_when_the_window_is_closed_and_is_never_negative() -> None:
    def heartbeat(came_s: float | None) -> list[float]:
        samples = window_metrics([], 0, came_s)
        return [sample.value for sample in samples if sample.name == "sparsewatch_heartbeat_seconds"]

    [passed] = heartbeat(time.time() - 100)
    assert 100 <= passed < 200
    assert heartbeat(time.time() + 100) == [0.0]
    assert heartbeat(None) == []


def test_each_partition_tells_how_far_it_is_read() -> None:
    said = {
        sample.labels["partition"]: sample.value
        for sample in progress_metrics(progress(None, None, None))
        if sample.name == "sparsewatch_partition_read_offset"
    }
    assert said == {"0": 0, "1": 10, "2": 20}

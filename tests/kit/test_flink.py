"""The Flink stack of the kit runs a bounded job, and an endless one through a lost task manager."""

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from tests.kit.flink import FlinkStack
from tests.kit.ticks import counts_by_window, run_ticks
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.timeout(900)  # three JVMs on a busy machine


def test_bounded_pipeline_ends_with_its_count(flink: FlinkStack) -> None:
    options = PipelineOptions(flink.options(checkpointing_interval_ms=None))
    with beam.Pipeline(options=options) as pipeline:
        squares = pipeline | beam.Create(range(100)) | beam.Map(lambda number: number * number)
        assert_that(squares | beam.combiners.Count.Globally(), equal_to([100]))


def test_endless_pipeline_counts_each_tick_once_though_its_task_manager_is_killed(
    flink: FlinkStack, tmp_path: Path
) -> None:
    path, checkpoints = tmp_path / "counts", flink.cluster.checkpoints
    options = [*flink.options(checkpointing_interval_ms=1000), "--finish_bundle_before_checkpointing"]
    job = run_ticks(options, path, every_s=0.25, window_s=2.0)
    try:
        wait_for(lambda: len(counts_by_window(path)) >= 3, 240, "three windows of ticks")
        wait_for(lambda: any(checkpoints.glob("*/chk-*/_metadata")), 60, "a checkpoint")
        flink.cluster.kill_task_manager()
        before = len(counts_by_window(path))
        flink.cluster.start_task_manager()
        wait_for(lambda: len(counts_by_window(path)) >= before + 3, 240, "windows after the restart")
    finally:
        job.cancel()
        flink.cluster.cancel_jobs()
    first, *whole = sorted(counts_by_window(path))  # the first window may have begun before the ticks
    assert whole == list(range(first + 2, first + 2 + 2 * len(whole), 2))
    assert {counts_by_window(path)[start] for start in whole} == {8}

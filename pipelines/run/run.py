"""Run a job: choose a Beam runner, make the job ready, ask the broker, build its graph, run that, sum up.

All kinds share the graph: events read, windows measured, side records written, windows closed. A kind gives the three
parts in the middle (`sparsewatch.pipelines.job.ready.Prepared`).
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows

from sparsewatch.pipelines.console import stopping
from sparsewatch.pipelines.job.broker_checks import check_broker
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.output_checks import check_alerts_file
from sparsewatch.pipelines.job.ready import Prepared, Ready, prepare, ready, with_versions
from sparsewatch.pipelines.run.background import Background
from sparsewatch.pipelines.run.begin import begin, take_over
from sparsewatch.pipelines.run.bundle_ends import end_bundles_soon
from sparsewatch.pipelines.run.lookout import Lookout
from sparsewatch.pipelines.run.prism import prism
from sparsewatch.pipelines.run.repeat import repeat
from sparsewatch.pipelines.run.report import RunReport, start_lines
from sparsewatch.pipelines.run.runners import NO_PRISM, Runner, choose_runner, find_prism, parse_until, runner_options
from sparsewatch.schemas.accounts import Marker, Part, Progress, marker_part
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import FencedError, SourceError
from sparsewatch.transforms import coders
from sparsewatch.transforms.kafka.instances import Watch
from sparsewatch.transforms.kafka.open import kept_writers, lent_writer, partitions_of
from sparsewatch.transforms.kafka.presence import STOP
from sparsewatch.transforms.kafka.progress import load_progress
from sparsewatch.transforms.kafka.reader_start import ReadSpec, Until
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS, ReadKafka
from sparsewatch.transforms.kafka.write_side_records import WriteSideRecords
from sparsewatch.transforms.listening import listening
from sparsewatch.transforms.window.close_windows import CloseWindows
from sparsewatch.transforms.window.judge_stream import StreamRules

_LOOK_S = 0.1
#: Puts a job's graph into a pipeline.
Build = Callable[[beam.Pipeline], None]


def run_job(
    job: Job,
    until: str,
    runner: str,
    *,
    close_at_end: bool = True,
    repeat_s: float | None = None,
    extra: Sequence[str] = (),
    job_file: str = "JOB.toml",
    report: RunReport | None = None,
) -> str:
    """Run a job to its end, or until it is stopped, and say how it stands.

    Args:
        job: The validated job.
        until: `forever`, `latest` or a time.
        runner: `auto`, `inprocess`, `prism` or `portable`.
        close_at_end: Whether a bounded run closes windows that have not ended.
        repeat_s: Seconds between two runs in this process, each until windows close; None for one run, where the
            runner can run without end.
        extra: Beam options passed through.
        job_file: The job's file, as messages name it.
        report: Shows the run as it goes on.

    Raises:
        ConfigError: If something about the job is wrong; nothing has been read then.
        AccessError: If the broker does not let us in, or lets us not read or write what the job needs.
        SourceError: If no broker answers.
        FencedError: If a newer instance of the job has taken over.
    """
    stop = parse_until(until)
    chosen = choose_runner(runner, stop, repeated=repeat_s is not None)
    made = ready(job)
    prepared = prepare(made)
    made = with_versions(made)
    if chosen != "portable":
        # There the file is written by workers on other machines.
        check_alerts_file(job.output.alerts_file)
    partitions = check_broker(made, job_file)
    coders.register()
    end_bundles_soon()
    STOP.clear()
    with ExitStack() as stack:
        stack.enter_context(kept_writers(job.kafka))
        with lent_writer(job.kafka) as writer:
            made, begun = take_over(made, partitions, writer)
        if report is not None:
            if chosen == "repeat" and repeat_s is None and find_prism() is None:
                report.say(NO_PRISM)
            for line in start_lines(made, chosen, stop, begun, partitions):
                report.say(line)
            stack.enter_context(report.live())
            stack.enter_context(listening(report))
        if chosen == "repeat":
            repeat(partial(_run_until_windows_close, made, prepared, extra), repeat_s or 0.0)
        elif not stopping.asked():
            specs = read_specs(made, partitions, stop, close_at_end)
            _run(made, partial(build_graph, made=made, prepared=prepared, specs=specs), chosen, extra, stop)
    return describe(job, _progress(made))


def _run_until_windows_close(made: Ready, prepared: Prepared, extra: Sequence[str]) -> None:
    topic = made.job.source.topic
    partitions = partitions_of(made.job.kafka, topic)
    if not partitions:
        raise SourceError(f"the broker has no topic {topic!r} now")
    _check_alone(made)
    specs = read_specs(made, partitions, "window")
    with lent_writer(made.job.kafka) as writer:
        begin(made, partitions, writer)
    _run(made, partial(build_graph, made=made, prepared=prepared, specs=specs), "repeat", extra, "window")


def _check_alone(made: Ready) -> None:
    with closing(Watch(made.identity)) as watch:
        watch.check()


def _run(made: Ready, build: Build, runner: Runner, extra: Sequence[str], until: Until) -> None:
    with ExitStack() as stack:
        lookout = stack.enter_context(Lookout(made.identity))
        try:
            if runner in ("inprocess", "repeat"):
                _run_here(build, runner_options(runner, until, extra), lookout)
                return
            if runner == "prism" and (binary := find_prism()) is not None:
                extra = [f"--job_endpoint={stack.enter_context(prism(binary))}", *extra]
            _run_elsewhere(build, runner_options(runner, until, extra), lookout)
        except FencedError:
            raise
        except Exception as error:
            # Workers that were fenced tell their runner so, at length.
            try:
                lookout.look()
            except FencedError as fenced:
                _quieten_workers()
                raise fenced from error
            raise


def _run_here(build: Build, options: PipelineOptions, lookout: Lookout) -> None:
    """Run in this process; readers that are asked to stop end the run with what they have read."""

    def work() -> None:
        with beam.Pipeline(options=options) as pipeline:
            build(pipeline)

    # A run that is fenced is left alone: it writes nothing more, and others may run in this process.
    _await(Background(work, "job"), lookout, on_asked=STOP.set, on_fenced=lambda: None)


def _run_elsewhere(build: Build, options: PipelineOptions, lookout: Lookout) -> None:
    """Run at a job server; asked to stop, cancel the job: the next run reads again what was not committed."""
    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    result = pipeline.run()

    def cancel() -> None:
        if stopping.asked():
            _say_no_more()
        result.cancel()

    def leave() -> None:
        _quieten_workers()
        result.cancel()

    work = Background(result.wait_until_finish, "job")
    try:
        _await(work, lookout, on_asked=cancel, on_fenced=leave)
    except Exception:
        if not stopping.asked():
            raise


def _say_no_more() -> None:
    """The process ends: workers report at length, and past the log, that their runner has gone."""
    logging.disable()
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  for the rest of the process


def _quieten_workers() -> None:
    """The run ends with one message, and workers in this process would add pages about the runner that has gone."""
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL + 1)
    threading.excepthook = lambda _: None


def _await(work: Background, lookout: Lookout, *, on_asked: Callable[[], None], on_fenced: Callable[[], None]) -> None:
    # The main thread waits briefly each time: a library may hold back signals from a wait without end.
    try:
        while not work.ended(_LOOK_S):
            if lookout.fenced is not None:
                on_fenced()
                raise lookout.fenced
            if stopping.asked():
                on_asked()
                break
    except KeyboardInterrupt:
        on_asked()
        raise
    work.result()


def load_job_progress(job: Job) -> Progress | None:
    """Where the job stands; refuses settings it cannot resume with."""
    return _progress(ready(job))


def _progress(made: Ready) -> Progress | None:
    own = made.identity
    return load_progress(own.kafka, own.topics.progress, own.job, own.settings_digest)


def describe(job: Job, progress: Progress | None) -> str:
    """One line for the user."""
    if progress is None:
        return f"{job.name}: no window closed yet"
    totals = progress.totals
    lost = f"; up to {counted(totals.lost, 'record')} lost before they were read" if totals.lost else ""
    if not (progress.windows or totals.read):
        return f"{job.name}: no window closed yet{lost}"
    return (
        f"{job.name}: {totals.read} read = {totals.counted} counted + {totals.rejected} rejected + {totals.late} late, "
        f"in {counted(progress.windows, 'window')}{lost}"
    )


class _MarkerParts(beam.DoFn):
    def __init__(self, job: str) -> None:
        self._job = job

    def process(self, marker: Marker) -> Any:
        yield self._job, marker_part(marker)


def read_specs(made: Ready, partitions: Sequence[int], until: Until, close_at_end: bool = True) -> tuple[ReadSpec, ...]:
    """Readers of a job, partitions dealt out evenly.

    Args:
        made: The job.
        partitions: All partitions of its topic.
        until: When to stop.
        close_at_end: Whether the end of a bounded run closes open windows.
    """
    source = made.job.source
    # In one process readers run one after the other; and where windows stay open at the end, the readers of several
    # would end at different windows, whose rows are then in part not stated.
    is_one = until == "window" or (until != "forever" and not close_at_end)
    readers = 1 if is_one else min(source.readers, len(partitions))
    return tuple(
        ReadSpec(
            identity=made.identity,
            windows=made.windows,
            reader=reader,
            partitions=tuple(p for p in partitions if p % readers == reader),
            readers=readers,
            block_rows=source.block_rows,
            max_record_bytes=made.events.max_record_bytes,
            start=source.start,
            until=until,
            close_at_end=close_at_end,
        )
        for reader in range(readers)
    )


def build_graph(pipeline: beam.Pipeline, made: Ready, prepared: Prepared, specs: tuple[ReadSpec, ...]) -> None:
    """The graph of a job.

    Args:
        pipeline: Where it goes.
        made: The job.
        prepared: What its kind does with windows.
        specs: Its readers.
    """
    job = made.job
    read = pipeline | f"Read{prepared.events}" >> ReadKafka(specs, made.events)
    measures = read.blocks | "WindowBlocks" >> _windows(made) | prepared.measure
    aside = read[ASIDE] | "WindowAside" >> _windows(made) | "WriteSideRecords" >> WriteSideRecords(job.name, job.kafka)
    markers = (
        read[MARKERS]
        | "WindowMarkers" >> _windows(made)
        | "MarkerParts" >> beam.ParDo(_MarkerParts(job.name)).with_output_types(Part)
    )
    stream = StreamRules(job.stream.within(job.allowance), prepared.own_volume)
    close = CloseWindows(
        made.identity,
        prepared.conclude,
        prepared.look_back,
        job.output.alerts_file,
        stream,
        job.incidents,
        prepared.learning,
        len(specs),
    )
    # Labels stay as they are, whatever the classes are called: an update of a running job matches them.
    _ = (measures, aside, markers) | "AllParts" >> beam.Flatten() | "CloseBooks" >> close


def _windows(made: Ready) -> beam.WindowInto:
    return beam.WindowInto(FixedWindows(made.windows.length_us / 1e6))

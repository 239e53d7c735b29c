"""The stages of a click-through job one after the other in this process: processor time of each.

`python -m benchmarks.stages_run JOB.toml ROWS` prints microseconds a row as JSON. It calls what the source and the
steps behind it call, also as they were in earlier commits: `benchmarks.stages` runs it on the code of both. All is
fetched first and the client closed, so that no thread of it works during another stage. Garbage is collected as rarely
as the source has it.
"""

import gc
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import Prepared, Ready, prepare, ready
from sparsewatch.pipelines.run.run import read_specs
from sparsewatch.schemas.accounts import ReaderState
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.kafka.fetching import fetch_batch
from sparsewatch.transforms.kafka.reader_start import ReadSpec, initial_state, open_spec_reader
from sparsewatch.transforms.kafka.routing import route
from sparsewatch.transforms.window.measure import Measure, Window

STAGES = ("fetch", "decode", "route", "count", "code", "close")
_GATHER_S = 0.25
_GC_THRESHOLD = (100_000, 50, 1000)
R = TypeVar("R")


class Stopwatch:
    """Processor time of all threads of this process, by stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def __call__(self, stage: str, work: Callable[..., R], *arguments: Any) -> R:
        """Do the work and add its time to the stage."""
        begun = time.process_time()
        done = work(*arguments)
        self.seconds[stage] += time.process_time() - begun
        return done


def timed_stages(job_file: Path, rows: int) -> dict[str, float]:
    """Microseconds of processor time a row, by stage.

    Args:
        job_file: A click-through job.
        rows: Events in its topic.

    Raises:
        ValueError: If other numbers are fetched, or counted in its windows.
    """
    watch, made = Stopwatch(), ready(load_job(job_file))
    (spec,) = read_specs(made, (0, 1), "latest")
    batches = _fetched(watch, spec, initial_state(spec))
    prepared = prepare(made)
    # What is imported with the first rows belongs to a job's start.
    _from_decoding_on(Stopwatch(), made, prepared, spec, batches[:1])
    found = _from_decoding_on(watch, made, prepared, spec, batches)
    if found != rows:
        raise ValueError(f"expected {rows} rows in all windows, got {found}")
    return {stage: seconds / rows * 1e6 for stage, seconds in watch.seconds.items()}


def _from_decoding_on(watch: Stopwatch, made: Ready, prepared: Prepared, spec: ReadSpec, batches: list[Any]) -> int:
    """All stages but fetching; rows in all windows."""
    labelled: Any = prepared.measure
    state, measures = initial_state(spec), defaultdict[int, Measure](labelled.transform.new)
    for batch in batches:
        decoded = watch("decode", decode, spec.topic, batch, made.events)
        positions = {run.partition: run.next_offset for run in batch}
        state, step = watch("route", route, decoded, state, spec.rules, positions)
        for start, block in step.blocks:
            watch("count", measures[start].add, block)
    found = 0
    for start, measure in measures.items():
        data, window = watch("code", measure.to_bytes), Window(start, start + made.windows.length_us)
        found += watch("close", prepared.conclude, window, [data]).rows
    return found


def _fetched(watch: Stopwatch, spec: ReadSpec, state: ReaderState) -> list[Any]:
    """All batches of the topic; the client is closed."""
    reader = open_spec_reader(spec)
    reader.assign({part.partition: part.position for part in state.partitions})
    left, batches = dict(zip((part.partition for part in state.partitions), state.stop, strict=True)), []
    while left:
        batch = watch("fetch", fetch_batch, reader, spec.block_rows, _GATHER_S)
        for run in batch:
            if run.next_offset >= left.get(run.partition, sys.maxsize):
                del left[run.partition]
        batches.append(batch)
    watch("fetch", reader.close)
    return batches


def main() -> None:
    """Measure the job file and the number of rows named on the command line."""
    gc.set_threshold(*_GC_THRESHOLD)
    print(msgspec.json.encode(timed_stages(Path(sys.argv[1]), int(sys.argv[2]))).decode())


if __name__ == "__main__":
    main()

"""What decisions cost a whole job: the same topic read with and without a baseline that is learned, in turn.

A real Apache Kafka holds windows of `decision_cost`'s rows as JSON, one event a record, in two partitions. A job reads
all of them in a process of its own, as `sparsewatch run --until latest` would, from its first read to its last commit:
fetching, decoding, counting, closing, deciding, and writing its topics. The time is the processor's.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from benchmarks.harness import Result, cost, rate
from benchmarks.whole_jobs import Bench, JobText, Topic, new_bench

_JOB = """
kind = "ctr"
name = "{name}"
label = "{label}"
[kafka]
bootstrap_servers = ["{bootstrap}"]
client = "confluent"
[source]
topic = "{topic}"
time_column = "{time}"
time_format = "epoch_us"
[windows]
length = "{seconds}s"
[checks.learning]
enabled = {learning}
[columns]
{columns}
"""


class WholeJobs:
    """Windows of rows, and the jobs that read them.

    Args:
        kinds: Rows of windows that differ; they come again in turn.
        columns: Type of each, the label among them.
        label: One of the columns.
        time: Name of the column of event times, microseconds.
        window_us: Length of a window.
    """

    def __init__(
        self, kinds: list[pl.DataFrame], columns: dict[str, str], label: str, time: str, window_us: int
    ) -> None:
        self._kinds, self._columns, self._label = kinds, columns, label
        self._time, self._window_us = time, window_us

    def cost_of(self, windows: int, rounds: int, target: float) -> list[Result]:
        """Processor time that decisions add to a window of a job over so many, beside that of the job without them."""
        with new_bench(rounds) as bench:
            topic = bench.fill(Topic("windows"), self._values(windows), windows * self._kinds[0].height)
            plain, learning = zip(
                *([self._seconds(bench, topic, windows, learned) for learned in (False, True)] for _ in range(rounds)),
                strict=True,
            )
        path, whole = sum(plain) / rounds, sum(learning) / rounds
        runs = ", ".join(f"{without:.3f} and {learned:.3f}" for without, learned in zip(plain, learning, strict=True))
        note = f"{windows} windows from a broker, {rounds} rounds in turn: {runs} s of CPU a window without and with"
        features = len(self._columns) - 1
        return [
            cost(f"share_{features}_job", whole / path - 1, "of the whole job", target=target, note=note),
            rate(f"decisions_{features}_job", whole - path, "s of CPU a window", peer="job without", peer_value=path),
        ]

    def _seconds(self, bench: Bench, topic: Topic, windows: int, learning: bool) -> float:
        return bench.run(self._job(bench, topic, learning), topic.rows).processor_s / windows

    def _values(self, windows: int) -> Iterator[bytes]:
        for window in range(windows):
            rows = self._kinds[window % len(self._kinds)]
            times = window * self._window_us + np.arange(rows.height) * self._window_us // rows.height
            yield from rows.with_columns(pl.Series(self._time, times)).write_ndjson().encode().splitlines()

    def _job(self, bench: Bench, topic: Topic, learning: bool) -> JobText:
        columns = "\n".join(f'{name} = "{kind}"' for name, kind in self._columns.items())

        def job(name: str) -> str:
            return _JOB.format(
                name=name,
                label=self._label,
                bootstrap=bench.bootstrap,
                topic=topic.name,
                time=self._time,
                seconds=self._window_us // 1_000_000,
                learning=str(learning).lower(),
                columns=columns,
            )

        return job

"""`make bench-stream`: whole jobs from a real Apache Kafka on this machine, beside polars decoding the same bytes.

A topic is filled beforehand; the job runs in a process of its own as `sparsewatch run --until latest` would. A rate is
the topic's rows over the time from the job's first read to its last commit, broker and job on the same cores. The
time before the first read (imports, models, looking at the broker) is a result of its own. The peer decodes the first
150 MB of what the topic holds, as many records at a time as the job gathers, and does nothing else.

All of it takes about six minutes at full scale and three rounds; a run of a job lasts long enough that its ends weigh
little.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import click
import polars as pl

from benchmarks.harness import Result, Rounds, cost, interleave, rate, seconds, write_results
from benchmarks.row_speed import method_rate
from benchmarks.timed_job import Timing
from benchmarks.whole_jobs import BLOCK_ROWS, Bench, JobText, Topic, click_job, click_values, new_bench, say
from benchmarks.workloads import TIME, json_records, wafer_labels, wafer_table
from sparsewatch.detectors.rows.methods.registry import DEFAULT
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model

_PEER = "polars decoding alone"
_WAFER_JOB = """
kind = "wafer"
name = "{name}"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "{topic}"
time_column = "{time}"
[windows]
length = "1m"
[wafers]
model = "{model}"
"""
DEFECTS = 1_000
GRID = 16_384
#: Wafers of a window of event time.
WINDOW_WAFERS = 500
_TRAINING_WAFERS = 800
#: Of the topic of JSON, what lies there when kafka-python reads it: it is the slower client.
_KAFKA_PYTHON_SHARE = 0.4
_TARGETS_OF_CONFLUENT = {"of_polars": 0.4, "cores": 1.8, "start_up": 3.0, "memory": 1_000.0}


def measure(
    bench: Bench,
    name: str,
    topic: Topic,
    job: JobText,
    target: float,
    unit: str = "rows/s",
    targets: Mapping[str, float] = MappingProxyType({}),
) -> list[Result]:
    """A job's rate beside the bare decoding of its topic, and what else its runs cost.

    Args:
        bench: Where it runs.
        name: Of the results.
        topic: What it reads.
        job: Its file.
        target: Of its rate.
        unit: Of its rate.
        targets: Of what follows: `of_polars`, `cores`, `start_up`, `memory`.
    """
    say(f"{name}: {bench.rounds} rounds over {topic.rows:,} rows")
    timings: list[Timing] = []

    def ours() -> float:
        timings.append(bench.run(job, topic.rows))
        return topic.rows / timings[-1].seconds

    rates, peer = interleave([ours, lambda: peer_rate(topic)], bench.rounds)
    return [
        rate(name, rates, unit, peer=_PEER, peer_value=peer, target=target),
        *of_polars(name, rates, peer, targets.get("of_polars")),
        *costs(name, topic.rows, timings, unit.partition("/")[0], targets),
    ]


def of_polars(name: str, ours: Rounds, peer: Rounds, target: float | None) -> list[Result]:
    """The share of the peer's rate, as a result of its own where it has a target: the middle of the rounds' ratios."""
    shares = Rounds([a / b for a, b in zip(ours.values, peer.values, strict=True)])
    return [] if target is None else [rate(f"{name}_of_polars", shares, "of its rate", target=target)]


def costs(name: str, rows: int, timings: Sequence[Timing], what: str, targets: Mapping[str, float]) -> list[Result]:
    """What the runs of a job cost beside their time."""
    return [
        rate(f"{name}_processor", Rounds([rows / t.processor_s for t in timings]), f"{what}/processor second"),
        rate(
            f"{name}_cores",
            Rounds([t.cores for t in timings]),
            "cores of the machine busy",
            target=targets.get("cores"),
            note="between first read and last commit; job and broker share the cores",
        ),
        rate(f"{name}_own_cores", Rounds([t.processor_s / t.seconds for t in timings]), "cores busy by the job alone"),
        cost(
            f"{name}_start_up",
            Rounds([t.start_up for t in timings]),
            "s to the first read",
            target=targets.get("start_up"),
        ),
        cost(f"{name}_memory", Rounds([t.peak_memory_mb for t in timings]), "MB at most", target=targets.get("memory")),
    ]


def peer_rate(topic: Topic) -> float:
    """Rows a second of polars decoding a topic's sample, a block's worth at a time."""
    rows = 0

    def decode() -> None:
        nonlocal rows
        if topic.format == "arrow":
            rows = sum(pl.read_ipc_stream(value).height for value in topic.sample)
            return
        blocks = (topic.sample[start : start + BLOCK_ROWS] for start in range(0, len(topic.sample), BLOCK_ROWS))
        rows = sum(pl.read_ndjson(b"\n".join(block), infer_schema_length=100).height for block in blocks)

    taken = seconds(decode)
    return rows / taken


def bench_json(bench: Bench, rows: int) -> Iterator[Result]:
    """`json_kafka_python` and `json_confluent`, over one topic that grows in between."""
    topic, first = Topic("clicks-json"), round(rows * _KAFKA_PYTHON_SHARE)
    bench.fill(topic, click_values(first), first)
    yield from measure(bench, "json_kafka_python", topic, click_job(bench, topic, "kafka-python"), 60_000)
    bench.fill(topic, click_values(rows - first, first_row=first), rows - first)
    job = click_job(bench, topic, "confluent")
    yield from measure(bench, "json_confluent", topic, job, 120_000, targets=_TARGETS_OF_CONFLUENT)


def bench_arrow(bench: Bench, rows: int) -> Iterator[Result]:
    """`arrow`: records of 1,024 to 4,096 rows."""
    topic = bench.fill(Topic("clicks-arrow", "arrow"), click_values(rows, "arrow"), rows)
    job = click_job(bench, topic, "kafka-python")
    yield from measure(bench, "arrow", topic, job, 350_000, targets={"memory": 1_200.0})


def train_model(folder: Path) -> Path:
    """A wafer model of the default size; its speed does not depend on how well it was trained."""
    labels = wafer_labels(_TRAINING_WAFERS, 1)
    rows = wafer_table(labels, 1, defects=DEFECTS, wafers_per_second=1).drop_columns(TIME).combine_chunks()
    config = WaferTrainingConfig(grid=GRID, train=TrainConfig(epochs=2))
    model, _ = train_wafer_model(rows.to_batches()[0], labels, config)
    return model.save(folder, metrics={}, training={})


def bench_wafers(bench: Bench, rows: int) -> Iterator[Result]:
    """`wafers`: JSON, 1,000 defects a wafer, 16,384 cells a side."""
    model = train_model(bench.folder / "model")
    say("a wafer model is trained")
    table = wafer_table(wafer_labels(rows, 2), 2, defects=DEFECTS, wafers_per_second=WINDOW_WAFERS / 60)
    topic = bench.fill(Topic("wafers"), json_records(table), rows)

    def job(name: str) -> str:
        return _WAFER_JOB.format(name=name, bootstrap=bench.bootstrap, topic=topic.name, time=TIME, model=model)

    yield from measure(bench, "wafers", topic, job, 500, "wafers/s")


def bench_apre(bench: Bench, rows: int) -> Iterator[Result]:
    """`apre`: encoded rows in, scores out, without Kafka; the method and the default that holds it."""
    del bench
    for name, method in (("apre", "apre"), ("apre_default", DEFAULT)):
        say(f"{name}: {rows:,} rows")
        yield rate(name, method_rate(method, rows), "rows/s", target=1_000_000, note=f"scoring by `{method}` alone")


CASES: dict[str, Callable[[Bench, int], Iterator[Result]]] = {
    "json": bench_json,
    "arrow": bench_arrow,
    "wafers": bench_wafers,
    "apre": bench_apre,
}
ROWS = {"json": 3_000_000, "arrow": 5_000_000, "wafers": 5_000, "apre": 524_288}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CASES)), help="Measure this part alone; repeatable.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--scale", default=1.0, show_default=True, help="Share of the default numbers of rows.")
def main(only: Sequence[str], rounds: int, scale: float) -> None:
    """Whole jobs from a real Kafka."""
    results: list[Result] = []
    with new_bench(rounds) as bench:
        for name in only or CASES:
            results += CASES[name](bench, round(ROWS[name] * scale))
    write_results("stream", results, keep_others=bool(only))


if __name__ == "__main__":
    main()

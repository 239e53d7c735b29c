"""SECOM, 590 sensors of a fab, end to end through Kafka as a fab-sensor job: `python -m benchmarks.secom`.

UCI 179 (McCann and Johnston, 2008; CC BY 4.0): rows in time order over three months, missing cells, and whether the
unit passed a test at the end of the line. The first half trains a row model by `sparsewatch train rows`, labels unseen;
the second half is published to an Apache Kafka and read by `sparsewatch run` as a job of `kind = "rows"`, a window a
week. Results are the accounts, the outliers of the job, how they relate to failed units, and figures of every method.

Failures that a monitor should find are then planted into copies of the first half's last rows, each failure into a copy
and a topic of its own. These rows are training data, so that the line's own drift is not mistaken for the failure.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.harness import Result, rate, write_results
from benchmarks.rows_protocol import data_folder
from sparsewatch.detectors.open_set.metrics import aupr, auroc
from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.column_checks import MOVED
from tests.kit.services import KafkaBroker
from tests.kit.topics import newest_by_key, read_all

_TRAIN_SHARE = 0.5
_ALARM_RATE = 0.05
_SEED = 0
_PLANTED_SENSORS = 30
_PLANTED_ROWS = 300
_TIME = "timestamp"
_JOB = """
kind = "rows"
name = "{name}"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "{name}"
time_column = "timestamp"
[windows]
length = "7d"
disorder = "0s"
[rows]
model = "{model}"
alarm_rate = {alarm_rate}
[columns]
{columns}
"""
Plant = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Fab:
    """The rows and what the commands need."""

    sensors: tuple[str, ...]
    train: pl.DataFrame
    stream: pl.DataFrame
    folder: Path
    bootstrap: str

    @property
    def model(self) -> Path:
        """Folder of the model."""
        return self.folder / "model"


@dataclass(frozen=True)
class Output:
    """Records that a job wrote."""

    summary: str
    rows: list[dict[str, Any]]
    alerts: list[dict[str, Any]]


def command(*arguments: str) -> str:
    """Run `sparsewatch` as a user would; its standard output."""
    program = str(Path(sys.executable).parent / "sparsewatch")
    return subprocess.run([program, *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout


def read_fab(folder: Path, bootstrap: str) -> Fab:
    """The exact rows of the file, split by time."""
    rows = pl.read_parquet(data_folder().parent / "sensors" / "secom.parquet").filter(pl.col("row_source") == 1)
    rows = rows.sort(_TIME, maintain_order=True)
    cut = round(_TRAIN_SHARE * len(rows))
    sensors = tuple(name for name in rows.columns if name.startswith("s") and name[1:].isdigit())
    return Fab(sensors, rows[:cut], rows[cut:], folder, bootstrap)


def watch(fab: Fab, name: str, rows: pl.DataFrame, alarm_rate: float = _ALARM_RATE) -> Output:
    """Publish rows to a topic and run a job over it."""
    file, job = fab.folder / f"{name}.parquet", fab.folder / f"{name}.toml"
    rows.select(_TIME, *fab.sensors).write_parquet(file)
    columns = "\n".join(f'{sensor} = "float"' for sensor in fab.sensors)
    settings = {"name": name, "bootstrap": fab.bootstrap, "model": fab.model, "columns": columns}
    job.write_text(_JOB.format(**settings, alarm_rate=alarm_rate), encoding="utf-8")
    command("publish", str(file), "--topic", name, "--time-column", _TIME, "--job", str(job), "--partitions", "1")
    summary = command("run", str(job), "--until", "latest").strip()
    print(f"  {summary}")
    kinds = (newest_by_key(read_all(fab.bootstrap, f"{name}.{kind}")) for kind in ("rows", "alerts"))
    odd, alerts = (list(records.values()) for records in kinds)
    return Output(summary, odd, alerts)


def judge_stream(fab: Fab) -> Iterator[Result]:
    """The second half as it is."""
    output = watch(fab, "secom", fab.stream)
    model = RowModel.load(fab.model)
    scores = model.score(one_batch(fab.stream.select(fab.sensors).to_arrow()))
    outliers = int((scores > model.threshold(_ALARM_RATE)).sum())
    if outliers != len(output.rows):
        raise RuntimeError(f"expected {outliers} outliers, as the model alone finds, the job wrote {len(output.rows)}")
    n = len(fab.stream)
    yield rate("secom rows read", n, "rows", note=output.summary)
    yield rate(
        "secom rows called odd",
        outliers / n,
        "share",
        note=f"{_ALARM_RATE:.0%} expected of rows like the training data",
    )
    rules = [alert["rule"] for alert in output.alerts]
    by_rule = ", ".join(f"{rules.count(rule)} {rule}" for rule in sorted(set(rules)))
    yield rate(
        "secom windows that alerted", len({a["window_start_us"] for a in output.alerts}), "windows", note=by_rule
    )
    failed = fab.stream["label"].to_numpy() == 1
    odd_failed = int((failed & (scores > model.threshold(_ALARM_RATE))).sum())
    yield rate(
        "secom failed units called odd", odd_failed / int(failed.sum()), "share", note=f"{failed.sum()} units failed"
    )
    yield from _by_method(fab, failed)


def _by_method(fab: Fab, failed: np.ndarray) -> Iterator[Result]:
    """How well every method's scores separate failed units from others, over the second half."""
    train, stream = fab.train.select(fab.sensors).to_arrow(), one_batch(fab.stream.select(fab.sensors).to_arrow())
    for method in METHODS:
        scores = train_row_model(train, method=method, seed=_SEED).score(stream)
        name = f"secom AUC of failed units, {method}"
        precision = aupr(scores[~failed], scores[failed])
        note = f"average precision {precision:.3f}, by chance {failed.mean():.3f}" + "; the default" * (
            method == DEFAULT
        )
        yield rate(name, auroc(scores[~failed], scores[failed]), "AUC", note=note)


def plants(fab: Fab) -> dict[str, tuple[list[str], Plant]]:
    """Failures in all rows, with the sensors that fail."""
    deviations = fab.train.select(pl.col(fab.sensors).std()).row(0, named=True)
    whole = [name for name in fab.sensors if deviations[name] and fab.train[name].null_count() == 0]
    chosen = np.random.default_rng(_SEED).choice(whole, _PLANTED_SENSORS, replace=False).tolist()

    def off(sensors: list[str], by: float) -> tuple[list[str], Plant]:
        return sensors, lambda rows: rows.with_columns(pl.col(name) + by * deviations[name] for name in sensors)

    few, one = f"{_PLANTED_SENSORS} sensors", chosen[:1]
    return {
        "nothing": ([], lambda rows: rows),
        "one sensor at zero": (one, lambda rows: rows.with_columns(pl.lit(0.0).alias(one[0]))),
        "one sensor off by ten deviations": off(one, 10),
        "one sensor off by two deviations": off(one, 2),
        f"{few} off by two deviations": off(chosen, 2),
        f"{few} missing": (chosen, lambda rows: rows.with_columns(pl.lit(None, pl.Float64).alias(c) for c in chosen)),
        f"{few} a thousand times as large": (chosen, lambda rows: rows.with_columns(pl.col(chosen) * 1000)),
    }


def judge_plants(fab: Fab) -> Iterator[Result]:
    """Whether each failure is distinguished from the unchanged rows, and its sensors named."""
    last = fab.train.tail(_PLANTED_ROWS)
    baseline = 0.0
    for i, (what, (sensors, plant)) in enumerate(plants(fab).items()):
        output = watch(fab, f"plant-{i}", plant(last))
        share = len(output.rows) / len(last)
        baseline = share if i == 0 else baseline
        peer = ("the unchanged rows", baseline) if i and baseline else (None, None)
        note = _named(output, sensors)
        yield rate(f"secom rows called odd, {what}", share, "share", peer=peer[0], peer_value=peer[1], note=note)


def _named(output: Output, sensors: list[str]) -> str:
    """Which rules alerted, and how many of the sensors that failed are among the columns with drift."""
    rules = sorted({alert["rule"] for alert in output.alerts})
    moved = {c["column"] for alert in output.alerts if alert["rule"] == MOVED for c in alert["evidence"]["columns"]}
    found = f"{len(moved & set(sensors))} of {len(sensors)} planted" if sensors else "none planted"
    return f"alerts: {', '.join(rules) or 'none'}; columns with drift: {len(moved)}, {found}"


def main() -> None:
    """Train, publish, run and write the results."""
    with tempfile.TemporaryDirectory(prefix="sparsewatch-secom-") as name, KafkaBroker() as broker:
        fab = read_fab(Path(name), broker.bootstrap)
        file = fab.folder / "train.parquet"
        fab.train.select(fab.sensors).write_parquet(file)
        options = ("--columns", ",".join(fab.sensors), "--out", str(fab.model), "--alarm-rate", str(_ALARM_RATE))
        print(command("train", "rows", str(file), *options))
        write_results("secom", [*judge_stream(fab), *judge_plants(fab)])


if __name__ == "__main__":
    main()

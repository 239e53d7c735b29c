"""A new failure in a stream of real wafers, by the commands a user types: `python -m benchmarks.wafer_stream`.

`train wafer` learns the lots of one part of WM-811K, without one class. Wafers of the other lots are published to a
real Apache Kafka, one every 20 s of event time: known classes first, then the withheld class at 2 % of them. One
`sparsewatch run` reads them continuously on Prism and is never restarted. When it has raised the emerging pattern,
`patterns name` names it; then the rest of the stream is published. Told are: wafers from the class's first until the
alert's window ended, false patterns, what the class's later wafers are recognised as, and known wafers called novel.

Without Prism the job is run in bounded steps in place of the continuous run, which the notes then say.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from benchmarks.harness import Result, cost, rate, write_results
from benchmarks.soak import Run
from detectors.wafer_training import lot_places
from pipelines.live_model import EVERY_S
from pipelines.runners import find_prism
from pipelines.wafer_files import read_wafer_npz
from tests.kit.services import KafkaBroker
from tests.kit.topics import newest_by_key, read_all
from tests.kit.waiting import wait_for

_TOPIC = "real-wafers"
_NAME = "what the operator calls it"
#: Apart from the seeds of training: the stream's lots stay the same whatever the model's seed.
_SPLIT_SEED, _TRAIN_SHARE = 811, 0.6
_SHARE = 0.02
_INTERVAL_S, _WINDOW_WAFERS = 20, 20
_START_S = 1_767_225_600
_DAY_WAFERS = 86_400 // _INTERVAL_S
#: Wafers within which the pattern is to be raised.
_TARGET_WAFERS = 200
_PATIENCE_S = 600.0
_JOB = """
kind = "wafer"
name = "real-wafers"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "real-wafers"
time_column = "time"
[windows]
length = "{window}s"
disorder = "0s"
idle_after = "5s"
[wafers]
model = "{folder}/model"
[wafers.patterns]
windows = 10
history = 180
"""


@dataclass(frozen=True)
class Parts:
    """The stream's wafers with their labels, in order."""

    #: Known classes alone, then with the withheld one; both before it is named.
    first: pl.DataFrame
    #: After it is named.
    rest: pl.DataFrame
    #: Wafers of `first` before the withheld class begins.
    begins: int


def split(data: Path, withheld: str, folder: Path, quiet: int, new: int, seed: int) -> Parts:
    """Write `train.parquet`, `first.parquet` and `rest.parquet`.

    Args:
        data: Die maps with labels.
        withheld: The class training never sees.
        folder: Where to.
        quiet: Known wafers before the class begins; fewer if there are too few.
        new: Wafers with the class among them, before it is named and as many after.
        seed: Of the stream's order.
    """
    wafers = read_wafer_npz(data)
    rows = pl.DataFrame(wafers.rows).with_columns(pl.Series("label", wafers.labels))
    streamed = pl.Series(lot_places(wafers.rows["lot"].to_pylist(), _SPLIT_SEED) >= _TRAIN_SHARE)
    rows.filter(~streamed & (rows["label"] != withheld)).write_parquet(folder / "train.parquet")
    rng = np.random.default_rng(seed)
    stream = rows.filter(streamed)
    known = stream.filter(pl.col("label") != withheld)
    known = known[rng.permutation(known.height)]
    novel = stream.filter(pl.col("label") == withheld)
    novel = novel[rng.permutation(novel.height)]
    quiet = min(quiet, known.height - 2 * new)
    if quiet < 0 or novel.height < 2 * new * _SHARE:
        raise click.ClickException(f"{data.name} holds too few wafers for 2 x {new} with {withheld} at {_SHARE:.0%}")
    placed = [_with_novel(known[quiet + i * new : quiet + (i + 1) * new], novel, i, rng) for i in range(2)]
    parts = Parts(pl.concat([known[:quiet], placed[0]]), placed[1], quiet)
    for name, part in (("first", parts.first), ("rest", parts.rest)):
        part.drop("label").write_parquet(folder / f"{name}.parquet")
    return parts


def _with_novel(known: pl.DataFrame, novel: pl.DataFrame, turn: int, rng: np.random.Generator) -> pl.DataFrame:
    """Known wafers, of which every fiftieth or so gave way to one of the withheld class, the first one among them."""
    number = round(known.height * _SHARE)
    at = np.concatenate([[0], 1 + np.sort(rng.choice(known.height - 1, number - 1, replace=False))])
    place = np.arange(known.height)
    kept = known.with_columns(pl.Series("place", place)).filter(~pl.Series(np.isin(place, at)))
    come = novel[turn * number : (turn + 1) * number].with_columns(pl.Series("place", at))
    return pl.concat([kept, come]).sort("place").drop("place")


def command(*arguments: str) -> str:
    """Run `sparsewatch` as a user would; what it said."""
    program = str(Path(sys.executable).parent / "sparsewatch")
    return subprocess.run([program, *arguments], check=True, text=True, stdout=subprocess.PIPE).stdout


@dataclass(frozen=True)
class Fab:
    """A broker and a job on it."""

    bootstrap: str
    job: Path
    log: Path

    def publish(self, file: Path, before: int) -> None:
        """Publish a file's wafers; `before` were published already."""
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_START_S + before * _INTERVAL_S))
        made = ("--time-column", "time", "--start", start, "--interval", f"{_INTERVAL_S}s")
        command("publish", str(file), "--topic", _TOPIC, "--partitions", "1", *made, "--job", str(self.job))

    @contextmanager
    def running(self) -> Iterator[Callable[[int], None]]:
        """The job on Prism until the end; gives what waits until so many wafers are judged and their windows closed.

        Without Prism nothing runs until then, and what waits is a bounded run.
        """
        if find_prism() is None:
            yield lambda _: _said(command("run", str(self.job), "--until", "latest"))
            return
        run = Run(self.job, self.log).start()
        try:
            yield lambda wafers: self._await(run, wafers)
        finally:
            run.kill()

    def _await(self, run: Run, wafers: int) -> None:
        ends_us = (_START_S + wafers * _INTERVAL_S) * 1_000_000

        def closed() -> bool:
            if run.process.poll() is not None:
                raise click.ClickException(f"the job ended: {self.log.read_text()[-3000:]}")
            windows = newest_by_key(read_all(self.bootstrap, f"{_TOPIC}.windows"))
            return max((w["window_end_us"] for w in windows.values()), default=0) >= ends_us

        wait_for(closed, _PATIENCE_S, f"the window of wafer {wafers} is closed", poll_s=1.0)

    def results(self) -> dict[str, Any]:
        """The result of each wafer."""
        return newest_by_key(read_all(self.bootstrap, f"{_TOPIC}.wafers"))

    def alerts(self) -> list[dict[str, Any]]:
        """Emerging patterns that were raised, each once, oldest first."""
        records = newest_by_key(read_all(self.bootstrap, f"{_TOPIC}.alerts")).values()
        return sorted((a for a in records if a["rule"] == "emerging_pattern"), key=lambda a: a["window_end_us"])


def _said(text: str) -> None:
    click.echo(text.strip())


def member_share(alert: dict[str, Any], labels: dict[str, str], withheld: str) -> float:
    """Share of an alert's wafers that are of the withheld class."""
    return float(np.mean([labels[wafer["wafer_id"]] == withheld for wafer in alert["evidence"]["wafers"]]))


def judge_raised(parts: Parts, alerts: list[dict[str, Any]], withheld: str, note: str) -> tuple[list[Result], str]:
    """What was raised, and the id of the pattern to name; empty if the class was not raised."""
    labels = dict(parts.first.select("wafer_id", "label").iter_rows())
    ends = [(a["window_end_us"] // 1_000_000 - _START_S) // _INTERVAL_S for a in alerts]
    early = sum(end <= parts.begins for end in ends)
    hits = [(end, a) for end, a in zip(ends, alerts, strict=True) if member_share(a, labels, withheld) >= 0.5]
    others = len(alerts) - len(hits) - early
    days = parts.first.height / _DAY_WAFERS
    false = cost(
        "false_patterns", float(early + others), "patterns", target=max(1.0, days), note=f"in {days:.2f} days; {note}"
    )
    if not hits:
        looked = parts.first.height - parts.begins
        what = f"not raised among these; {note}"
        return [cost("wafers_until_raised", float(looked), "wafers", target=_TARGET_WAFERS, note=what), false], ""
    end, alert = hits[0]
    come = int((parts.first["label"][parts.begins : end] == withheld).sum())
    return [
        cost("wafers_until_raised", float(end - parts.begins), "wafers", target=_TARGET_WAFERS, note=note),
        cost("class_wafers_until_raised", float(come), "wafers of the class", note=note),
        rate("members_of_the_class", member_share(alert, labels, withheld), "share of the pattern's wafers", note=note),
        false,
    ], alert["subject"]


def _share(said: pl.DataFrame, **columns: str) -> float:
    """Share of rows whose columns hold these values, 0 of none."""
    return said.filter(**columns).height / max(said.height, 1)


def judge_named(parts: Parts, results: dict[str, Any], withheld: str, named: bool, note: str) -> list[Result]:
    """What the rest of the stream's wafers are recognised as."""
    said = pl.DataFrame([{k: r[k] for k in ("wafer_id", "pattern", "verdict")} for r in results.values()])
    rest = said.join(parts.rest.select("wafer_id", "label"), on="wafer_id", validate="1:1")
    all_known = said.join(pl.concat([parts.first, parts.rest]).select("wafer_id", "label"), on="wafer_id")
    all_known = all_known.filter(pl.col("label") != withheld)
    new = rest.filter(pl.col("label") == withheld)
    bound = next(iter(results.values()))["false_novel_rate"]
    novel = _share(all_known, verdict="novel")
    # Three standard errors of the share, were the wafers drawn one by one.
    most = bound + 3 * float(np.sqrt(bound * (1 - bound) / all_known.height))
    found = [cost("called_novel_known", novel, "share", target=most, note=f"calibrated for {bound:.3f}; {note}")]
    if named:
        recognised = _share(new, verdict="known", pattern=_NAME)
        known = rest.filter(pl.col("label") != withheld)
        taken = _share(known, verdict="known", pattern=_NAME)
        found += [
            rate("recognised_by_name", recognised, f"share of {new.height} later wafers of the class", note=note),
            cost("others_by_name", taken, f"share of {known.height} later known wafers", note=note),
        ]
    return found


@click.command()
@click.option("--withhold", default="Edge-Ring", show_default=True, metavar="CLASS")
@click.option("--file", default="wafers/wm811k_train_37348.npz", show_default=True)
@click.option("--epochs", default=12, show_default=True, type=click.IntRange(1))
@click.option("--quiet", default=2_000, show_default=True, help="Known wafers before the class begins.")
@click.option(
    "--new",
    type=click.IntRange(250),
    default=600,
    show_default=True,
    help="Wafers with the class at 2 %, before and after its name.",
)
@click.option("--seed", default=0, show_default=True)
def main(withhold: str, file: str, epochs: int, quiet: int, new: int, seed: int) -> None:
    """Train, publish, run, name, publish, judge."""
    data = Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data")) / file
    how = "one continuous run on Prism" if find_prism() else "bounded runs in steps: no Prism here"
    note = f"{withhold} withheld, at {_SHARE:.0%} of {_DAY_WAFERS} wafers a day; {how}"
    with tempfile.TemporaryDirectory() as name, KafkaBroker() as broker:
        folder = Path(name)
        parts = split(data, withhold, folder, quiet, new, seed)
        trained = ("--out", str(folder / "model"), "--epochs", str(epochs))
        command("train", "wafer", str(folder / "train.parquet"), *trained)
        job = folder / "job.toml"
        job.write_text(_JOB.format(bootstrap=broker.bootstrap, folder=folder, window=_INTERVAL_S * _WINDOW_WAFERS))
        fab = Fab(broker.bootstrap, job, folder / "run.log")
        fab.publish(folder / "first.parquet", 0)
        with fab.running() as settle:
            settle(parts.first.height)
            told, pattern = judge_raised(parts, fab.alerts(), withhold, note)
            _said(command("patterns", "list", str(job)))
            if pattern:
                _said(command("patterns", "name", str(job), pattern, _NAME))
                # The running job has looked for a new version by then.
                time.sleep(2 * EVERY_S)
            fab.publish(folder / "rest.parquet", parts.first.height)
            settle(parts.first.height + parts.rest.height)
            told += judge_named(parts, fab.results(), withhold, bool(pattern), note)
    write_results("wafer_stream", told)


if __name__ == "__main__":
    main()

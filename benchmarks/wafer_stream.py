"""A new failure in a stream of real wafers, by the commands a user types: `python -m benchmarks.wafer_stream`.

`train wafer` learns the lots of one part of WM-811K, without one class. Wafers of the other lots are published to a
real Apache Kafka, a wafer a minute of event time: known classes first, then the withheld class at 2 % of them. One
`sparsewatch run` reads them continuously on Prism and is never restarted. When it has raised the emerging pattern,
`patterns name` names it; then the rest of the stream is published. Results are: wafers from the class's first until the
alert's window ended, false patterns, what the class's later wafers are recognised as, and known wafers called novel.
Other orders of the same wafers then show how much of that was luck (see `wafer_orders`).

Without Prism the job is run in bounded steps in place of the continuous run, as the notes then state.
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
from benchmarks.wafer_orders import (
    DAY_WAFERS,
    INTERVAL_S,
    SETTINGS,
    SHARE,
    TARGET_WAFERS,
    WINDOW_WAFERS,
    Lots,
    Parts,
    Raised,
    judge,
    ordered,
    replay,
)
from sparsewatch.pipelines.job.model_in_use import EVERY_S
from sparsewatch.pipelines.run.runners import find_prism
from tests.kit.services import KafkaBroker
from tests.kit.topics import newest_by_key, read_all
from tests.kit.waiting import wait_for

_TOPIC = "real-wafers"
_NAME = "what the operator calls it"
_START_S = 1_767_225_600
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
windows = {windows}
history = {history}
"""


def command(*arguments: str) -> str:
    """Run `sparsewatch` as a user would; its standard output."""
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
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_START_S + before * INTERVAL_S))
        made = ("--time-column", "time", "--start", start, "--interval", f"{INTERVAL_S}s")
        command("publish", str(file), "--topic", _TOPIC, "--partitions", "1", *made, "--job", str(self.job))

    @contextmanager
    def running(self) -> Iterator[Callable[[int], None]]:
        """The job on Prism until the end; gives a function that waits until a number of wafers are in closed windows.

        Without Prism nothing runs until then, and the function is a bounded run.
        """
        if find_prism() is None:
            yield lambda _: _show(command("run", str(self.job), "--until", "latest"))
            return
        run = Run(self.job, self.log).start()
        try:
            yield lambda wafers: self._await(run, wafers)
        finally:
            run.kill()

    def _await(self, run: Run, wafers: int) -> None:
        ends_us = (_START_S + wafers * INTERVAL_S) * 1_000_000

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
        told = sorted((a for a in records if a["rule"] == "emerging_pattern"), key=lambda a: a["window_end_us"])
        first = {alert["subject"]: alert for alert in reversed(told)}
        return sorted(first.values(), key=lambda a: a["window_end_us"])


def _show(text: str) -> None:
    click.echo(text.strip())


def results_of_run(parts: Parts, raised: Raised, note: str) -> list[Result]:
    """Patterns that the run through Kafka raised."""
    days = parts.first.height / DAY_WAFERS
    false = cost("false_patterns", float(raised.false), "patterns", target=max(1.0, days), note=f"in {days:.1f} days")
    if raised.wafers is None:
        looked = float(parts.first.height - parts.begins)
        return [cost("wafers_until_raised", looked, "wafers", target=TARGET_WAFERS, note=f"not raised; {note}"), false]
    return [
        cost("wafers_until_raised", float(raised.wafers), "wafers", target=TARGET_WAFERS, note=note),
        cost("class_wafers_until_raised", float(raised.of_class or 0), "wafers of the class", note=note),
        rate("members_of_the_class", raised.members, "share of the pattern's wafers", note=note),
        false,
    ]


def results_of_orders(found: list[Raised], wafers: int, new: int) -> list[Result]:
    """Patterns that other orders of the stream raised; an order that raised nothing counts as all its wafers."""
    delays = [new if order.wafers is None else order.wafers for order in found]
    note = f"{len(found)} orders of the same wafers, without Kafka"
    days = len(found) * wafers / DAY_WAFERS
    soon = float(np.mean([delay <= TARGET_WAFERS for delay in delays]))
    return [
        cost("orders_median_wafers", float(np.median(delays)), "wafers", target=TARGET_WAFERS, note=note),
        rate("orders_raised", float(np.mean([order.wafers is not None for order in found])), "share", note=note),
        rate("orders_raised_in_time", soon, f"share, within {TARGET_WAFERS} wafers", note=note),
        cost(
            "orders_false_patterns_per_day",
            sum(order.false for order in found) / days,
            "patterns a day",
            target=SETTINGS.false_patterns_per_day,
            note=f"{days:.0f} days; {note}",
        ),
    ]


def _share(wafers: pl.DataFrame, **columns: str) -> float:
    """Share of rows whose columns hold these values, 0 without rows."""
    return wafers.filter(**columns).height / max(wafers.height, 1)


def judge_named(parts: Parts, results: dict[str, Any], withheld: str, named: bool, note: str) -> list[Result]:
    """What the rest of the stream's wafers are recognised as."""
    recognised = pl.DataFrame([{k: r[k] for k in ("wafer_id", "pattern", "verdict")} for r in results.values()])
    rest = recognised.join(parts.rest.select("wafer_id", "label"), on="wafer_id", validate="1:1")
    all_known = recognised.join(pl.concat([parts.first, parts.rest]).select("wafer_id", "label"), on="wafer_id")
    all_known = all_known.filter(pl.col("label") != withheld)
    new = rest.filter(pl.col("label") == withheld)
    bound = next(iter(results.values()))["false_novel_rate"]
    novel = _share(all_known, verdict="novel")
    # Three standard errors of the share, were the wafers drawn one by one.
    most = bound + 3 * float(np.sqrt(bound * (1 - bound) / all_known.height))
    found = [cost("called_novel_known", novel, "share", target=most, note=f"calibrated for {bound:.3f}; {note}")]
    if named:
        by_name = _share(new, verdict="known", pattern=_NAME)
        known = rest.filter(pl.col("label") != withheld)
        taken = _share(known, verdict="known", pattern=_NAME)
        found += [
            rate("recognised_by_name", by_name, f"share of {new.height} later wafers of the class", note=note),
            cost("others_by_name", taken, f"share of {known.height} later known wafers", note=note),
        ]
    return found


@click.command()
@click.option("--withhold", default="Edge-Ring", show_default=True, metavar="CLASS")
@click.option("--file", default="wafers/wm811k_train_37348.npz", show_default=True)
@click.option("--epochs", default=12, show_default=True, type=click.IntRange(1))
@click.option("--quiet", default=2_500, show_default=True, help="Known wafers before the class begins.")
@click.option(
    "--new",
    type=click.IntRange(250),
    default=600,
    show_default=True,
    help="Wafers with the class at 2 %, before and after its name.",
)
@click.option("--orders", default=10, show_default=True, type=click.IntRange(0), help="Other orders of the stream.")
def main(withhold: str, file: str, epochs: int, quiet: int, new: int, orders: int) -> None:
    """Train, publish, run, name, publish, judge; then other orders."""
    lots = Lots.of(Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data")) / file, withhold)
    parts = ordered(lots, quiet, new, seed=0)
    with tempfile.TemporaryDirectory() as name, KafkaBroker() as broker:
        folder = Path(name)
        for part, wafers in (("train", lots.train), ("first", parts.first), ("rest", parts.rest)):
            (wafers if part == "train" else wafers.drop("label")).write_parquet(folder / f"{part}.parquet")
        trained = ("--out", str(folder / "model"), "--epochs", str(epochs))
        command("train", "wafer", str(folder / "train.parquet"), *trained)
        first = next(path for path in (folder / "model").iterdir() if path.is_dir())
        job = folder / "job.toml"
        job.write_text(
            _JOB.format(
                bootstrap=broker.bootstrap,
                folder=folder,
                window=INTERVAL_S * WINDOW_WAFERS,
                windows=SETTINGS.windows,
                history=SETTINGS.history,
            )
        )
        results = through_kafka(Fab(broker.bootstrap, job, folder / "run.log"), parts, withhold)
        found = []
        for seed in range(1, orders + 1):
            found.append(replay(ordered(lots, quiet, new, seed), withhold, first))
            _show(f"order {seed}: {found[-1]}")
        if found:
            results += results_of_orders(found, parts.first.height, new)
    write_results("wafer_stream", results)


def through_kafka(fab: Fab, parts: Parts, withheld: str) -> list[Result]:
    """Publish, run, name, publish, judge; the stream's files lie beside the job."""
    how = "one continuous run on Prism" if find_prism() else "bounded runs in steps: no Prism here"
    note = f"{withheld} withheld, at {SHARE:.0%} of {DAY_WAFERS} wafers a day; {how}"
    folder, published = fab.job.parent, parts.first.height
    fab.publish(folder / "first.parquet", 0)
    with fab.running() as settle:
        settle(published)
        alerts = fab.alerts()
        ends = [(alert["window_end_us"] // 1_000_000 - _START_S) // INTERVAL_S for alert in alerts]
        raised = judge(parts, alerts, ends, withheld)
        _show(command("patterns", "list", str(fab.job)))
        if raised.pattern:
            _show(command("patterns", "name", str(fab.job), raised.pattern, _NAME))
            # The running job has looked for a new version by then.
            time.sleep(2 * EVERY_S)
        fab.publish(folder / "rest.parquet", published)
        settle(published + parts.rest.height)
        return results_of_run(parts, raised, note) + judge_named(
            parts, fab.results(), withheld, bool(raised.pattern), note
        )


if __name__ == "__main__":
    main()

"""Real wafers from file to alert, by the commands a user types: `python -m benchmarks.wafer_stream`.

About 70 % of the lots of `wafers/wm811k_dev_small.npz` train a model that never sees one class. The other lots are
published to a real Apache Kafka, known classes first; the withheld class begins later, as a new failure would. The job
reads them, and what it wrote is judged: macro-F1 of the known classes, AUROC of the novelty score, alerts.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
from sklearn.metrics import f1_score, roc_auc_score

from benchmarks.harness import Result, rate, write_results
from benchmarks.wafer_real import SPLIT_SEED, TRAIN_SHARE
from detectors.wafer_training import lot_places
from pipelines.wafer_files import read_wafer_npz
from tests.kit.services import KafkaBroker
from tests.kit.topics import newest_by_key, read_all

#: The withheld class begins after so much of the known wafers.
_BEGINS = 0.6
_INTERVAL_S, _WINDOW_WAFERS = 10, 200
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
disorder = "1m"
[wafers]
model = "{folder}/model"
false_novel_rate = {rate}
"""


def split(data: Path, withheld: str, folder: Path) -> pl.DataFrame:
    """Write `train.parquet` and `rest.parquet`; returns the rest with its labels."""
    wafers = read_wafer_npz(data)
    rows = pl.DataFrame(wafers.rows).with_columns(pl.Series("label", wafers.labels))
    tested = pl.Series(lot_places(wafers.rows["lot"].to_pylist(), SPLIT_SEED) >= TRAIN_SHARE)
    new = rows["label"] == withheld
    rows.filter(~tested & ~new).write_parquet(folder / "train.parquet")
    rng = np.random.default_rng(SPLIT_SEED)
    known = rows.filter(tested & ~new)
    # The known wafers come in any order; the new class is spread over the last part of the stream.
    order = np.concatenate([rng.permutation(known.height) / known.height, rng.uniform(_BEGINS, 1, int(new.sum()))])
    rest = pl.concat([known, rows.filter(new)]).with_columns(pl.Series("order", order)).sort("order").drop("order")
    rest.drop("label").write_parquet(folder / "rest.parquet")
    return rest


def command(*arguments: str) -> None:
    """Run `sparsewatch` as a user would."""
    subprocess.run([str(Path(sys.executable).parent / "sparsewatch"), *arguments], check=True)


def judge(results: dict[str, dict[str, Any]], rest: pl.DataFrame, withheld: str) -> list[Result]:
    """What the job's results are worth."""
    said = pl.DataFrame(list(results.values())).select("wafer_id", "pattern", "verdict", "novelty")
    judged = said.join(rest.select("wafer_id", "label"), on="wafer_id", validate="1:1")
    known = judged.filter(pl.col("label") != withheld)
    new = (judged["label"] == withheld).to_numpy()
    novel = (judged["verdict"] == "novel").to_numpy()
    what = f"{known.height} known wafers, {int(new.sum())} of {withheld}, which was withheld; through Kafka"
    macro = f1_score(known["label"], known["pattern"], average="macro")
    auroc = roc_auc_score(new, judged["novelty"].to_numpy())
    return [
        rate("macro_f1", float(macro), "macro-F1 of the known classes", target=0.85, note=what),
        rate(f"auroc_{withheld}", float(auroc), "area under the ROC curve", target=0.75, note=what),
        rate("called_novel_withheld", float(novel[new].mean()), "share", note=what),
        rate("called_novel_known", float(novel[~new].mean()), "share", note=what),
    ]


@click.command()
@click.option("--withhold", default="Donut", show_default=True, metavar="CLASS")
@click.option("--epochs", default=15, show_default=True)
@click.option("--false-novel-rate", default=0.05, show_default=True)
def main(withhold: str, epochs: int, false_novel_rate: float) -> None:
    """Train, publish, run, judge."""
    data = Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data")) / "wafers" / "wm811k_dev_small.npz"
    with tempfile.TemporaryDirectory() as name, KafkaBroker() as broker:
        folder = Path(name)
        rest = split(data, withhold, folder)
        command(
            "train", "wafer", str(folder / "train.parquet"), "--out", str(folder / "model"), "--epochs", str(epochs)
        )
        job = folder / "job.toml"
        window = _INTERVAL_S * _WINDOW_WAFERS
        job.write_text(_JOB.format(bootstrap=broker.bootstrap, folder=folder, rate=false_novel_rate, window=window))
        publish = ["--topic", "real-wafers", "--time-column", "time", "--start", "2026-01-01", "--partitions", "2"]
        command("publish", str(folder / "rest.parquet"), *publish, "--interval", f"{_INTERVAL_S}s", "--job", str(job))
        command("run", str(job), "--until", "latest")
        results = newest_by_key(read_all(broker.bootstrap, "real-wafers.wafers"))
        alerts = [json.loads(r.value or b"{}") for r in read_all(broker.bootstrap, "real-wafers.alerts")]
    begins = int(np.argmax((rest["label"] == withhold).to_numpy())) * _INTERVAL_S * 1_000_000
    start_us = 1_767_225_600_000_000
    early = [a for a in alerts if a["window_end_us"] <= start_us + begins]
    raised = [a for a in alerts if a["rule"] == "novel_pattern" and a not in early]
    for alert in alerts:
        click.echo(f"ALERT {alert['rule']}: {alert['message']}")
    results_list = judge(results, rest, withhold)
    results_list.append(
        rate("novel_alerts", float(len(raised)), "windows", target=1.0, note="after the new class began")
    )
    results_list.append(rate("early_alerts", float(len(early)), "alerts", note="before the new class began: false"))
    write_results("wafer_stream", results_list)


if __name__ == "__main__":
    main()

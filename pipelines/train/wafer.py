"""`sparsewatch train wafer`: labelled wafers to a model artefact."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.sparse_net.train import Epoch, TrainConfig
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.training import WaferMetrics, WaferTrainingConfig, train_wafer_model
from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.progress import progress_bar
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.train.checkpoint_file import CheckpointFile
from sparsewatch.pipelines.wafer_files.labelled import LabelledWafers, read_labelled_wafers
from sparsewatch.schemas.settings import AlarmRate, Count, CountOrNone, NotNegative

#: Patterns up to which the confusion matrix fits on a screen.
_MOST_SHOWN = 12


@click.command("wafer")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("models/wafer"),
    show_default=True,
    help="Folder of the model; a new version is written below it.",
)
@click.option("--hold-out", multiple=True, metavar="CLASS", help="Leave a class out; repeatable.")
@click.option(
    "--epochs",
    type=ranged(Count),
    default=40,
    show_default=True,
    help="Most passes over the training wafers; training stops early when the validation wafers no longer improve.",
)
@click.option(
    "--seed", type=ranged(CountOrNone), default=0, show_default=True, help="Seed of split, weights and order."
)
@click.option(
    "--grid",
    type=ranged(CountOrNone),
    default=0,
    help="Cells a side for wafers given as points; 0: 16384, or the most frequent side of the die maps.",
)
@click.option(
    "--false-novel-rate",
    type=ranged(AlarmRate),
    default=0.02,
    show_default=True,
    help="Share of known wafers that may be called novel.",
)
@click.option(
    "--threads",
    type=ranged(Count),
    default=1,
    show_default=True,
    help="CPU threads; with several, last digits vary.",
)
@click.option("--time-budget", type=ranged(NotNegative), help="Stop training after this many seconds.")
@click.option(
    "--fresh", is_flag=True, help="Start from the beginning, even if an interrupted training could be resumed."
)
@click.option("--no-promote", is_flag=True, help="Write the version, but leave the latest one in use.")
def train_wafer(
    data: Path,
    out: Path,
    hold_out: tuple[str, ...],
    epochs: int,
    seed: int,
    grid: int,
    false_novel_rate: float,
    threads: int,
    time_budget: float | None,
    fresh: bool,
    no_promote: bool,
) -> None:
    """Train the wafer model on DATA, an .npz of die maps or a .parquet with a column `label`.

    Labels that join names with `+` are mixed patterns; the model then names the parts. An interrupted
    training resumes when the same command is run again. The new version is the latest at once, and running jobs switch
    to it; see `sparsewatch models`.
    """
    console = output()
    config = WaferTrainingConfig(
        hold_out=hold_out,
        grid=grid,
        train=TrainConfig(epochs=epochs, seed=seed, threads=threads),
        novelty=NoveltyConfig(false_novel_rate=false_novel_rate),
    )
    wafers = read_labelled_wafers(data)
    learned = asdict(replace(config, novelty=NoveltyConfig()))
    file = CheckpointFile.of(out, {"config": learned, "data": _digest(data)})
    resume = None if fresh else file.read()
    if resume is not None:
        console.print(f"resuming an interrupted training after epoch {resume.meta['epoch']}")
    try:
        with _progress(console, epochs, time_budget) as report:
            model, metrics = train_wafer_model(
                wafers.rows, wafers.labels, config, report, resume=resume, keep=file.write
            )
    except KeyboardInterrupt:
        if (saved := file.read()) is not None:
            console.print(f"stopped after epoch {saved.meta['epoch']} of {epochs}; the same command resumes from there")
        raise
    _show(console, metrics)
    path = save_trained(model, metrics, config, wafers, out, data, promote=not no_promote)
    file.remove()
    console.print(f"wrote {path}")


def _digest(data: Path) -> str:
    return hashlib.sha256(data.read_bytes()).hexdigest()


def save_trained(
    model: WaferModel,
    metrics: WaferMetrics,
    config: WaferTrainingConfig,
    wafers: LabelledWafers,
    out: Path,
    data: Path | None = None,
    *,
    promote: bool = True,
) -> Path:
    """Write the model with its training data's description and its metrics; returns the version's folder."""
    training = {
        "config": asdict(config),
        "wafers": wafers.rows.num_rows,
        "file": data.name if data else None,
        "sha256": _digest(data) if data else None,
    }
    reached = {
        "macro_f1": metrics.macro_f1,
        "accuracy": metrics.accuracy,
        "patterns": list(metrics.patterns),
        "confusion": metrics.confusion.tolist(),
        "auroc_withheld": metrics.auroc,
        "wafers": dict(zip(("train", "validation", "calibration"), metrics.wafers, strict=True)),
    }
    return model.save(out, metrics=reached, training=training, promote=promote)


@contextmanager
def _progress(console: Console, epochs: int, budget: float | None) -> Iterator[Callable[[Epoch], bool]]:
    """A bar by epoch, and the callback that moves it and keeps to the budget."""
    started = time.monotonic()
    with progress_bar("training", epochs, "epochs") as bar:

        def report(epoch: Epoch) -> bool:
            figures = f"loss {epoch.loss:.3f}, macro-F1 {epoch.macro_f1:.3f}"
            bar.move(epoch.number, note=figures)
            if not console.is_terminal:
                console.print(f"epoch {epoch.number}: {figures} (of {epoch.epochs})")
            return budget is None or time.monotonic() - started < budget

        yield report


def _show(console: Console, metrics: WaferMetrics) -> None:
    """Macro-F1, the confusion matrix and the withheld classes."""
    if len(metrics.patterns) <= _MOST_SHOWN:
        console.print(_confusion(metrics))
    train, validation, held_out = metrics.wafers
    console.print(
        f"macro-F1 {metrics.macro_f1:.3f}, {metrics.accuracy:.1%} recognised whole, on {held_out} wafers of lots left "
        f"out of training ({train} for training, {validation} for early stopping)"
    )
    for name, auroc in metrics.auroc.items():
        console.print(f"AUROC {auroc:.3f} of novelty, {name} (withheld) against known wafers")


def _confusion(metrics: WaferMetrics) -> Table:
    columns = ("", *metrics.patterns)
    counts = zip(metrics.patterns, metrics.confusion.tolist(), strict=True)
    rows = ((name, *map(str, numbers)) for name, numbers in counts)
    return table(columns, rows, title="rows: true class, columns: recognised as", right=columns)

"""What the demo runs: job files, and the models of rows and wafers trained on clean data."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa

from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.sparse_net.train import Epoch, TrainConfig
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model
from sparsewatch.pipelines.demo import clicks, fab
from sparsewatch.schemas.wafers import WAFER_COLUMNS

#: Clean windows that the row model is trained on.
_CLEAN_WINDOWS = 30
_WAFERS_EACH = 140
_EPOCHS = 8
_GRID = 512
_FALSE_NOVEL = 0.02

_KAFKA = """
[kafka]
bootstrap_servers = ["{bootstrap}"]
timeout = "10s"
"""
CLICKS_JOB = """# The demo's click-through job, which learns what is usual: sparsewatch run clicks.toml
kind = "ctr"
name = "{name}"
label = "{label}"
features = [{features}]
{kafka}
[source]
topic = "{topic}"
time_column = "{time}"

[windows]
length = "5m"
disorder = "2m"
idle_after = "5m"

[columns]
{columns}

[ranking]
panes = 12

[rows]
model = "{models}/rows"
alarm_rate = 0.01

[output]
alerts_file = "{folder}/clicks-alerts.jsonl"
"""
WAFERS_JOB = """# The demo's wafer job: sparsewatch run wafers.toml
kind = "wafer"
name = "{name}"
{kafka}
[source]
topic = "{topic}"
time_column = "{time}"
format = "arrow"

[windows]
length = "20m"
disorder = "2m"
idle_after = "5m"

[wafers]
model = "{models}/wafer"

[wafers.patterns]
windows = 3

[wafers.thresholds]
expected_rates = {{ {rates} }}

[output]
alerts_file = "{folder}/wafers-alerts.jsonl"
"""


def train_rows(folder: Path, seed: int, start_us: int, rows: int) -> None:
    """The row model, from clean windows that end where the stream starts."""
    before = clicks.Clicks(seed + 1, start_us - _CLEAN_WINDOWS * clicks.WINDOW_US, _CLEAN_WINDOWS, rows)
    clean = pl.concat(before.clean(window) for window in range(_CLEAN_WINDOWS))
    table = clean.to_arrow(compat_level=pl.CompatLevel.oldest())
    train_row_model(table.select(clicks.NUMBERS)).save(folder / "models" / "rows")


def train_wafers(folder: Path, seed: int, on_epoch: Callable[[Epoch], bool]) -> float:
    """The wafer model; returns its macro-F1 on wafers of lots it was not trained on."""
    wafers, labels = fab.training_wafers(seed, _WAFERS_EACH)
    config = WaferTrainingConfig(
        grid=_GRID, train=TrainConfig(epochs=_EPOCHS, seed=seed), novelty=NoveltyConfig(false_novel_rate=_FALSE_NOVEL)
    )
    model, metrics = train_wafer_model(wafer_batch(wafers), labels, config, on_epoch)
    model.save(folder / "models" / "wafer", metrics={"macro_f1": metrics.macro_f1}, training={"seed": seed})
    return metrics.macro_f1


def wafer_batch(wafers: pl.DataFrame) -> pa.RecordBatch:
    """Wafers as the detectors take them."""
    table = wafers.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(WAFER_COLUMNS)
    return table.combine_chunks().to_batches()[0]


def write_job_files(folder: Path, bootstrap: str) -> tuple[Path, Path]:
    """The two job files."""
    kafka = _KAFKA.format(bootstrap=bootstrap)
    click_job, wafer_job = folder / "clicks.toml", folder / "wafers.toml"
    click_job.write_text(
        CLICKS_JOB.format(
            name=clicks.STREAM,
            label=clicks.LABEL,
            features=", ".join(f'"{name}"' for name in clicks.RANKED),
            kafka=kafka,
            topic=clicks.STREAM,
            time=clicks.TIME,
            columns="\n".join(f'{name} = "{kind}"' for name, kind in clicks.COLUMNS.items()),
            models=folder / "models",
            folder=folder,
        ),
        encoding="utf-8",
    )
    wafer_job.write_text(
        WAFERS_JOB.format(
            name=fab.STREAM,
            kafka=kafka,
            topic=fab.STREAM,
            time=fab.TIME,
            models=folder / "models",
            rates=", ".join(f"{name} = {fab.SHARE}" for name in fab.KNOWN[1:]),
            folder=folder,
        ),
        encoding="utf-8",
    )
    return click_job, wafer_job

"""Wafers of files, recognised by a wafer model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, read_wafers

#: Columns that name a wafer, and those of its verdict.
NAMED = ("lot", "wafer_id", "step", "tool")
VERDICT = ("verdict", "pattern", "probability", "novelty", "p_value", "defects", "outside")
#: Wafers recognised at once.
_BATCH = 1_000


def scored_wafers(model: WaferModel, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """File, the columns `NAMED` and the columns `VERDICT` of all wafers, in order.

    Raises:
        SchemaError: What is wrong with a file.
    """
    for file in files:
        for part in read_wafers(file, ReadOptions()):
            for start in range(0, part.rows.num_rows, _BATCH):
                yield _scored(model, file.name, part.rows.slice(start, _BATCH))


def _scored(model: WaferModel, file: str, wafers: pa.RecordBatch) -> pa.RecordBatch:
    verdicts = model.recognise(wafers)
    columns = {"file": pa.array([file] * wafers.num_rows, pa.string())}
    columns |= {name: wafers.column(name) for name in NAMED} | {name: verdicts.column(name) for name in VERDICT}
    return pa.RecordBatch.from_pydict(columns)

"""Wafers of a file, recognised, and the chosen wafers explained."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points
from sparsewatch.detectors.wafers.explanation import Explanation, explain_wafers
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.occlusion import OcclusionConfig
from sparsewatch.pipelines.console.progress import progress_bar
from sparsewatch.pipelines.wafer_explain import wording
from sparsewatch.pipelines.wafer_explain.page import page
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, read_wafers
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import WAFER_COLUMNS

#: Wafers recognised at once.
_BATCH = 1_000
#: Fewest and most wafers that show what a pattern looks like.
_ALIKE = (3, 300)


@dataclass(frozen=True, slots=True)
class ExplainedFile:
    """A file's wafers, and the explanations that were asked for."""

    source: str
    model: WaferModel
    #: All wafers, columns of `WAFER_COLUMNS`, and columns of `VERDICT_COLUMNS` for each.
    rows: pa.RecordBatch
    verdicts: pa.RecordBatch
    #: The explained wafers.
    wafers: tuple[Explanation, ...]
    #: What a person should know of how the file was read.
    notes: tuple[str, ...] = ()


def explain_file(
    file: Path, folder: Path, ids: Sequence[str], most: int, tiles: int, options: ReadOptions | None = None
) -> ExplainedFile:
    """Recognise all wafers of a file and explain some.

    Args:
        file: see `wafer_files.formats`; labels are ignored.
        folder: the model's.
        ids: wafers to explain; all wafers of a repeated id are explained.
        most: how many to explain without ids, most novel first.
        tiles: see `OcclusionConfig`.
        options: how the file is read.

    Raises:
        ConfigError: no wafer of an id.
        ModelError: no such model.
        SchemaError: no such file, or something in it is no wafer.
    """
    model = WaferModel.load(folder)
    rows, notes = _read(file, options or ReadOptions())
    verdicts = _recognised(model, rows)
    chosen = rows.take(pa.array(choose(rows, verdicts, ids, most)))
    explained = []
    with progress_bar("explaining", chosen.num_rows, "wafers") as bar:
        for one in explain_wafers(model, chosen, OcclusionConfig(tiles=tiles)):
            explained.append(one)
            bar.add(1)
    return ExplainedFile(file.name, model, rows, verdicts, tuple(explained), notes)


def _recognised(model: WaferModel, rows: pa.RecordBatch) -> pa.RecordBatch:
    parts = [model.recognise(rows.slice(0, 0))]
    with progress_bar("recognising", rows.num_rows, "wafers") as bar:
        for start in range(0, rows.num_rows, _BATCH):
            parts.append(model.recognise(rows.slice(start, _BATCH)))
            bar.add(parts[-1].num_rows)
    return _joined(parts)


def choose(rows: pa.RecordBatch, verdicts: pa.RecordBatch, ids: Sequence[str], most: int) -> NDArray[np.int64]:
    """Indices of the wafers of these ids in the order of the ids, or of the most novel wafers.

    Raises:
        ConfigError: no wafer of an id.
    """
    if not ids:
        return np.argsort(-verdicts["novelty"].to_numpy(), kind="stable")[:most]
    names = np.array(rows["wafer_id"].to_pylist(), dtype=np.str_)
    found = [np.flatnonzero(names == name) for name in ids]
    if missing := [name for name, at in zip(ids, found, strict=True) if not len(at)]:
        some = f", such as {names[0]}" if len(names) else ""
        raise ConfigError(f"--wafer: expected wafers of the file's {len(names):,}{some}; got {', '.join(missing)}")
    return np.concatenate(found)


def report(explained: ExplainedFile, output: str) -> str:
    """What was found, as `table`, `json` or `html`."""
    if output == "json":
        return json.dumps([wording.as_json(one, explained.model) for one in explained.wafers], allow_nan=False)
    if output == "html":
        return page(explained.wafers, explained.model, explained.source, _alike(explained))
    return "\n\n".join(_lines(one, explained.model) for one in explained.wafers) or f"{explained.source}: no wafers"


def _read(file: Path, options: ReadOptions) -> tuple[pa.RecordBatch, tuple[str, ...]]:
    """Wafers of a file, all at once: their defects, or dies, are held until the end; and notes on how it was read."""
    parts = list(read_wafers(file, options))
    rows = _joined([pa.RecordBatch.from_pylist([], schema=WAFER_COLUMNS), *(part.rows for part in parts)])
    return rows, tuple(dict.fromkeys(note for part in parts for note in part.notes))


def _joined(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of one batch or more."""
    columns = {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0].schema.names}
    return pa.RecordBatch.from_pydict(columns, schema=parts[0].schema)


def _lines(one: Explanation, model: WaferModel) -> str:
    facts = wording.facts(one, model)
    width = max(len(fact.about) for fact in facts)
    return "\n".join([wording.heading(one), *(f"  {fact.about:<{width}}  {fact.text}" for fact in facts)])


def _alike(explained: ExplainedFile) -> dict[str, WaferPoints]:
    """Wafers of the file that show a nearest pattern: recognised as it and not novel."""
    patterns = {one.nearest[0].pattern for one in explained.wafers if one.nearest}
    verdicts, shown = explained.verdicts, {}
    names = np.array(verdicts["pattern"].to_pylist(), dtype=np.str_)
    sure = (np.array(verdicts["verdict"].to_pylist(), dtype=np.str_) != "novel") & (verdicts["defects"].to_numpy() > 0)
    for pattern in sorted(patterns):
        at = np.flatnonzero(sure & (names == pattern))[: _ALIKE[1]]
        if len(at) >= _ALIKE[0]:
            shown[pattern] = read_points(explained.rows.take(pa.array(at)))
    return shown

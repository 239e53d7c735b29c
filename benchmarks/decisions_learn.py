"""Jobs that have learned a stream's first windows, as `train reference` and `train rows` do, or nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.decisions_job import Measured, WindowedJob, block_of
from benchmarks.decisions_streams import LABEL, WINDOW_US, Stream
from benchmarks.faults.stretch import TIME
from sparsewatch.detectors.clicks.determined import fit_determined, sought
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.repeated_rows import fit_repeats
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.row_sample import DEFAULT_SAMPLE_ROWS, RowSample, row_identities
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.transforms.window.measure import unpack_parts

#: Most rows that a row model is trained on here.
_MOST_ROWS = 20_000


def learning_job(stream: Stream) -> WindowedJob:
    """A job of clicks without a reference: it learns its baseline of the windows before."""
    return WindowedJob(_click_settings(stream), WINDOW_US)


def reference_job(
    stream: Stream, learned: Sequence[Measured], folder: Path, rows: Sequence[pl.DataFrame] = ()
) -> WindowedJob:
    """A job of clicks with a reference of some windows, which keeps some of their rows if they are given."""
    windows = [FeatureCounts.from_bytes(unpack_parts(one.state)["counts"]) for one in learned if one.rows]
    reference = fit_reference(windows, WINDOW_US)
    if rows:
        reference = _with_rows(reference, stream, pl.concat(rows))
    saved = reference.save(folder / "reference")
    return WindowedJob({**_click_settings(stream), "checks": {"reference": str(saved)}}, WINDOW_US)


def rows_job(stream: Stream, learned: Sequence[pl.DataFrame], folder: Path, seen: int) -> WindowedJob:
    """A job of rows with a model of some windows of so many rows in all, by the default method."""
    rows = pl.concat(some_rows(one, len(learned)) for one in learned)
    batch = block_of(rows, stream.columns, {}).rows.select(list(stream.columns))
    model = train_row_model(pa.Table.from_batches([batch]), rows_each=seen / rows.height)
    saved = model.save(folder / "rows")
    return WindowedJob({"kind": "rows", "columns": _columns(stream), "rows": {"model": str(saved)}}, WINDOW_US)


def _with_rows(reference: Reference, stream: Stream, rows: pl.DataFrame) -> Reference:
    """With as many rows as `train reference` keeps, how they repeat one another, and what they say of one another."""
    columns = [*stream.features, LABEL]
    sample = RowSample((*columns, TIME), DEFAULT_SAMPLE_ROWS)
    cells = block_of(rows, stream.columns, {}).rows.select(columns)
    sample.update(cells.append_column(TIME, rows[TIME].to_arrow()), row_identities(np.arange(rows.height)))
    starts = sample.rows().column(TIME).to_numpy() // WINDOW_US * WINDOW_US
    kept = sample.rows().select(columns)
    signals = {name: feature.normalised.mean for name, feature in reference.features.items()}
    return msgspec.structs.replace(
        reference,
        sample=kept,
        repeats=fit_repeats(kept, columns, starts),
        determined=fit_determined(kept, starts, sought(signals)),
    )


def some_rows(rows: pl.DataFrame, windows: int) -> pl.DataFrame:
    """Of the rows of one window of so many those that a row model is trained on, in their order."""
    most = _MOST_ROWS // windows
    if rows.height <= most:
        return rows
    return rows[np.sort(np.random.default_rng(0).permutation(rows.height)[:most])]


def _click_settings(stream: Stream) -> dict[str, object]:
    return {"kind": "ctr", "label": LABEL, "columns": _columns(stream)}


def _columns(stream: Stream) -> Mapping[str, str]:
    return dict(stream.columns)

"""Checks of a window's columns, each by itself and with the others, on a sample of its rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.scorer import Rows
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.checks import SUBJECT
from sparsewatch.detectors.rows.windows.column_drift import ColumnDrift, moved_columns, spread_of, stretch_chance
from sparsewatch.detectors.rows.windows.copies import check_copies
from sparsewatch.detectors.rows.windows.links import LostLink, groups_of, lost_links
from sparsewatch.detectors.rows.windows.tails import Beyond, beyond_tails
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.alerts import Finding, counted

MOVED = "columns_moved"
LINK_LOST = "column_link_lost"
BEYOND = "column_out_of_range"

#: Columns that have moved of which each has a finding; of more there is one on all rows, which names so many.
_MOST_COLUMNS, _NAMED_COLUMNS = 10, 50


def check_columns(model: RowModel, sample: pa.RecordBatch, rows: int, settings: RowCheck) -> list[Finding]:
    """A finding for each column that has moved, the furthest first; one on all rows if they are many.

    Of columns that have not, those with numbers beyond the training data, and those that no longer go with others.

    Args:
        model: Holds the baseline of each column.
        sample: A uniform sample of the window's rows.
        rows: Of the window.
        settings: Levels and least distances.
    """
    if not sample.num_rows:
        return []
    X, blocks = model.encoder.transform(sample), model.column_blocks
    moved = moved_columns(
        model.spread,
        X,
        model.encoder.names,
        model.encoder.first_features,
        least=settings.least_column_drift,
        level=settings.of_columns,
        stretch_chances=None if blocks is None else stretch_chance(model.spread, X, blocks, rows),
        stretch_level=settings.of_stretches,
    )
    found = _of_moved(model, moved, sample.num_rows, settings)
    if len(moved) > _MOST_COLUMNS:
        return found
    apart_from = [drift.column for drift in moved]
    beyond = _out_of_range(model, sample, apart_from, settings)
    apart_from += [finding.subject for finding in beyond]
    found = [*found, *beyond, *_unlinked(model, X, rows, apart_from, settings)]
    return found or _duplicated(model, sample, rows, settings)


def _duplicated(model: RowModel, sample: pa.RecordBatch, rows: int, settings: RowCheck) -> list[Finding]:
    """Rows that repeat others, where nothing is found of a column: where values moved, rows are more alike for that."""
    if model.copies is None:
        return []
    least, level = settings.rows_duplicated, settings.of_copies
    found = check_copies(model.copies, sample, model.encoder.names, rows, least=least, level=level)
    return [] if found is None else [found]


def _out_of_range(
    model: RowModel, sample: pa.RecordBatch, apart_from: Sequence[str], settings: RowCheck
) -> list[Finding]:
    if model.tails is None:
        return []
    found: dict[str, Beyond] = {}
    for one in beyond_tails(model.tails, model.encoder.numbers(sample), model.encoder.names):
        if one.chance <= settings.of_ranges and one.column not in apart_from:
            found.setdefault(one.column, one)
    return [_beyond(one, sample.num_rows, model.id) for one in list(found.values())[:_MOST_COLUMNS]]


def _beyond(one: Beyond, rows: int, model: str) -> Finding:
    side = "above" if one.furthest > one.known else "below"
    return Finding(
        rule=BEYOND,
        subject=one.column,
        severity="warning",
        value=one.furthest,
        threshold=one.known,
        baseline=one.known,
        message=(
            f"{one.column}: {counted(one.beyond, 'value')} of {rows} lie {side} all of the training data, up to "
            f"{one.furthest:g}; there it went to {one.known:g}"
        ),
        evidence={"model": model, "rows": rows, **msgspec.structs.asdict(one), "effect": one.beyond / rows},
        p_value=one.chance,
    )


def _unlinked(model: RowModel, X: Rows, rows: int, apart_from: Sequence[str], settings: RowCheck) -> list[Finding]:
    found = _lost(model, model.groups(X), rows, apart_from, settings)
    if not found:
        return []
    # Columns that wandered a little lie in other groups of the training data, though they go together as before: so a
    # link must be lost between the tenths of the window's own rows, too.
    values = X[:, model.encoder.first_features]
    again = _lost(model, groups_of(values, spread_of(values).cuts), rows, apart_from, settings)
    told = [max(one, again[name], key=lambda link: link.p_value) for name, one in found.items() if name in again]
    return [_link_lost(one, len(X), model.id, settings.least_link_loss) for one in told[:_MOST_COLUMNS]]


def _lost(
    model: RowModel, groups: NDArray[np.uint8], rows: int, apart_from: Sequence[str], settings: RowCheck
) -> dict[str, LostLink]:
    if model.links is None:
        return {}
    return {
        one.column: one
        for one in lost_links(model.links, groups, rows, model.encoder.names, apart_from)
        if one.lost >= settings.least_link_loss
        and one.chance <= settings.of_links
        and one.stretch_chance <= settings.of_stretches
    }


def _link_lost(link: LostLink, rows: int, model: str, least: float) -> Finding:
    return Finding(
        rule=LINK_LOST,
        subject=link.column,
        severity="warning",
        value=link.lost,
        threshold=least,
        baseline=0.0,
        message=(
            f"{link.column}: its values no longer go with those of {', '.join(link.partners)}; {min(link.lost, 1):.0%} "
            "of what they had to do with each other in the training data is lost"
        ),
        evidence={"model": model, "rows": rows, **msgspec.structs.asdict(link), "effect": link.lost},
        p_value=link.p_value,
    )


def _of_moved(model: RowModel, moved: Sequence[ColumnDrift], rows: int, settings: RowCheck) -> list[Finding]:
    evidence = {"model": model.id, "rows": rows, "moved": len(moved)}
    if len(moved) > _MOST_COLUMNS:
        return [_many_moved(moved, len(model.encoder.names), evidence, settings.least_column_drift)]
    return [_column_moved(drift, evidence, settings.least_column_drift) for drift in moved]


def _many_moved(moved: Sequence[ColumnDrift], columns: int, evidence: Mapping[str, Any], least: float) -> Finding:
    named = ", ".join(f"{drift.column} ({drift.what}, {drift.distance:.0%})" for drift in moved[:3])
    one = _column_moved(moved[0], evidence, least)
    return msgspec.structs.replace(
        one,
        subject=SUBJECT,
        message=(
            f"the distribution of {len(moved)} of {columns} columns moved since training; largest distances: {named}"
        ),
        evidence={**one.evidence, "columns": moved[:_NAMED_COLUMNS]},
        p_value=min(drift.p_value for drift in moved),
    )


def _column_moved(drift: ColumnDrift, evidence: Mapping[str, Any], least: float) -> Finding:
    return Finding(
        rule=MOVED,
        subject=drift.column,
        severity="warning",
        value=drift.distance,
        threshold=least,
        baseline=0.0,
        message=f"{drift.column}: the distribution of its {drift.what} moved by {drift.distance:.0%} since training",
        evidence={**evidence, **msgspec.structs.asdict(drift), "effect": drift.distance},
        p_value=drift.p_value,
    )

"""The event of one row or wafer, as the broker has it: its values, and where the defects of a wafer lie."""

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.wafers.novel_wafers import drawn, wafer_maps
from sparsewatch.pipelines.records.originals import Original, originals
from sparsewatch.pipelines.report.pages import Photo, photo
from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, NotThereError, Shown
from sparsewatch.pipelines.web_console.views.patterns import picture
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.block import META, ROW
from sparsewatch.schemas.wafers import WAFER_COLUMNS
from sparsewatch.transforms.codecs.decode import decode

_META = frozenset(field.name for field in META)


class _Place(NamedTuple):
    """Where an event lies."""

    partition: int
    offset: int
    #: Of the rows of its record.
    row: int


def event_page(asked: Asked) -> Shown:
    """The event of a result.

    Raises:
        NotThereError: If the result is not remembered.
        SourceError: If the broker does not answer.
    """
    id_ = asked.text("id")
    result = history.result(asked.job.store, id_)
    if result is None:
        raise NotThereError(f"job {asked.job.name!r} has no result {id_!r}, or it is older than what is remembered")
    place = _Place(*map(int, id_.rsplit("/", 3)[1:]))
    [original] = originals(asked.job.made, [(place.partition, place.offset)])
    event = _event(asked.job, original, place.row)
    map_ = None if event is None or "wafer_id" not in result else _map(event)
    return Shown(
        "event.html",
        {"result": result, "place": place, "original": original, "values": _values(event), "map": map_},
    )


def _event(watched: Watched, original: Original, row: int) -> pa.RecordBatch | None:
    """Its row as the job decodes it; None if the record is gone or the job refuses it."""
    if original.fetched is None:
        return None
    rows = decode(watched.made.topics.source, [original.fetched], watched.made.events).rows
    own = rows.filter(pc.equal(rows.column(ROW), row))
    return own if own.num_rows else None


def _values(event: pa.RecordBatch | None) -> dict[str, Any]:
    """Its columns; but for those that hold a wafer's defects."""
    if event is None:
        return {}
    values = {name: value for name, value in event.to_pylist()[0].items() if name not in _META}
    # A number that is missing is none, and so unlike itself.
    return {name: value if value == value else None for name, value in values.items() if not isinstance(value, list)}


def _map(event: pa.RecordBatch) -> Photo:
    points = read_points(event.select(WAFER_COLUMNS.names))
    [small] = wafer_maps(points)
    return photo(picture(drawn(small)), f"where its {counted(len(points.x), 'defect')} lie")

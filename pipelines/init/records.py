"""Records whose columns nobody has declared, to a sample: types are found first, then all is decoded as a job does.

A column has the type that holds all of its values, or, where none does, the one that most are of: the others are
mistyped cells, as they will be in the job. The rule for JSON is that of files (`sparsewatch.pipelines.tables`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from sparsewatch.pipelines.init.sample import Column, Sample, markers_of, unfit
from sparsewatch.pipelines.tables.json_files import Lines, LookedOver, json_object
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import SourceSettings
from sparsewatch.schemas.settings import parse_size
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.transforms.codecs.arrow import read_arrow
from sparsewatch.transforms.codecs.arrow_cells import fits
from sparsewatch.transforms.codecs.cells import found_types
from sparsewatch.transforms.codecs.decode import Undated, are_arrow, decode_undated, looked_up
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.codecs.missing import nulls_for_missing
from sparsewatch.transforms.codecs.wrong_cells import shown
from sparsewatch.transforms.records import Fetched

#: How an Arrow stream begins.
_ARROW_BEGIN = b"\xff\xff\xff\xff"
#: How records of formats begin that are not read.
_OTHERS = {
    b"\x00": "Avro, Protobuf or JSON with the number of a schema before it, as a schema registry's clients write them",
    b"Obj\x01": "files of Avro",
    b"PAR1": "files of Parquet",
    b"\x1f\x8b": "packed by gzip before they were sent",
    b"<": "XML",
}
#: Types of a column by what most of its values are.
_BY_FOUND: Mapping[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "int out of range": pa.float64(),
    "not finite": pa.float64(),
    "str": pa.string(),
    "bool": pa.bool_(),
}
_NUMBERS = (pa.int64(), pa.float64())
#: Looked for where there is no other column: the decoders tell what is wrong with records only as they look for some.
_NO_COLUMN = pa.schema([("_", pa.string())])


def sample_of_records(topic: str, fetched: Sequence[Fetched], of_records: int, missing: Sequence[str] = ()) -> Sample:
    """The events of records.

    Args:
        topic: Where they come from.
        fetched: Runs of records, by partition and offset.
        of_records: Records of the topic.
        missing: Texts that stand for a missing value.

    Raises:
        SchemaError: If none of them holds an event, with the fault of the first, or no column is one of a job.
    """
    begins = _undeclared(fetched)
    form = "arrow" if begins[True] > begins[False] else "json"
    types = found_column_types(topic, fetched, form, missing)
    columns = pa.schema([(name, kind) for name, kind in types.items() if not unfit(name, kind)])
    rejects: list[SideRecord] = []
    found = decode_undated(topic, fetched, _schema(columns if len(columns) else _NO_COLUMN, form, missing), rejects)
    if not found.rows.num_rows or not len(columns):
        raise SchemaError(_nothing(topic, fetched, rejects, types))
    return Sample(
        name=f"topic {topic!r}",
        columns={name: _column(name, kind, found) for name, kind in types.items()},
        partitions=looked_up([np.full(len(run), run.partition) for run in fetched], found.places).astype(np.int32),
        offsets=looked_up([run.offsets for run in fetched], found.places),
        timestamps_ms=looked_up([run.timestamps_ms for run in fetched], found.places),
        format=form,
        undeclared=begins.total(),
        coding=_coding(fetched, form),
        of_events=round(of_records * found.rows.num_rows / sum(map(len, fetched))),
    )


def _undeclared(fetched: Iterable[Fetched]) -> Counter[bool]:
    """How many records whose header does not say their format begin as a stream of Arrow, and how many do not."""
    return Counter(
        (run.values[at] or b"").startswith(_ARROW_BEGIN)
        for run in fetched
        for at in np.flatnonzero(are_arrow(run, "arrow") & ~are_arrow(run, "json")).tolist()
    )


def _coding(fetched: Iterable[Fetched], form: str) -> str:
    found = {is_arrow for run in fetched for is_arrow in np.unique(are_arrow(run, form)).tolist()}
    return " and ".join(name for is_arrow, name in ((False, "JSON"), (True, "Arrow IPC")) if is_arrow in found)


def found_column_types(
    topic: str, fetched: Iterable[Fetched], form: str, missing: Sequence[str] = ()
) -> dict[str, pa.DataType]:
    """Type of each column, in the order in which they first appear; of one that a stream cannot hold another type.

    Args:
        topic: Where the records come from.
        fetched: Runs of records.
        form: Format of records whose header does not say theirs.
        missing: Texts that stand for a missing value.
    """
    looked, texts = LookedOver(), []
    for run in fetched:
        for value, is_arrow in zip(run.values, are_arrow(run, form).tolist(), strict=True):
            if is_arrow:
                looked.add_types(topic, _arrow_types(value or b""))
            elif value:
                texts.append(nulls_for_missing(value, missing))
    if texts:
        looked.add(topic, Lines(range(len(texts)), texts))
    return looked.types | _of_most(texts, looked.wrong)


def _of_most(texts: Sequence[bytes], mixed: Iterable[str]) -> dict[str, pa.DataType]:
    """Types of columns whose values are of several: that of most."""
    names = list(mixed)
    events = [event for text in texts if (event := json_object(text)) is not None] if names else []
    found = {name: found_types(value for event in events if (value := event.get(name)) is not None) for name in names}
    return {name: _most(kinds) for name, kinds in found.items() if kinds}


def _most(kinds: Counter[str]) -> pa.DataType:
    weights: Counter[pa.DataType] = Counter()
    for kind, number in kinds.items():
        weights[_BY_FOUND.get(kind, pa.list_(pa.null()) if kind == "list" else pa.struct([]))] += number
    if all(weights[kind] for kind in _NUMBERS):
        weights[pa.float64()] += weights.pop(pa.int64())
    return max(weights, key=lambda kind: weights[kind])


def _arrow_types(value: bytes) -> dict[str, pa.DataType]:
    try:
        return {field.name: _stream_type(field.type) for field in read_arrow(value).schema}
    except SchemaError:
        return {}


def _stream_type(given: pa.DataType) -> pa.DataType:
    """The type in which a stream holds a column of Arrow's; the type itself if it holds none."""
    plain = given
    while pa.types.is_dictionary(plain) or pa.types.is_run_end_encoded(plain):
        plain = plain.value_type
    if pa.types.is_null(plain):
        return plain
    if pa.types.is_integer(plain):
        return pa.int64()
    return next((kind for kind in (pa.string(), pa.bool_(), pa.float64()) if fits(given, kind)), given)


def _schema(columns: pa.Schema, form: str, missing: Sequence[str]) -> EventSchema:
    return EventSchema(
        columns=columns,
        time_column="",
        time_format="epoch_ms",
        required=(),
        label=None,
        max_ahead_us=0,
        max_record_bytes=parse_size(SourceSettings(topic="", time_column="").max_record_bytes),
        default_format=form,
        missing=tuple(missing),
        lenient=frozenset(columns.names),
    )


def _column(name: str, kind: pa.DataType, found: Undated) -> Column:
    if why := unfit(name, kind):
        return Column(name, pa.nulls(found.rows.num_rows), unfit=why)
    wrong = found.wrong.get(name)
    if wrong is None:
        return Column(name, found.rows.column(name))
    return Column(name, found.rows.column(name), len(wrong.rows), shown(wrong.values[0]), markers_of(wrong.values))


def _nothing(
    topic: str, fetched: Sequence[Fetched], rejects: Sequence[SideRecord], types: Mapping[str, pa.DataType]
) -> str:
    """Why no event was found."""
    records = counted(sum(map(len, fetched)), "record")
    if not rejects:
        left_out = ", ".join(f"{name!r} ({unfit(name, kind)})" for name, kind in types.items())
        return (
            f"topic {topic!r}: none of {records} has a column that a job could read: {left_out or 'no column at all'}"
        )
    first = min(rejects, key=lambda reject: (reject.partition, reject.offset))
    guess = next(
        (f"; they seem to be {what}" for begin, what in _OTHERS.items() if (first.value or b"").startswith(begin)), ""
    )
    return (
        f"topic {topic!r}: none of {records} looked at can be read, the first (partition {first.partition}, offset "
        f"{first.offset}): {first.message}{guess}. Read are JSON objects and streams of Arrow IPC"
    )

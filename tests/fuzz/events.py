"""Records of a topic: whatever comes, each event is counted or set aside, and those beside it are as they were."""

from collections.abc import Sequence
from functools import cache, partial

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.pipelines.job.kinds import parse_job
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.transforms.codecs.arrow import encode_arrow, read_arrow
from sparsewatch.transforms.codecs.arrow_framing import count_events
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.codecs.events import EventSchema, event_schema
from sparsewatch.transforms.kafka.side_topics import read_back, side_headers
from sparsewatch.transforms.records import Fetched
from tests.fuzz.decoder import ACCEPTED, Case, Decoder
from tests.kit.kind_examples import example_of, job_file
from tests.kit.stored_examples import ASIDE

_NOW_MS = 1_700_000_000_000
KINDS = ("ctr", "rows", "wafer")


@cache
def _schema(kind: str, form: str) -> EventSchema:
    settings = job_file(kind, example_of(kind).settings)
    job = parse_job(settings | {"source": {**settings["source"], "format": form}}, "fuzz")
    return event_schema(job.source, job.event_columns())


@cache
def _events(kind: str) -> pa.RecordBatch:
    rows = example_of(kind).events(24, 7)
    return rows.append_column("t", pa.array(np.full(rows.num_rows, _NOW_MS)))


@cache
def _json_seeds(kind: str) -> list[bytes]:
    return [msgspec.json.encode(row) for row in _events(kind).to_pylist()]


@cache
def _arrow_seeds(kind: str) -> list[bytes]:
    rows = _events(kind)
    parts = [encode_arrow(rows.slice(first, length)) for first, length in ((0, 3), (3, 1), (4, 8), (12, 12))]
    coded = pa.Table.from_batches([rows])
    for at, field in enumerate(coded.schema):
        if pa.types.is_string(field.type):
            coded = coded.set_column(at, field.name, coded[field.name].dictionary_encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, coded.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(coded, max_chunksize=9)
    return [*parts, encode_arrow(coded), bytes(sink.getvalue())]


def _fetched(values: Sequence[bytes | None]) -> Fetched:
    n = len(values)
    return Fetched(0, list(range(n)), [_NOW_MS] * n, list(values), [()] * n, lambda _: None, n)


@cache
def _alone(kind: str, form: str) -> pa.RecordBatch:
    sound = (_json_seeds if form == "json" else _arrow_seeds)(kind)[0]
    return decode("t", [_fetched([sound])], _schema(kind, form)).rows.drop_columns(["_offset"])


def _read(case: Case, *, kind: str, form: str) -> str:
    sound = (_json_seeds if form == "json" else _arrow_seeds)(kind)[0]
    schema = _schema(kind, form)
    decoded = decode("t", [_fetched([sound, case.data, sound])], schema)
    record = decoded.records[:, 1]
    inside, aside = int((record == 1).sum()), [reject for reject in decoded.rejects if reject.offset == 1]
    alone = _alone(kind, form)
    for at in (0, 2):
        beside = decoded.rows.filter(pa.array(record == at)).drop_columns(["_offset"])
        if not beside.equals(alone) and str(beside.to_pylist()) != str(alone.to_pylist()):
            raise AssertionError("a record is read otherwise beside a damaged one")
    expected = 1 if form == "json" else _held(case.data)
    # A record that cannot be used counts as one event at least.
    expected = expected or min(1, len(aside))
    if inside + sum(reject.events for reject in aside) != expected:
        raise AssertionError(f"{expected} events became {inside} rows and {[reject.events for reject in aside]}")
    return aside[0].code if aside else ACCEPTED


def _held(value: bytes) -> int:
    """Events of an Arrow record, however damaged."""
    try:
        table = read_arrow(value)
    except SchemaError:
        return max(1, count_events(value, 1 << 20) or 1)
    return int(table.num_rows)


def _headers() -> list[bytes]:
    odd = SideRecord(
        kind="late", topic="t", partition=3, offset=1 << 40, timestamp_ms=5, key=b"k", value=b"v", headers=(),
        code="late", message="m", events=7, row=2, retriable=True, era="0a", topic_id="x",
    )  # fmt: skip
    return [msgspec.json.encode([(n, t.decode("latin-1")) for n, t in side_headers(r)]) for r in (*ASIDE.records, odd)]


def _read_headers(case: Case) -> str:
    """Headers as JSON, so that damage falls on names and values alike; damage to the JSON itself falls on a value."""
    try:
        pairs = msgspec.json.decode(case.data, type=list[tuple[str, str]])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pairs = msgspec.json.decode(_headers()[case.seed], type=list[tuple[str, str]])
        at = len(case.data) % len(pairs)
        pairs[at] = (pairs[at][0], case.data.decode("latin-1"))
    headers = [(name, text.encode("latin-1", "replace")) for name, text in pairs]
    records = Fetched(0, [4], [5], [b"value"], [headers], lambda _: b"key", 5)
    found = read_back(records, 0)
    again = Fetched(0, [4], [5], [b"value"], [side_headers(found)], lambda _: b"key", 5)
    if read_back(again, 0) != found:
        raise AssertionError("a side record is read otherwise once it is written again")
    return ACCEPTED


DECODERS = (
    *(
        Decoder(f"events json {kind}", partial(_json_seeds, kind), partial(_read, kind=kind, form="json"), text=True)
        for kind in KINDS
    ),
    *(
        Decoder(f"events arrow {kind}", partial(_arrow_seeds, kind), partial(_read, kind=kind, form="arrow"))
        for kind in KINDS
    ),
    Decoder("side record headers", _headers, _read_headers, text=True),
)

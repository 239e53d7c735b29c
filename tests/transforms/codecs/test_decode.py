"""Fetched records to one batch: order, places, formats, and what is set aside of which record."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW
from sparsewatch.schemas.jobs import RECORD_TIME
from sparsewatch.transforms.codecs.arrow import encode_arrow, read_arrow
from sparsewatch.transforms.codecs.decode import ARROW_TYPE, JSON_TYPE, Decoded, decode
from sparsewatch.transforms.codecs.events import EventSchema, event_times_us
from sparsewatch.transforms.records import Fetched, Headers

pytestmark = pytest.mark.usefixtures("json_reader")

NOW_MS = 1_700_000_000_000
COLUMNS = pa.schema([("t", pa.int64()), ("x", pa.float64()), ("label", pa.int64())])
ARROW, JSON = [("content-type", ARROW_TYPE)], [("content-type", JSON_TYPE)]


def schema(**changes: Any) -> EventSchema:
    settings = {
        "columns": COLUMNS,
        "time_column": "t",
        "time_format": "epoch_ms",
        "required": ("label",),
        "label": "label",
        "max_ahead_us": 3_600_000_000,
        "max_record_bytes": 4_000_000,
        "default_format": "json",
    }
    return EventSchema(**{**settings, **changes})


def fetched(
    values: Sequence[bytes | None], headers: Sequence[Headers] | None = None, partition: int = 0, first: int = 0
) -> Fetched:
    return Fetched(
        partition=partition,
        offsets=list(range(first, first + len(values))),
        timestamps_ms=[NOW_MS] * len(values),
        values=list(values),
        headers=list(headers or [()] * len(values)),
        keys=lambda i: b"key-%d" % (first + i),
        next_offset=first + len(values),
    )


def event(**other: Any) -> dict[str, Any]:
    return {"t": NOW_MS, "x": 1.0, "label": 0, **other}


def arrow(events: list[dict[str, Any]]) -> bytes:
    return encode_arrow(pa.Table.from_pylist(events, schema=COLUMNS))


def fault_of(e: dict[str, Any]) -> str | None:
    """The first fault of an event whose types are right, in the order they are looked for."""
    if e["x"] is not None and not np.isfinite(e["x"]):
        return "not_finite"
    if e["t"] is None or e["t"] < 0:
        return "bad_time"
    if e["t"] > NOW_MS + 3_600_000:
        return "time_ahead"
    if e["label"] is None:
        return "missing_value"
    if e["label"] not in (0, 1):
        return "bad_label"
    return None


def places(decoded: Decoded) -> list[tuple[int, int, int]]:
    columns = (decoded.rows[name].to_pylist() for name in (PARTITION, OFFSET, ROW))
    return list(zip(*columns, strict=True))


events = st.fixed_dictionaries(
    {
        "t": st.sampled_from([NOW_MS, NOW_MS - 5, NOW_MS + 3_600_000, NOW_MS + 3_600_001, -1, None]),
        "x": st.sampled_from([1.5, None, 0.0]),
        "label": st.sampled_from([0, 0, 1, 1, 2, None]),
    }
)
arrow_events = st.builds(lambda e, x: {**e, "x": x}, events, st.sampled_from([1.5, None, float("nan"), float("inf")]))
#: What a record holds: a list is an Arrow record of these events, a dict a JSON one, bytes and None no event.
contents = st.one_of(events, st.lists(arrow_events, max_size=5), st.sampled_from([b"{", b"", None, b"[1]"]))


@settings(max_examples=200)
@given(st.lists(st.lists(contents, max_size=6), min_size=1, max_size=3))
def test_good_rows_come_in_order_and_each_bad_one_is_set_aside_once(runs: list[list[Any]]) -> None:
    topic = [
        fetched(
            [arrow(c) if isinstance(c, list) else json.dumps(c).encode() if isinstance(c, dict) else c for c in run],
            [ARROW if isinstance(c, list) else JSON for c in run],
            partition=partition,
            first=10 * partition,
        )
        for partition, run in enumerate(runs)
    ]
    decoded = decode("topic", topic, schema())

    good: list[tuple[int, int, int]] = []
    bad: dict[tuple[int, int, str], list[int]] = {}
    for (partition, run), offset in itertools.chain.from_iterable(
        (((p, run), o) for o in range(len(run))) for p, run in enumerate(runs)
    ):
        content, at = run[offset], (partition, 10 * partition + offset)
        if content is None or isinstance(content, bytes):
            code = "null_value" if content is None else "wrong_type" if content == b"[1]" else "broken_json"
            bad[*at, code] = [-1]
            continue
        for row, e in enumerate(content if isinstance(content, list) else [content]):
            if (fault := fault_of(e)) is None:
                good.append((*at, row))
            else:
                bad.setdefault((*at, fault), []).append(row if isinstance(content, list) else -1)
    assert places(decoded) == good
    said = {(r.partition, r.offset, r.code): r for r in decoded.rejects}
    assert len(said) == len(decoded.rejects)
    assert said.keys() == bad.keys()
    for place, rows in bad.items():
        record = said[place]
        original = topic[place[0]].values[place[1] - 10 * place[0]]
        assert (record.row, record.events) == (rows[0], len(rows))
        assert record.key == b"key-%d" % record.offset
        if rows[0] < 0:
            assert record.value == original
        else:
            kept = read_arrow(record.value or b"")
            assert str(kept.to_pylist()) == str(read_arrow(original or b"").take(pa.array(rows)).to_pylist())
    assert decoded.rows[EVENT_TIME_US].to_pylist() == [t * 1000 for t in decoded.rows["t"].to_pylist()]


@pytest.mark.parametrize(
    ("default", "headers"),
    [
        ("json", ARROW),
        ("arrow", []),
        ("arrow", [("content-type", b"application/octet-stream")]),
        ("arrow", [("content-type", b"?"), ("content-type", JSON_TYPE)]),
        ("json", [("trace", b"1"), *ARROW, *JSON]),
    ],
    ids=["header", "setting", "unknown-header", "unknown-header-first", "first-header-counts"],
)
def test_late_rows_count_one_by_one_however_the_format_was_known(default: str, headers: Headers) -> None:
    decoded = decode(
        "topic", [fetched([arrow([event(x=float(i)) for i in range(6)])], [headers])], schema(default_format=default)
    )
    assert decoded.rows.num_rows == 6
    (late,) = decoded.set_aside(np.array([1, 4, 5]), "late", "late", "its window had closed")
    assert (late.events, late.row, late.kind) == (3, 1, "late")
    assert read_arrow(late.value or b"")["x"].to_pylist() == [1.0, 4.0, 5.0]
    assert late.headers == tuple(headers)


def test_an_event_that_merely_looks_like_arrow_by_header_is_no_row() -> None:
    decoded = decode("topic", [fetched([json.dumps(event()).encode()], [ARROW])], schema())
    assert [(r.code, r.events) for r in decoded.rejects] == [("broken_arrow", 1)]


def test_rows_with_one_fault_travel_together_and_say_how_many() -> None:
    rows = [event(label=2), event(), event(label=3), event(label=None)]
    decoded = decode("topic", [fetched([arrow(rows)], [ARROW])], schema())
    assert [(r.code, r.events, r.row) for r in decoded.rejects] == [("bad_label", 2, 0), ("missing_value", 1, 3)]
    assert decoded.rejects[0].message == "column 'label': expected 0 or 1, got 2 (rows with this fault: 2)"
    assert decoded.rejects[0].id == "topic/0/0/0/bad_label"


def test_ten_thousand_bad_rows_of_one_record_are_one_side_record() -> None:
    decoded = decode("topic", [fetched([arrow([event(label=7)] * 10_000)], [ARROW])], schema())
    assert [(r.code, r.events) for r in decoded.rejects] == [("bad_label", 10_000)]
    assert decoded.rows.num_rows == 0


def test_a_record_too_large_is_not_even_parsed() -> None:
    large = json.dumps(event(pad="x" * 5_000_000)).encode()
    decoded = decode("topic", [fetched([large, json.dumps(event()).encode()])], schema())
    assert [(r.code, r.value == large) for r in decoded.rejects] == [("too_large", True)]
    assert decoded.rejects[0].message == f"expected at most 4000000 bytes, got {len(large)}"
    assert places(decoded) == [(0, 1, 0)]


def test_a_time_is_compared_with_its_records_own_timestamp() -> None:
    ahead = json.dumps(event(t=NOW_MS + 3_600_001)).encode()
    run = fetched([ahead, ahead, ahead])
    run.timestamps_ms[1], run.timestamps_ms[2] = NOW_MS + 1, -1  # the last broker states none
    decoded = decode("topic", [run], schema())
    assert [(r.offset, r.code) for r in decoded.rejects] == [(0, "time_ahead")]


@given(st.lists(st.integers(-1, 1 << 43), min_size=1, max_size=8), st.booleans())
def test_records_own_timestamps_count_as_a_column_of_them_would(stamps: list[int], as_arrow: bool) -> None:
    # Two events a record where they are Arrow's.
    values = [
        arrow([event(t=at, x=float(i))] * 2) if as_arrow else json.dumps(event(t=at, x=float(i))).encode()
        for i, at in enumerate(stamps)
    ]
    run = fetched(values, [ARROW if as_arrow else JSON] * len(values))
    run.timestamps_ms[:] = stamps
    written = decode("topic", [run], schema())
    own = decode("topic", [run], schema(columns=COLUMNS.remove(0), time_column=RECORD_TIME))
    assert own.rows.equals(written.rows.drop_columns(["t"]))
    assert [(r.id, r.value) for r in own.rejects] == [(r.id, r.value) for r in written.rejects]
    assert [r.offset for r in own.rejects] == [i for i, at in enumerate(stamps) if at < 0]
    assert all("column '_timestamp': expected a time as epoch_ms, got -1" in r.message for r in own.rejects)


def test_nothing_fetched_gives_an_empty_batch_of_the_right_columns() -> None:
    for runs in ([], [fetched([])]):
        decoded = decode("topic", runs, schema())
        assert decoded.rows.schema.names == ["t", "x", "label", PARTITION, OFFSET, ROW, EVENT_TIME_US]
        assert (decoded.rows.num_rows, decoded.rejects) == (0, [])


US = 1_000_000
ISO = {
    "2026-01-31T12:00:00Z": 1_769_860_800 * US,
    "2026-01-31T12:00:00": 1_769_860_800 * US,
    "2026-01-31 12:00:00": 1_769_860_800 * US,
    "2026-01-31T12:00": 1_769_860_800 * US,
    "2026-01-31T12:00Z": 1_769_860_800 * US,
    "2026-01-31T13:30:00+01:30": 1_769_860_800 * US,
    "2026-01-31T12:00:00.123456Z": 1_769_860_800 * US + 123_456,
    "2026-01-31 12:00:00.5": 1_769_860_800 * US + 500_000,
    "2026-01-31": 1_769_817_600 * US,
    "1969-12-31T23:59:59Z": None,
    "2026-02-30": None,
    "31.01.2026": None,
    "2026/01/31": None,
    "1769860800": None,
    "noon": None,
    "": None,
}


def test_iso_times_mean_the_same_in_any_company() -> None:
    for text, expected in ISO.items():
        for company in ISO:
            times, usable = event_times_us(pa.array([company, text, None]), "iso8601")
            assert usable[1] == (expected is not None), (company, text)
            assert expected is None or times[1] == expected, (company, text)
            assert not usable[2]


@pytest.mark.parametrize(("unit", "factor"), [("epoch_s", US), ("epoch_ms", 1000), ("epoch_us", 1)])
def test_epoch_times_are_scaled_and_checked(unit: Any, factor: int) -> None:
    times, usable = event_times_us(pa.array([0, 1_700_000_000, -1, None, 2**63 - 1]), unit)
    assert usable.tolist() == [True, True, False, False, False]
    assert times[:2].tolist() == [0, 1_700_000_000 * factor]

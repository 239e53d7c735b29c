"""Fields that are no columns are found in one record of some, whatever reads it and however it was fetched."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.stream.new_fields import ONE_IN
from sparsewatch.schemas.block import OFFSET, PARTITION
from sparsewatch.schemas.other_fields import MOST, NAME_CHARACTERS, NO_OTHERS, OtherFields
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.codecs.decode import ARROW_TYPE, Decoded, decode
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.codecs.other_fields import looked_at, other_fields
from sparsewatch.transforms.coders import decode_block, encode_block
from sparsewatch.transforms.kafka.resume import start_state
from sparsewatch.transforms.kafka.routing import route
from sparsewatch.transforms.kafka.stream_clock import WindowRules
from sparsewatch.transforms.records import Fetched

COLUMNS = pa.schema([("t", pa.int64()), ("site", pa.string())])
SCHEMA = EventSchema(
    columns=COLUMNS,
    time_column="t",
    time_format="epoch_ms",
    required=("site",),
    label=None,
    max_ahead_us=3_600_000_000,
    max_record_bytes=4_000_000,
    default_format="json",
)
MINUTE_MS, NOW_MS = 60_000, 1_700_000_040_000
RULES = WindowRules(length_us=60_000_000, disorder_us=600_000_000)
pytestmark = pytest.mark.usefixtures("json_reader")


def event(place: int) -> bytes:
    """Every third has another field, every fifth none, and every seventh is a reject."""
    own = {"t": NOW_MS + (place % 3) * MINUTE_MS, "site": None if place % 7 == 0 else "s"}
    return json.dumps(own | ({} if place % 5 == 0 else {"other": {"deep": [1, "}"]}}) | {f"v{place % 3}": 1}).encode()


def batch(values: list[bytes], first: int = 0, headers: tuple[tuple[str, bytes], ...] = ()) -> Decoded:
    run = Fetched(
        3,
        range(first, first + len(values)),
        [NOW_MS] * len(values),
        values,
        [headers] * len(values) if headers else (),
        lambda _at: None,
        first + len(values),
    )
    return decode("clicks", [run], SCHEMA)


def all_fields(of: Decoded) -> OtherFields:
    return of.other_fields(np.arange(of.rows.num_rows))


def test_about_one_record_of_so_many_is_looked_at_whatever_the_producers_turn() -> None:
    offsets = np.arange(256_000)
    looked = looked_at(np.full(len(offsets), 3, dtype=np.int32), offsets)
    assert looked.mean() == pytest.approx(1 / ONE_IN, rel=0.05)
    for turn in range(8):
        assert looked[turn::8].mean() == pytest.approx(1 / ONE_IN, rel=0.15)
    assert not np.array_equal(looked, looked_at(np.full(len(offsets), 4, dtype=np.int32), offsets))


def test_the_fields_of_a_batch_are_those_of_its_rows_that_are_looked_at() -> None:
    values = [event(place) for place in range(2_000)]
    decoded = batch(values)
    rows = decoded.rows
    looked = rows.filter(pa.array(looked_at(rows.column(PARTITION).to_numpy(), rows.column(OFFSET).to_numpy())))
    expected: dict[str, int] = {}
    for offset in looked.column(OFFSET).to_pylist():
        assert offset % 7, "a reject is no row"
        for name in set(json.loads(values[offset])) - {"t", "site"}:
            expected[name] = expected.get(name, 0) + 1
    assert all_fields(decoded) == OtherFields(dict(sorted(expected.items())))
    assert set(expected) == {"other", "v0", "v1", "v2"}


def test_windows_show_the_same_however_their_records_are_fetched() -> None:
    values = [event(place) for place in range(1_500)]
    found: list[dict[int, OtherFields]] = []
    for size in (1_500, 400, 37):
        by_window: dict[int, OtherFields] = {}
        state = start_state(None, [3], {3: 0}, 0)
        for first in range(0, len(values), size):
            decoded = batch(values[first : first + size], first)
            state, step = route(decoded, state, RULES, {3: first + len(decoded.fetched[0])})
            for window_us, block in step.blocks:
                travelled = decode_block(encode_block(block)).others
                assert travelled == block.others
                by_window[window_us] = by_window.get(window_us, NO_OTHERS) + travelled
        found.append(by_window)
    assert found[0] == found[1] == found[2]
    assert [sorted(others.records) for others in found[0].values()] == [["other", f"v{n}"] for n in range(3)]


def test_events_without_other_fields_have_none_and_cost_no_look() -> None:
    decoded = batch([b'{"t": %d, "site": "s"}' % NOW_MS] * 300)
    assert all_fields(decoded) == NO_OTHERS


def test_other_fields_of_arrow_records_are_not_looked_for() -> None:
    table = pa.table({"t": [NOW_MS] * 4, "site": ["s"] * 4, "other": [1] * 4})
    assert all_fields(batch([encode_arrow(table)] * 200, headers=(("content-type", ARROW_TYPE),))) == NO_OTHERS


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b'{"a": NaN, "t": 1}', ["a"]),
        (b'{"a": %s}' % (b"9" * 5_000), ["a"]),
        (b'{"a": "\\ud800", "\\u00e9": 1}', ["a", "é"]),
        (b'{"a": 1, "a": 2}', ["a"]),
        (b'{"%s": 1}' % (b"n" * 500), ["n" * NAME_CHARACTERS]),
        (b"[1]", []),
        (b"broken", []),
        (b"[" * 100_000, []),
    ],
)
def test_whatever_may_be_an_event_shows_its_fields(value: bytes, names: list[str]) -> None:
    assert other_fields([value], {"t"}) == OtherFields(dict.fromkeys(names, 1))


def test_more_names_than_fields_have_are_data() -> None:
    ids = (b'{"id %d": 1}' % n for n in itertools.count())
    assert other_fields(itertools.islice(ids, MOST), frozenset()) == OtherFields(
        {f"id {n}": 1 for n in sorted(map(str, range(MOST)))}
    )
    assert other_fields(ids, frozenset()) == OtherFields(is_beyond=True)

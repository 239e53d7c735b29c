"""Records that cannot be used, on a real broker: each is set aside whole with its reason, and the books balance."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from sparsewatch.transforms.codecs.arrow import encode_arrow
from tests.kit.job_files import write_click_job, write_wafer_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import Raw, create_topic, newest_by_key, read_all

START = 1_700_000_000_000 // 60_000 * 60_000
YEAR_2200 = 7_258_118_400_000
ARROW = [("content-type", b"application/vnd.apache.arrow.stream")]
CLICKS = pa.schema(
    [
        ("t", pa.int64()),
        ("ad", pa.int64()),
        ("site", pa.string()),
        ("price", pa.float64()),
        ("mobile", pa.bool_()),
        ("label", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Sent:
    """A record to send and, if it is a bad one, the code and a part of the message it must be rejected with."""

    value: bytes | None
    code: str = ""
    says: str = ""
    headers: Sequence[tuple[str, bytes]] = ()
    key: bytes | None = None
    #: Events it holds, and counts as if it is bad.
    events: int = 1


def send(bootstrap: str, topic: str, records: Sequence[Sent]) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=32 << 20)
    sent = [
        producer.send(topic, value=r.value, key=r.key, headers=list(r.headers), partition=i % 2)
        for i, r in enumerate(records)
    ]
    producer.flush()
    producer.close()
    for future in sent:
        future.get(0)


def event(second: int = 0, **other: Any) -> dict[str, Any]:
    return {"t": START + second * 1000, "ad": 3, "site": "s", "price": 0.5, "mobile": True, "label": 0, **other}


def as_json(second: int = 0, **other: Any) -> bytes:
    return json.dumps(event(second, **other)).encode()


def as_arrow(rows: list[dict[str, Any]], schema: pa.Schema = CLICKS) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_table(pa.Table.from_pylist(rows, schema=schema))
    return bytes(sink.getvalue())


def without(name: str) -> bytes:
    return json.dumps({k: v for k, v in event().items() if k != name}).encode()


BAD_CLICKS = [
    Sent(b'{"t": 1700000000000, "ad"', "broken_json", "expected one JSON object", key=b"user-1"),
    Sent(b"", "broken_json", "truncated"),
    Sent(as_json() + as_json(), "broken_json", "trailing characters", [("trace", b"\x00\xff")]),
    Sent(b"[" + as_json() + b"]", "wrong_type", "Expected `object`, got `array`"),
    Sent(as_json(site="x").replace(b'"x"', b'"\xff\xfe"'), "broken_json", "utf-8.*byte 0xff in position"),
    Sent(as_json(site="x").replace(b'"x"', b'"two\nlines"'), "broken_json", "invalid character"),
    Sent(as_json(label="1"), "wrong_type", r"column 'label': expected int, got '1' \(str\)", key=b"k"),
    Sent(as_json(label=True), "wrong_type", r"column 'label': expected int, got True \(bool\)"),
    Sent(as_json(t=f"{START}"), "wrong_type", rf"column 't': expected int, got '{START}' \(str\)"),
    Sent(as_json(t=float("inf")), "not_finite", "column 't': expected a finite number, got inf"),
    Sent(as_json(deep=0).replace(b": 0}", b": " + b"[" * 5000 + b"]" * 5000 + b"}"), "broken_json", "256 levels"),
    Sent(without("label"), "missing_value", "column 'label': expected a value"),
    Sent(as_json(label=None), "missing_value", "column 'label': expected a value"),
    Sent(as_json(label=2), "bad_label", "column 'label': expected 0 or 1, got 2"),
    Sent(without("t"), "bad_time", "column 't': expected a time as epoch_ms, got None"),
    Sent(as_json(t=-1), "bad_time", "column 't': expected a time as epoch_ms, got -1"),
    Sent(as_json(t=YEAR_2200), "time_ahead", f"column 't': {YEAR_2200} is more than source.max_ahead after"),
    Sent(as_json(site="x" * 5_000_000), "too_large", "at most 4000000 bytes, got 50000"),
    Sent(None, "null_value", "expected an event, got a record without a value", key=b"gone"),
    Sent(as_arrow([event(t=YEAR_2200)]), "time_ahead", "source.max_ahead", [*ARROW, ("more", b"1")]),
    Sent(as_arrow([{"a": 1}], pa.schema([("a", pa.int64())])), "foreign_schema", "'label'.* got .'a'", ARROW),
    Sent(
        as_arrow([{**event(), "label": "1"}], CLICKS.set(5, pa.field("label", pa.string()))),
        "foreign_schema",
        "column 'label': expected int64, got string",
        ARROW,
    ),
    Sent(
        as_arrow([event()] * 50, CLICKS.set(0, pa.field("at", pa.int64()))),
        "foreign_schema",
        r"wrong: \['t'\]",
        ARROW,
        events=50,
    ),
    Sent(as_arrow([event(site="x" * 20_000)] * 300), "too_large", "at most 4000000 bytes, got 60", ARROW, events=300),
    Sent(as_arrow([event()] * 9)[:-300], "broken_arrow", "expected an Arrow IPC stream", ARROW, b"\x00key", 9),
    Sent(as_arrow([event()] * 9)[:300], "broken_arrow", r"not believed: it counts as one\)$", ARROW),
    Sent(b"\xff\xff\xff\xff", "broken_arrow", "expected an Arrow IPC stream.*counts as one", ARROW),
    Sent(as_json(), "broken_arrow", "expected an Arrow IPC stream", ARROW),
]
#: Events with cells of another type: by column how many, of which type.
MISTYPED = {"ad": {"int out of range": 1, "str": 3}, "mobile": {"int": 4}, "price": {"not finite": 3}}


def wrong_cells() -> list[Sent]:
    """Events of which some cells do not fit; at another hour than the other events, six in a window."""
    text_ads = pa.array([None, "three", "3"])
    rows = pa.Table.from_pylist([event(3600, price=float("inf"), mobile=None)] * 3, CLICKS)
    rows = rows.set_column(3, "price", pa.array([0.5, float("nan"), float("-inf")]))
    bits = rows.set_column(1, "ad", text_ads).set_column(4, "mobile", pa.array([0, 1, 0], pa.int8()))
    return [
        Sent(as_json(3600, price=float("nan"))),
        Sent(as_json(3600, ad="three"), key=b"k"),
        Sent(as_json(3600, ad=2**63, mobile=1)),
        Sent(encode_arrow(bits), headers=ARROW, events=3),
        # Whole numbers, however they are written.
        Sent(as_json(3600, ad=7).replace(b'"ad": 7', b'"ad": 7.0')),
        Sent(encode_arrow(rows.slice(0, 1).set_column(1, "ad", pa.array([7.0]))), headers=ARROW),
    ]


def good_click(i: int) -> Sent:
    second = i // 4
    if i % 5 == 0:
        return Sent(as_arrow([event(second, ad=i % 7)] * 6), headers=ARROW, events=6)
    if i % 7 == 0:
        return Sent(json.dumps(event(second, ad=i % 7), indent=2).replace("\n", "\r\n").encode() + b"\n")
    return Sent(as_json(second, ad=i % 7, label=int(i % 3 == 0), more={"x": [1]}), headers=[("trace", b"%d" % i)])


def mixed(good: Sequence[Sent], bad: Sequence[Sent]) -> list[Sent]:
    """Bad records spread evenly among good ones."""
    step = len(good) // len(bad)
    return [r for i, record in enumerate(good) for r in (record, *bad[i // step : i // step + (i % step == 0)])]


def n_events(records: Sequence[Sent], *, bad: bool) -> int:
    return sum(record.events for record in records if bool(record.code) == bad)


def header(record: Raw, name: str) -> str:
    return dict(record.headers)[f"sparsewatch.{name}"].decode()


def assert_set_aside_whole(bootstrap: str, topic: str, sent: Sequence[Sent]) -> None:
    """Every bad record stands in the rejects topic once, as it was, with its reason; nothing else does."""
    rejects = {(header(r, "partition"), header(r, "offset")): r for r in read_all(bootstrap, f"{topic}.rejects")}
    places = {(str(i % 2), str(i // 2)): record for i, record in enumerate(sent) if record.code}
    assert rejects.keys() == places.keys()
    assert len(read_all(bootstrap, f"{topic}.rejects")) == len(places)
    for place, record in places.items():
        reject = rejects[place]
        assert reject.value == record.value
        assert reject.headers[: len(record.headers)] == tuple(record.headers)
        assert header(reject, "code") == record.code
        assert re.search(record.says, header(reject, "message")), (record.says, header(reject, "message"))
        assert header(reject, "topic") == topic
        assert header(reject, "events") == str(record.events)
        assert header(reject, "key") == ("none" if record.key is None else "kept")
        assert reject.key == (record.key or header(reject, "id").encode())


def assert_balanced(job: Job, account: Account) -> None:
    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == account


def written(bootstrap: str, job: Job) -> dict[str, int]:
    """Records the job has written, by topic; but for metrics and progress, which every run states anew."""
    names = [f"{job.name}.{name}" for name in ("windows", "alerts", "rejects", "late")]
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    ends = consumer.end_offsets([TopicPartition(name, 0) for name in names])
    consumer.close()
    return {tp.topic: end for tp, end in ends.items()}


def test_each_bad_click_is_set_aside_whole_and_the_job_goes_on(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "poison-clicks"
    sent = [*mixed([good_click(i) for i in range(1000)], BAD_CLICKS), *wrong_cells()]
    create_topic(bootstrap, topic, 2)
    send(bootstrap, topic, sent)
    job = load_job(write_click_job(tmp_path, bootstrap, topic))
    run_job(job, "latest", "inprocess")

    counted = n_events(sent, bad=False)
    assert_balanced(job, Account(counted=counted, rejected=n_events(sent, bad=True)))
    assert_set_aside_whole(bootstrap, topic, sent)
    windows = newest_by_key(read_all(bootstrap, f"{topic}.windows"))
    assert sum(w["rows"] for w in windows.values()) == counted
    *earlier, last = (windows[key] for key in sorted(windows))
    assert all(window["mistyped"] == {} for window in earlier)
    assert (last["rows"], {name: one["found"] for name, one in last["mistyped"].items()}) == (8, MISTYPED)
    nulls = {name: one["null_share"] * 8 for name, one in last["profile"]["features"].items()}
    assert nulls == {"ad": 4 + 1, "mobile": 4 + 1, "price": 3, "site": 0}
    before = written(bootstrap, job)
    run_job(job, "latest", "inprocess")
    assert written(bootstrap, job) == before


def test_a_job_may_ask_that_a_wrong_cell_costs_the_event(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "poison-strict"
    create_topic(bootstrap, topic, 2)
    send(bootstrap, topic, [good_click(0), *wrong_cells()])
    job = load_job(write_click_job(tmp_path, bootstrap, topic, wrong_cells="reject"))
    run_job(job, "latest", "inprocess")
    # Of the Arrow record with text ads and bits nothing can be used, whatever single rows hold.
    assert_balanced(job, Account(counted=6 + 2, rejected=3 + 3))
    rejects = read_all(bootstrap, f"{topic}.rejects")
    found = sorted((header(reject, "code"), header(reject, "events")) for reject in rejects)
    assert found == [("foreign_schema", "3"), ("not_finite", "1"), ("wrong_type", "1"), ("wrong_type", "1")]


def many_events() -> list[dict[str, Any]]:
    """Ten minutes past the first records: rows 2, 5 and 8 are late, 3, 7 and 9 have bad labels, 4 has no price."""
    rows = [event(600 + i) for i in range(10)]
    for i in (2, 5, 8):
        rows[i]["t"] = START + i
    rows[3]["label"], rows[7]["label"], rows[4]["price"] = 2, None, float("inf")
    rows[9]["label"] = 5
    return rows


def test_rows_of_a_many_event_record_are_set_aside_as_a_record_of_just_those_rows(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    bootstrap, topic, rows = kafka_broker.bootstrap, "poison-rows", many_events()
    extended = CLICKS.append(pa.field("more", pa.string_view()))
    create_topic(bootstrap, topic, 2)
    # Enough rows of later minutes that the clock of their partition is known to be there.
    later = [Sent(as_arrow([event(600)] * 4), headers=ARROW, events=4)] * 40
    first, key = [event(60 + i) for i in range(4)], b"device-7"
    send(
        bootstrap,
        topic,
        [
            Sent(as_arrow(first), headers=ARROW),
            Sent(as_arrow([event(600)]), headers=ARROW),
            *later,
            Sent(as_arrow([{**r, "more": str(i)} for i, r in enumerate(rows)], extended), headers=ARROW, key=key),
        ],
    )
    job = load_job(write_click_job(tmp_path, bootstrap, topic))
    run_job(job, "latest", "inprocess")

    assert_balanced(job, Account(counted=4 + 1 + n_events(later, bad=False) + 4, late=3, rejected=3))
    aside = {
        header(record, "code"): record
        for name in ("rejects", "late")
        for record in read_all(bootstrap, f"{topic}.{name}")
    }
    expected = {"late": [2, 5, 8], "bad_label": [3, 9], "missing_value": [7]}
    assert aside.keys() == expected.keys()
    for code, at in expected.items():
        record = aside[code]
        table = pa.ipc.open_stream(record.value).read_all()
        assert table.schema == extended
        assert table.to_pylist() == [{**rows[i], "more": str(i)} for i in at]
        assert header(record, "events") == str(len(at))
        assert header(record, "row") == str(at[0])
        assert record.key == key
        assert record.headers[:1] == tuple(ARROW)


@pytest.fixture(scope="module")
def wafer_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = np.random.default_rng(0).choice(["center", "edge_ring", "normal"], 240).tolist()
    rows = make_wafers(labels, np.random.default_rng(1), defects=(30, 40))
    model, _ = train_wafer_model(rows, labels, WaferTrainingConfig(grid=128, train=TrainConfig(epochs=1)))
    folder = tmp_path_factory.mktemp("models") / "wafer"
    model.save(folder, metrics={}, training={})
    return folder


def wafer(second: int = 0, **other: Any) -> bytes:
    points = {"radius_um": 100_000.0, "x_um": [0.0, 5e4, -3e4], "y_um": [1e4, 0.0, 2e4]}
    names = {"wafer_id": "W1", "lot": "L1", "step": "etch", "tool": "T1"}
    return json.dumps({"t": START + second * 1000, **names, **points, **other}).encode()


BAD_WAFERS = [
    Sent(wafer(y_um=[1.0]), "length_mismatch", "expected as many x_um as y_um.*x_um has 3, y_um has 1", key=b"W1"),
    Sent(wafer(x_um=[0.0, float("nan"), 1.0]), "not_finite", r"column 'x_um': expected a finite number, got \[0.0"),
    Sent(wafer(x_um=[0.0, None, 1.0]), "not_finite", "expected finite coordinates"),
    Sent(wafer(x_um=[0.0, 1e39, 1.0]), "not_finite", "expected finite coordinates"),
    Sent(wafer(radius_um=0), "bad_radius", "expected a radius_um above 0"),
    Sent(wafer(x_um=None, y_um=None, map=[0, 1, 7, 2], map_rows=2, map_columns=2), "bad_map_value", "0, 1 and 2 only"),
    Sent(wafer(x_um=None, y_um=None, map=[0, 1, 300], map_rows=1, map_columns=3), "wrong_type", "column 'map'"),
    Sent(wafer(x_um=None, y_um=None, map=[0, 1, 2], map_rows=2, map_columns=2), "bad_map_shape", "map_rows"),
    Sent(wafer(x_um=None, y_um=None), "no_defects_given", "expected x_um and y_um, or a map"),
    Sent(wafer(wafer_id=None), "missing_value", "column 'wafer_id': expected a value"),
    Sent(wafer(wafer_id=17), "wrong_type", r"column 'wafer_id': expected str, got 17 \(int\)"),
    Sent(wafer(x_um="0"), "wrong_type", r"column 'x_um': expected list of float, got '0' \(str\)"),
    Sent(wafer(map=7, map_rows=1, map_columns=1), "wrong_type", "column 'map': expected list of int, got 7"),
    Sent(wafer(t=YEAR_2200), "time_ahead", "source.max_ahead"),
    Sent(b"\x00\x01", "broken_json", "expected one JSON object", [("tool", b"T1")]),
    Sent(None, "null_value", "without a value", key=b"W9"),
]


def good_wafer(i: int) -> Sent:
    # The first window's wafers have lots that are numbers, and no step.
    if i < 60:
        return Sent(wafer(i, wafer_id=f"W{i}", lot=4711 + i // 25, step=None))
    if i % 3 == 0:
        dies = {"x_um": None, "y_um": None, "map": [0, 1, 2, 1, 2, 1], "map_rows": 2, "map_columns": 3}
        return Sent(wafer(i, wafer_id=f"W{i}", **dies))
    return Sent(wafer(i, wafer_id=f"W{i}"))


def test_each_bad_wafer_is_set_aside_whole_and_the_others_are_recognised(
    kafka_broker: KafkaBroker, tmp_path: Path, wafer_model: Path
) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "poison-wafers"
    sent = mixed([good_wafer(i) for i in range(150)], BAD_WAFERS)
    create_topic(bootstrap, topic, 2)
    send(bootstrap, topic, sent)
    job = load_job(write_wafer_job(tmp_path, bootstrap, topic, wafer_model))
    run_job(job, "latest", "inprocess")

    assert_balanced(job, Account(counted=150, rejected=len(BAD_WAFERS)))
    assert_set_aside_whole(bootstrap, topic, sent)
    results = newest_by_key(read_all(bootstrap, f"{topic}.wafers"))
    assert sorted(r["wafer_id"] for r in results.values()) == sorted(f"W{i}" for i in range(150))
    assert {(r["lot"], r["step"], r["tool"]) for r in results.values()} == {("", "", "T1"), ("L1", "etch", "T1")}
    windows = newest_by_key(read_all(bootstrap, f"{topic}.windows"))
    shares = [window["mistyped"].get("lot", {"share": 0})["share"] for _, window in sorted(windows.items())]
    alerts = newest_by_key(read_all(bootstrap, f"{topic}.alerts")).values()
    [changed] = [alert for alert in alerts if alert["rule"] == "feature_type_changed"]
    assert (changed["subject"], changed["value"], changed["evidence"]["found"]) == ("lot", 1.0, {"int": 60})
    assert (changed["evidence"]["examples"][0]["value"], shares) == ("4711", [1.0, 0, 0])
    before = written(bootstrap, job)
    run_job(job, "latest", "inprocess")
    assert written(bootstrap, job) == before

"""Rejects: listed safely, repaired, and brought back once, as they were."""

import base64
import json
import random
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.rejects.aside import SAME_FATE
from sparsewatch.pipelines.rejects.command import rejects
from sparsewatch.pipelines.rejects.repairs import read_repairs
from sparsewatch.pipelines.rejects.replay import Replay, ReplayPlan
from sparsewatch.pipelines.rejects.topics import Origin, Originals, SetAside
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.errors import ConfigError, SchemaError, SinkError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.testing import EmbeddedBroker, FakeBroker
from sparsewatch.transforms.kafka.open import open_admin, open_writer
from sparsewatch.transforms.kafka.side_topics import read_back, side_headers, write_aside
from sparsewatch.transforms.records import Fetched
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import Raw, create_topic, newest_by_key, produce, read_all

SENT_MS = 1_700_000_000_000
HEADERS = (("trace", b"\x00\xff"), ("content-type", b"application/json"))


def reject(topic: str, offset: int, **other: Any) -> SideRecord:
    values: dict[str, Any] = {
        "partition": offset % 2,
        "timestamp_ms": SENT_MS + offset,
        "key": b"k%d" % offset,
        "value": b'{"a": "%d"}' % offset,
        "headers": HEADERS,
        "code": "wrong_type",
        "message": "expected int, got str",
    }
    return SideRecord(kind="reject", topic=topic, offset=offset, **{**values, **other})


def set_aside(bootstrap: str, topic: str, records: Sequence[SideRecord]) -> None:
    """A source topic of two partitions and these rejects, written as a job writes them."""
    create_topic(bootstrap, topic, 2)
    create_topic(bootstrap, f"{topic}.rejects")
    writer = open_writer(KafkaSettings(bootstrap_servers=[bootstrap]))
    write_aside(writer, records)
    writer.close()


def command(bootstrap: str, name: str, topic: str, *options: str) -> Result:
    return CliRunner().invoke(rejects, [name, topic, "--bootstrap", bootstrap, *options], catch_exceptions=False)


def replayed_ids(bootstrap: str, topic: str) -> list[str]:
    keys = [(r.key or b"").decode() for r in read_all(bootstrap, f"{topic}.rejects.replayed")]
    return [key for key in keys if key != "under-way"]


def values(records: Sequence[Raw]) -> set[bytes | None]:
    return {r.value for r in records}


def test_a_replayed_record_is_the_original_but_for_its_repair(embedded_broker: EmbeddedBroker) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-whole"
    keyless = reject(topic, 1, key=None, headers=(*HEADERS, ("sparsewatch.replayed-from", b"earlier")))
    set_aside(bootstrap, topic, [reject(topic, 0), keyless])
    result = command(bootstrap, "replay", topic, "--repair", """sed 's/"\\([0-9]*\\)"}/\\1}/'""")

    ids = [f"{topic}/0/0/-1/wrong_type", f"{topic}/1/1/-1/wrong_type"]
    came_from = [(*HEADERS, ("sparsewatch.replayed-from", id_.encode())) for id_ in ids]
    assert read_all(bootstrap, topic) == [
        Raw(0, 0, SENT_MS, b"k0", b'{"a": 0}', came_from[0]),
        Raw(1, 0, SENT_MS + 1, None, b'{"a": 1}', came_from[1]),
    ]
    assert replayed_ids(bootstrap, topic) == ids
    assert "2 rejects (2 events) replayed to 'replay-whole', 2 of them repaired; 0 left, 0 replayed before" in (
        result.output
    )


def test_a_reject_is_replayed_once_however_often_it_stands_there_or_is_asked_for(
    embedded_broker: EmbeddedBroker,
) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-once"
    twice = [reject(topic, 0), reject(topic, 1)] * 2
    set_aside(bootstrap, topic, twice)
    command(bootstrap, "replay", topic, "--force", "--only", twice[1].id)
    assert values(read_all(bootstrap, topic)) == {twice[1].value}
    result = command(bootstrap, "replay", topic, "--force")
    assert "1 reject (1 event) replayed" in result.output
    assert "1 replayed before" in result.output
    assert "0 rejects" in command(bootstrap, "replay", topic, "--force").output
    assert len(read_all(bootstrap, topic)) == 2
    assert "2 rejects" in command(bootstrap, "replay", topic, "--force", "--again").output
    assert len(read_all(bootstrap, topic)) == 4


def test_what_was_sent_before_a_replay_was_cut_off_is_not_sent_again(
    embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-cut"
    set_aside(bootstrap, topic, [reject(topic, i) for i in range(5)])
    produce(bootstrap, topic, [(0, b"from elsewhere"), (1, b"from elsewhere")])
    with monkeypatch.context() as patched:
        patched.setattr("sparsewatch.pipelines.rejects.replay._BATCH_RECORDS", 2)
        noted = Replay.finish

        def cut_off(self: Replay) -> None:
            if self.count.replayed == 2:
                raise SinkError("cut off")
            noted(self)

        patched.setattr(Replay, "finish", cut_off)
        with pytest.raises(SinkError, match="cut off"):
            command(bootstrap, "replay", topic, "--force")
    assert len(replayed_ids(bootstrap, topic)) == 2
    assert len(read_all(bootstrap, topic)) == 2 + 4
    produce(bootstrap, topic, [(0, b"from elsewhere")])
    listed = [json.loads(line) for line in command(bootstrap, "list", topic, "--json").stdout.splitlines()]
    assert [line["replayed"] for line in listed] == [True, True, True, True, False]
    result = command(bootstrap, "replay", topic, "--force")
    assert "1 reject (1 event) replayed" in result.output
    assert "4 replayed before" in result.output
    sent = [dict(r.headers)["sparsewatch.replayed-from"].decode() for r in read_all(bootstrap, topic) if r.headers]
    assert sorted(sent) == sorted(replayed_ids(bootstrap, topic)) == sorted(line["id"] for line in listed)


def test_poison_is_left_unless_repaired_or_forced_and_what_was_our_fault_goes(embedded_broker: EmbeddedBroker) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-poison"
    ours = reject(topic, 0, code="busy", retriable=True, events=3, row=2)
    set_aside(bootstrap, topic, [ours, reject(topic, 1)])
    result = command(bootstrap, "replay", topic)
    assert (
        f"{topic}/1/1/-1/wrong_type: not replayed: unchanged it would be rejected again (wrong_type)" in result.output
    )
    assert "1 reject (3 events) replayed to 'replay-poison', 0 of them repaired; 1 left" in result.output
    assert values(read_all(bootstrap, topic)) == {ours.value}
    with pytest.raises(ConfigError, match=r"0 rejects .* 1 left, 1 replayed before"):
        command(bootstrap, "replay", topic, "--repair", "cat")
    command(bootstrap, "replay", topic, "--force")
    assert len(read_all(bootstrap, topic)) == 2


def test_of_many_rejects_of_one_fate_the_first_are_named_and_the_others_counted(
    embedded_broker: EmbeddedBroker,
) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-many"
    more = 3
    set_aside(bootstrap, topic, [reject(topic, i) for i in range(SAME_FATE + more)])
    result = command(bootstrap, "replay", topic, "--force", "--dry-run")
    assert result.output.count("/wrong_type: would be replayed as it is\n") == SAME_FATE
    assert f"\n{more} more: would be replayed as it is\n" in result.output


def test_a_repair_that_fails_leaves_its_record_and_goes_on(embedded_broker: EmbeddedBroker) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-fails"
    set_aside(bootstrap, topic, [reject(topic, i, value=b"%d" % i) for i in range(4)])
    repair = "read x; case $x in 1) echo no idea >&2; exit 3;; 2) ;; *) echo fixed-$x;; esac"
    result = command(bootstrap, "replay", topic, "--repair", repair)
    assert values(read_all(bootstrap, topic)) == {b"fixed-0\n", b"fixed-3\n"}
    assert "/1/1/-1/wrong_type: not replayed: the repair ended with exit code 3: no idea" in result.output
    assert "/0/2/-1/wrong_type: not replayed: the repair printed nothing" in result.output
    assert "2 left" in result.output


def test_edited_lines_of_the_list_are_a_repair_file(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-file"
    content: list[bytes | None] = [b'{"a": "x"}', b"\xff\xfe", None, b"as it was"]
    set_aside(bootstrap, topic, [reject(topic, i, value=value) for i, value in enumerate(content)])
    listed = [json.loads(line) for line in command(bootstrap, "list", topic, "--json").stdout.splitlines()]
    assert [line.get("value") for line in listed] == ['{"a": "x"}', None, None, "as it was"]
    assert base64.b64decode(listed[1]["value_base64"]) == b"\xff\xfe"
    listed[0]["value"] = '{"a": 1}'
    listed[1]["value_base64"] = base64.b64encode(b"\x01\x02").decode()
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in listed))
    result = command(bootstrap, "replay", topic, "--repair-file", str(path))
    assert values(read_all(bootstrap, topic)) == {b'{"a": 1}', b"\x01\x02"}
    assert "2 of them repaired; 1 left" in result.output


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"id": "a", "value": "x"', "line 1: .*truncated"),
        ('\n{"value": "x"}', "line 2: .*missing required field `id`"),
        ('{"id": "a", "value": "x", "value_base64": "eA=="}', "line 1: .*got both"),
        ("[" * 5000, "line 1: "),
        (b'{"id": "\xff", "value": "x"}', "line 1: .*utf-8"),
        ('{"id": "a", "value_base64": "%"}', "line 1: "),
        ('{"id": "a", "value": "x"}\n{"id": "a", "value": "y"}', "line 2: id 'a' is listed twice"),
    ],
)
def test_a_wrong_repair_file_is_named_by_its_line(tmp_path: Path, lines: str | bytes, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    with pytest.raises(ConfigError, match=message):
        read_repairs(path)


def test_a_value_the_rejects_topic_did_not_take_comes_from_the_source(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-large"
    records = [
        reject(topic, 0, partition=0, value=None),
        reject(topic, 9, partition=0, value=None),
        reject(topic, 0, partition=0, value=None, row=4, code="bad_label"),
    ]
    set_aside(bootstrap, topic, [])
    produce(bootstrap, topic, [(0, b"x" * 400_000)])
    for record in records:
        extra = [("sparsewatch.value", b"left out: larger than the topic takes")]
        produce(bootstrap, f"{topic}.rejects", [(0, None)], key=record.key, headers=[*side_headers(record), *extra])
    assert command(bootstrap, "list", topic).output.count("(too large for this topic)") == 3
    result = command(bootstrap, "replay", topic, "--repair", "tr x y")
    assert [r.value for r in read_all(bootstrap, topic)] == [b"x" * 400_000, b"y" * 400_000]
    assert "0/9/-1/wrong_type: not replayed: its value was too large for the rejects topic and is gone" in result.output
    assert "0/0/4/bad_label: not replayed: a row too large" in result.output
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": records[2].id, "value": "just the rows"}))
    command(bootstrap, "replay", topic, "--repair-file", str(path))
    assert read_all(bootstrap, topic)[-1].value == b"just the rows"


def test_a_log_of_replays_that_is_deleted_from_is_refused_before_anything_is_sent(
    embedded_broker: EmbeddedBroker,
) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-forgotten"
    set_aside(bootstrap, topic, [reject(topic, 0)])
    with closing(open_admin(KafkaSettings(bootstrap_servers=[bootstrap]))) as admin:
        admin.create_like(topic, f"{topic}.rejects.replayed", {"cleanup.policy": "delete", "retention.ms": "1000"})
    with pytest.raises(ConfigError, match=r"replayed' has cleanup\.policy=delete \(retention\.ms=1000.*`kafka-configs"):
        command(bootstrap, "replay", topic, "--force")
    assert read_all(bootstrap, topic) == []


def test_a_dry_run_writes_nothing(embedded_broker: EmbeddedBroker) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "replay-dry"
    set_aside(bootstrap, topic, [reject(topic, 0), reject(topic, 1, code="bad_time")])
    result = command(bootstrap, "replay", topic, "--repair", "tr a b", "--dry-run", "--code", "bad_time")
    assert f"{topic}/1/1/-1/bad_time: would be replayed repaired" in result.output
    assert "1 reject (1 event) would be replayed" in result.output
    assert read_all(bootstrap, topic) == []
    assert replayed_ids(bootstrap, topic) == []


def test_the_list_counts_by_code_and_shows_no_control_characters(embedded_broker: EmbeddedBroker) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "list-all"
    evil = reject(topic, 5, value=b"\x1b[2J[red]\xff\n", message="got \x1b]0;x\x07 \u202e", code="bad_label", events=7)
    set_aside(bootstrap, topic, [*(reject(topic, i) for i in range(3)), evil, evil])
    produce(bootstrap, f"{topic}.rejects", [(0, b"no reject of ours")])
    command(bootstrap, "replay", topic, "--force", "--only", evil.id)
    output = command(bootstrap, "list", topic).output
    assert "4 rejects (10 events) of 'list-all': wrong_type 3, bad_label 1" in output
    assert r"\x1b[2J[red]\xff\n" in output
    assert r"\x1b]0;x\x07 \u202e" in output
    assert not {"\x1b", "\x07", "\u202e"} & set(output)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
    assert [row for row in rows if len(row) == 4] == [["wrong_type", "3", "3", "0"], ["bad_label", "1", "7", "1"]]
    newest = command(bootstrap, "list", topic, "--limit", "1", "--json")
    assert [json.loads(line)["id"] for line in newest.stdout.splitlines()] == [evil.id]
    assert "4 rejects" in newest.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("list", [], "expected JOB.toml, or TOPIC and --bootstrap"),
        ("list", ["t"], "expected JOB.toml, or TOPIC and --bootstrap"),
        ("list", ["nowhere", "--bootstrap"], "no topic 'nowhere.rejects'"),
        ("replay", ["nowhere", "--bootstrap"], "no topic 'nowhere'"),
        ("replay", ["t", "--repair", "cat", "--repair-file", "x"], "got both"),
        ("replay", ["t", "--repair-file", "nothing.jsonl", "--bootstrap"], "nothing.jsonl: No such file"),
    ],
)
def test_wrong_options_are_named(
    embedded_broker: EmbeddedBroker, name: str, arguments: list[str], message: str
) -> None:
    broker = [embedded_broker.bootstrap] if arguments[-1:] == ["--bootstrap"] else []
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(rejects, [name, *arguments, *broker], catch_exceptions=False)


def test_ids_that_are_no_rejects_are_named_before_anything_is_sent(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    bootstrap, topic, path = embedded_broker.bootstrap, "replay-unknown", tmp_path / "bad.jsonl"
    set_aside(bootstrap, topic, [reject(topic, 0)])
    path.write_text(f'{{"id": "misspelt", "value": "x"}}\n{{"id": "{reject(topic, 0).id}", "value": "x"}}')
    for options in (["--only", "misspelt", "--only", reject(topic, 0).id], ["--repair-file", str(path)]):
        with pytest.raises(ConfigError, match=r"1 id not in 'replay-unknown\.rejects': 'misspelt'"):
            command(bootstrap, "replay", topic, "--force", *options)
    assert read_all(bootstrap, topic) == []


def replay_of(broker: FakeBroker, told: list[str]) -> Replay:
    broker.create("t", 2)
    plan = ReplayPlan(origin=Origin("t"), to="t", partitions=(0, 1), force=True)
    return Replay(
        plan, broker.writer(), Originals(broker.settings, "t"), lambda id_, fate: told.append(f"{id_}: {fate}")
    )


def test_ids_are_noted_only_behind_durable_records() -> None:
    records, broker = [reject("t", i) for i in range(2)], FakeBroker()
    replay = replay_of(broker, [])
    for record in records:
        replay.take(SetAside(record, (0, 0), left_out=False))
    assert replay.count.replayed == 0
    replay.finish()
    ids = [("t.rejects.replayed", record.id.encode()) for record in records]
    calls = [(call.topic or call.name, call.key) for call in broker.calls]
    assert calls == [("t", b"k0"), ("t", b"k1"), ("flush", None), *ids, ("flush", None)]
    assert replay.count.replayed == 2
    refusing = FakeBroker()
    refusing.refuse(lambda _: True, "too large")
    replay = replay_of(refusing, [])
    replay.take(SetAside(records[0], (0, 0), left_out=False))
    with pytest.raises(SinkError, match="too large"):
        replay.finish()
    assert [(call.topic or call.name, call.key) for call in refusing.calls] == [("t", b"k0")]


def test_an_original_is_not_taken_from_a_topic_made_anew() -> None:
    with FakeBroker() as broker, Originals(broker.settings, "t") as originals:
        record = reject("t", 0)
        for made, value in enumerate((b"one", b"other")):
            broker.create("t")
            writer = broker.writer()
            writer.send("t", None, value)
            writer.flush()
            record = reject("t", 0, topic_id=broker.id_of("t") if not made else record.topic_id)
            if made:
                with pytest.raises(SchemaError, match="is gone from topic 't'"):
                    originals.value(record)
            else:
                assert originals.value(record) == b"one"
            broker.topics.pop("t")


def test_a_record_too_large_for_the_source_topic_is_left_and_harms_no_other() -> None:
    broker, told = FakeBroker(), list[str]()
    broker.refuse(lambda record: len(record.value or b"") >= 300_000, "too large")
    replay = replay_of(broker, told)
    for i, size in enumerate([10, 300_000, 270_000, 10]):
        replay.take(SetAside(reject("t", i, value=b"x" * size), (0, i), left_out=False))
    replay.finish()
    assert told == ["t/1/1/-1/wrong_type: not replayed: too large"]
    noted = [record.key for record in broker.records("t.rejects.replayed")]
    assert noted == [b"t/0/0/-1/wrong_type", b"t/0/2/-1/wrong_type", b"t/1/3/-1/wrong_type"]
    assert (replay.count.replayed, replay.count.left) == (3, 1)


@given(
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    headers=st.lists(st.tuples(st.sampled_from(["", "a", "ü"]), st.binary())),
    message=st.text(st.characters(exclude_categories=["Cs"])),
    retriable=st.booleans(),
    row=st.integers(-1, 9),
    timestamp_ms=st.integers(-1, 2**60),
    era=st.sampled_from(["", "LrUU9CXG"]),
    topic_id=st.sampled_from(["", "LrUU9CXGRjOYLMEp8F562Q"]),
)
def test_a_side_record_reads_back_as_it_was_written(**fields: Any) -> None:
    record = reject("t", 7, **{**fields, "headers": tuple(fields["headers"])})
    stored = [("sparsewatch.code", b"\xff earlier"), *side_headers(record)]
    written_key = record.id.encode() if record.key is None else record.key
    fetched = Fetched(0, [0], [0], [record.value], [stored], lambda _: written_key, 1)
    assert read_back(fetched, 0) == record


def clicks(first: int, seconds: range, rng: random.Random) -> list[bytes]:
    event = {"site": "s", "price": 0.5, "mobile": True}
    return [
        json.dumps({"t": first + s * 1000, "ad": rng.randrange(9), "label": rng.randrange(2), **event}).encode()
        for s in seconds
    ]


def test_a_repaired_click_is_counted_and_one_whose_window_has_closed_is_late(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    bootstrap, topic, start = kafka_broker.bootstrap, "repaired", SENT_MS // 60_000 * 60_000
    good = clicks(start, range(0, 170, 2), random.Random(3))
    broken = [good[70].replace(b"}", b",}"), good[3].replace(b"}", b",}"), b"beyond repair"]
    create_topic(bootstrap, topic)
    sent = [*good[:60], broken[1], *good[60:80], broken[0], broken[2], *good[80:]]
    produce(bootstrap, topic, ((0, value) for value in sent))
    path = write_click_job(tmp_path, bootstrap, topic)
    job = load_job(path)
    run_job(job, "latest", "inprocess", close_at_end=False)
    assert {r.value for r in read_all(bootstrap, f"{topic}.rejects")} == set(broken)

    drop_comma = (
        "import sys; text = sys.stdin.read(); sys.exit(1) if ',}' not in text else print(text.replace(',}', '}'))"
    )
    repair = ["--job", str(path), "--repair", shlex.join([sys.executable, "-c", drop_comma])]
    result = CliRunner().invoke(rejects, ["replay", *repair], catch_exceptions=False)
    assert "2 rejects (2 events) replayed to 'repaired', 2 of them repaired; 1 left" in result.output
    run_job(job, "latest", "inprocess")

    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=len(good) + 1, late=1, rejected=len(broken))
    assert sum(msgspec.structs.astuple(progress.totals)) == len(read_all(bootstrap, topic)) == len(sent) + 2
    windows = newest_by_key(read_all(bootstrap, f"{topic}.windows"))
    assert {w["window_start_us"] // 1000 - start: w["rows"] for w in windows.values()} == {
        0: 30,
        60_000: 30,
        120_000: len(good) - 60 + 1,
    }
    assert [r.value for r in read_all(bootstrap, f"{topic}.late")] == [good[3] + b"\n"]
    with pytest.raises(ConfigError, match=r"0 rejects .* 1 left, 2 replayed before"):
        CliRunner().invoke(rejects, ["replay", *repair], catch_exceptions=False)

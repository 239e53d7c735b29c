"""The command: what it refuses, what it never overwrites, and a job that runs as it was written."""

import json
import re
import time
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.init import command
from sparsewatch.pipelines.init import topic as topic_module
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.testing import FakeBroker, FakeReader
from sparsewatch.testing.child_process import free_port
from sparsewatch.transforms.kafka import spans
from tests.kit.command_line import Command, assert_refused
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.pipelines.init.topics import START_MS, clicks, drafted, write


def said(*arguments: object) -> str:
    result = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_job_that_was_drafted_runs_as_it_is(tmp_path: Path) -> None:
    with FakeBroker() as broker:
        broker.create("clicks", 3)
        write(broker, "clicks", clicks(9_000))
        out = tmp_path / "clicks.toml"
        answer = drafted(broker, "clicks", out).output
        assert f"{out}: job 'clicks' of kind 'ctr'\n" in answer
        assert "events    9,000 of about 9,000 in 3 partitions, JSON" in answer
        assert f"  sparsewatch check {out}\n  sparsewatch run {out} --until latest\n" in answer
        checked = said("check", out)
        assert "is sound" in checked
        assert "at 1 false incident a day (alerts.false_incidents_per_day) depends on what it learns" in checked
        assert "9000 read = 9000 counted + 0 rejected + 0 late, in 3 windows" in said("run", out, "--until", "latest")


def test_events_without_a_time_are_of_the_time_of_their_records(tmp_path: Path) -> None:
    out = tmp_path / "clicks.toml"
    with FakeBroker() as broker:
        broker.create("clicks")
        writer = broker.writer()
        for event in clicks(9_000):
            stamp = event.pop("ts")
            writer.send("clicks", None, json.dumps(event).encode(), partition=0, timestamp_ms=stamp)
        writer.flush()
        answer = drafted(broker, "clicks", out).output
        assert "time      _timestamp; the records' own Kafka timestamps: no column holds event times\n" in answer
        assert load_job(out).source.time_column == "_timestamp"
        assert "9000 read = 9000 counted + 0 rejected + 0 late, in 3 windows" in said("run", out, "--until", "latest")


@pytest.mark.torch
def test_a_rows_job_has_a_model_that_was_learned_from_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "sensors.toml"
    events = [{"ts": START_MS + i * 100, "heat": (i * 7_919 % 1_000) / 7, "valve": f"v{i % 3}"} for i in range(3_000)]
    with FakeBroker() as broker:
        broker.create("sensors")
        write(broker, "sensors", events)
        assert "models/sensors, learned from 3,000 events" in drafted(broker, "sensors", out).output
        assert "is sound" in said("check", out)
        assert "3000 read = 3000 counted" in said("run", out, "--until", "latest")
        before = out.read_bytes()
        with pytest.raises(Exception, match="models/sensors is there: --model models/sensors uses it, --force adds"):
            drafted(broker, "sensors", tmp_path / "again.toml", "--name", "sensors")
        assert not (tmp_path / "again.toml").exists()
        drafted(broker, "sensors", tmp_path / "again.toml", "--model", "models/sensors")
    assert out.read_bytes() == before


def test_what_the_job_would_reject_is_told_and_stands_in_the_file(tmp_path: Path) -> None:
    with FakeBroker() as broker:
        broker.create("clicks")
        write(broker, "clicks", [*clicks(500), b"{", {"ts": None, "click": 1, "site": "a"}])
        answer = drafted(broker, "clicks", tmp_path / "job.toml")
    told = "2 of 502 events would be rejects (1 broken_json, 1 bad_time), the first: partition 0, offset 500: "
    assert told in answer.stderr
    assert f"# Of the sample, {told}" in (tmp_path / "job.toml").read_text()


def test_words_for_missing_values_among_numbers_are_taken_for_such(tmp_path: Path) -> None:
    events = [{**event, "ad": "n/a" if i % 9 == 0 else event["ad"]} for i, event in enumerate(clicks(500))]
    named = [{**event, "site": "n/a" if i % 7 == 0 else "x"} for i, event in enumerate(events)]
    out = tmp_path / "job.toml"
    with FakeBroker() as broker:
        broker.create("clicks")
        write(broker, "clicks", [*events, b'{"ts": %d, "site": "s1", "ad": NaN, "click": 0}' % START_MS])
        drafted(broker, "clicks", out)
        assert load_job(out).source.missing == ["NaN", "n/a"]
        assert 'ad = "float"  # 40 values, 11.38% missing' in re.sub(" +#", "  #", out.read_text())
        # Where a column of texts has it, too, it is a value there.
        broker.recreate("clicks")
        write(broker, "clicks", named)
        drafted(broker, "clicks", out, "--force")
    assert load_job(out).source.missing == []


def test_a_file_that_is_there_stays(tmp_path: Path, sparsewatch: Command) -> None:
    out = tmp_path / "job.toml"
    out.write_text("mine")
    with FakeBroker() as broker:
        broker.create("clicks")
        write(broker, "clicks", clicks(100))
        address = broker.settings.bootstrap_servers[0]
        options = ("init", "--bootstrap", address, "--topic", "clicks", "--out", out)
        assert_refused(sparsewatch(*options), "job.toml is there: --force replaces it, --out names another file")
        assert out.read_text() == "mine"
        said(*options, "--force")
        assert_refused(sparsewatch(*options[:-1], tmp_path / "no" / "job.toml"), "cannot write .*No such file")
    assert load_job(out).name == "clicks"


def test_topics_that_are_not_there_or_empty_are_told_with_what_to_do(sparsewatch: Command) -> None:
    with FakeBroker() as broker:
        address = broker.settings.bootstrap_servers[0]
        asked = ("init", "--bootstrap", address, "--topic")
        assert_refused(sparsewatch(*asked, "clicks"), "the broker has no topic 'clicks', it has none")
        broker.create("clicks", 2)
        assert_refused(sparsewatch(*asked, "click"), r"the broker has no topic 'click'; did you mean 'clicks'\?")
        assert_refused(sparsewatch(*asked, "x"), "the broker has no topic 'x', it has clicks")
        empty = "topic 'clicks' is empty, nothing was written to it: wait .* `sparsewatch publish`"
        assert_refused(sparsewatch(*asked, "clicks"), empty)
        write(broker, "clicks", [b"\x00\x00\x00\x00\x01x"] * 3)
        assert_refused(sparsewatch(*asked, "clicks"), "none of 3 records looked at can be read, the first .* registry")


def test_no_broker_is_an_error(sparsewatch: Command) -> None:
    options = ("--bootstrap", f"127.0.0.1:{free_port()}", "--topic", "clicks", "--kafka", "timeout=1s")
    assert_refused(sparsewatch("init", *options), "no broker answers at 127.0.0.1")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "expected --topic T of a broker, or --file FILE"),
        (("--topic", "t"), "expected --bootstrap HOST:PORT"),
        (("--topic", "t", "--bootstrap", "here"), "--bootstrap: expected HOST:PORT, got 'here'"),
        (("--topic", "t", "--bootstrap", "a:1", "--kafka", "x"), "--kafka: expected KEY=VALUE, such as"),
        (("--topic", "t", "--bootstrap", "a:1", "--kafka", "clint=confluent"), "did you mean 'client'"),
        (("--topic", "t", "--bootstrap", "a:1", "--kafka", "security_protocol=SASL_SSL"), "SASL needs sasl_mechanism"),
        (("--topic", "t", "--bootstrap", "a:1", "--input-time-format", "%y"), "--input-time-format: says how"),
    ],
)
def test_options_that_do_not_go_together(sparsewatch: Command, options: tuple[str, ...], says: str) -> None:
    assert_refused(sparsewatch("init", *options), says)


def test_a_password_on_the_command_line_is_refused_and_not_shown(sparsewatch: Command) -> None:
    for text in ("password=hunter2", "hunter2", "password_env=hunter2"):
        code, error = sparsewatch("init", "--topic", "t", "--bootstrap", "a:1", "--kafka", text)
        assert (code, "hunter2" in error) == (2, False), error


@pytest.mark.parametrize("partitions", [1, 7])
def test_of_each_partition_the_oldest_and_the_newest_are_read(partitions: int) -> None:
    with FakeBroker(step=100) as broker:
        broker.create("clicks", partitions)
        write(broker, "clicks", clicks(7_000))
        looked = topic_module.look_at_topic(broker.settings, "clicks", 700)
    assert looked.records == 7_000
    share, of = 350 // partitions, 7_000 // partitions
    found = {p: [o for run in looked.fetched if run.partition == p for o in run.offsets] for p in range(partitions)}
    assert found == {p: [*range(share), *range(of - share, of)] for p in range(partitions)}


def test_the_look_at_a_large_topic_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_module, "MOST_BYTES", 100_000)
    with FakeBroker() as broker:
        broker.create("clicks")
        write(broker, "clicks", [{"ts": START_MS + i, "x": "y" * 1_000} for i in range(2_000)])
        looked = topic_module.look_at_topic(broker.settings, "clicks", 2_000)
    assert 90_000 < sum(int(run.sizes().sum()) for run in looked.fetched) < 150_000


def test_a_broker_that_sends_nothing_of_what_it_has_is_an_error(
    sparsewatch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "_PATIENCE", 2)
    monkeypatch.setattr(FakeReader, "fetch", lambda *_: [])
    with FakeBroker() as broker:
        broker.create("clicks")
        write(broker, "clicks", clicks(10))
        options = ("--bootstrap", broker.settings.bootstrap_servers[0], "--topic", "clicks")
        assert_refused(sparsewatch("init", *options), "topic 'clicks': the broker sends none of the records it says it")


def test_a_look_that_takes_long_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_LINE_S", 0.0)
    with FakeBroker(step=100) as broker:
        broker.create("clicks")
        write(broker, "clicks", clicks(1_000))
        answer = drafted(broker, "clicks", tmp_path / "job.toml")
    assert re.search(r"^reading clicks: 1\d\d\d records, .*/s", answer.stderr, re.MULTILINE)
    assert "reading" not in answer.stdout


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_job_drafted_from_a_file_runs_once_the_file_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    events = pl.DataFrame(clicks(4_000)).with_columns(pl.col("ts").cast(pl.Datetime("ms")))
    file = tmp_path / f"day.{suffix}"
    getattr(events, {"parquet": "write_parquet", "csv": "write_csv", "jsonl": "write_ndjson"}[suffix])(file)
    with FakeBroker(clock=time.time) as broker:
        address = broker.settings.bootstrap_servers[0]
        answer = said("init", "--file", file, "--bootstrap", address)
        [publish] = re.findall(r"  sparsewatch (publish .*)", answer)
        said(*publish.split())
        assert "is sound" in said("check", "day.toml")
        assert "4000 read = 4000 counted + 0 rejected" in said("run", "day.toml", "--until", "latest")


def test_packed_hours_of_a_file_are_read_as_publish_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{14_102_100 + i // 100},{i % 5},{i % 3 // 2}" for i in range(1_000)]
    (tmp_path / "avazu.csv").write_text("\n".join(["hour,site,click", *rows]) + "\n")
    form = ("--time-column", "hour", "--input-time-format", "%y%m%d%H")
    with FakeBroker(clock=time.time) as broker:
        answer = said("init", "--file", "avazu.csv", *form, "--bootstrap", broker.settings.bootstrap_servers[0])
        [publish] = re.findall(r"  sparsewatch (publish .*)", answer)
        said(*publish.replace("'", "").split())
        assert "1000 read = 1000 counted" in said("run", "avazu.toml", "--until", "latest")


def test_a_topic_of_a_real_broker_becomes_a_job_that_closes_windows(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "init-clicks"
    create_topic(bootstrap, topic, 3)
    events = clicks(6_000)
    for partition in range(3):
        own = [(partition, json.dumps(event).encode()) for event in events[partition::3]]
        produce(bootstrap, topic, own)
    out = tmp_path / "job.toml"
    answer = said("init", "--bootstrap", bootstrap, "--topic", topic, "--out", out)
    assert "events    6,000 of about 6,000 in 3 partitions, JSON" in answer
    assert "time      ts, epoch_ms; " in answer
    assert "is sound" in said("check", out)
    assert "6000 read = 6000 counted + 0 rejected + 0 late, in 2 windows" in said("run", out, "--until", "latest")
    # Its name is taken now: another job would go on where this one stopped.
    again = said("init", "--bootstrap", bootstrap, "--topic", topic, "--out", tmp_path / "again.toml")
    assert "job 'init-clicks-2' of kind 'ctr'" in again

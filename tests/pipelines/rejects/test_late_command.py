"""Late records: listed, and brought back once, to another topic."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparsewatch.pipelines.rejects.late_command import late
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.open import open_writer
from sparsewatch.transforms.kafka.side_topics import write_aside
from tests.kit.job_files import write_click_job
from tests.kit.topics import Raw, create_topic, newest_by_key, read_all

SENT_MS = 1_700_000_000_000


def late_record(topic: str, offset: int) -> SideRecord:
    return SideRecord(
        kind="late",
        topic=topic,
        partition=offset % 2,
        offset=offset,
        timestamp_ms=SENT_MS + offset,
        key=b"k%d" % offset,
        value=b'{"a": %d}' % offset,
        headers=(("trace", b"1"),),
        code="late",
        message="its window had closed",
    )


def set_aside(bootstrap: str, topic: str, number: int) -> list[SideRecord]:
    create_topic(bootstrap, topic, 2)
    create_topic(bootstrap, f"{topic}.late")
    records = [late_record(topic, i) for i in range(number)]
    writer = open_writer(KafkaSettings(bootstrap_servers=[bootstrap]))
    write_aside(writer, [*records, records[0]])
    writer.close()
    return records


def ask(*arguments: str | Path) -> Result:
    return CliRunner().invoke(late, [str(a) for a in arguments], catch_exceptions=False)


def test_late_records_of_a_job_are_listed_once(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    set_aside(embedded_broker.bootstrap, "listed-late", 3)
    job = write_click_job(tmp_path, embedded_broker.bootstrap, "listed-late")
    result = ask("list", job)
    assert "Late records, newest last" in result.output
    assert "3 late records (3 events) of 'listed-late': late 3" in result.output
    lines = [json.loads(line) for line in ask("list", job, "--json").stdout.splitlines()]
    assert [line["value"] for line in lines] == ['{"a": 0}', '{"a": 1}', '{"a": 2}']


def test_late_records_are_sent_once_to_another_topic(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "late-again"
    records = set_aside(bootstrap, topic, 3)
    create_topic(bootstrap, "counted-anew")
    job = write_click_job(tmp_path, bootstrap, topic)
    assert (
        "3 late records (3 events) would be replayed" in ask("replay", job, "--to", "counted-anew", "--dry-run").output
    )
    assert read_all(bootstrap, "counted-anew") == []
    result = ask("replay", job, "--to", "counted-anew")
    assert "3 late records (3 events) replayed to 'counted-anew', 0 of them repaired; 0 left" in result.output
    assert "0 late records" in ask("replay", job, "--to", "counted-anew").output
    assert read_all(bootstrap, "counted-anew") == [
        Raw(0, i, SENT_MS + i, r.key, r.value, (("trace", b"1"), ("sparsewatch.replayed-from", r.id.encode())))
        for i, r in enumerate(records)
    ]
    assert read_all(bootstrap, topic) == []
    assert set(newest_by_key(read_all(bootstrap, f"{topic}.late.replayed"))) - {"under-way"} == {r.id for r in records}


def test_their_own_topic_is_refused_unless_forced(embedded_broker: EmbeddedBroker) -> None:
    bootstrap, topic = embedded_broker.bootstrap, "late-forced"
    set_aside(bootstrap, topic, 1)
    for options in ((), ("--to", topic)):
        with pytest.raises(ConfigError, match="sent back to 'late-forced' the records are late again"):
            ask("replay", topic, "--bootstrap", bootstrap, *options)
    ask("replay", topic, "--bootstrap", bootstrap, "--force")
    assert len(read_all(bootstrap, topic)) == 1

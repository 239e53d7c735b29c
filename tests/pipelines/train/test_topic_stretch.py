"""A reference of a stretch of a topic is that of a file with the same events; what cannot be read is said clearly."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.train import topic_stretch
from sparsewatch.pipelines.train.topic_stretch import Asked, TopicStretch
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.codecs.stretch import Stretch
from tests.kit.command_line import Command, assert_refused
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.pipelines.init.topics import START_MS, clicks

#: Behind all events: none of them is of a clock that is ahead.
_NOW_S = START_MS / 1_000 + 86_400
_MINUTE_MS = 60_000
#: The stretch: events of minutes 3 to 12.
_SINCE, _UNTIL = "2026-01-01T00:03Z", "2026-01-01T00:13Z"


def job_of(folder: Path, address: str, topic: str = "clicks") -> Path:
    path = write_click_job(folder, address, topic, {"site": "str", "ad": "int", "click": "int"}, time_column="ts")
    path.write_text(path.read_text().replace('label = "label"', 'label = "click"'))
    return path


def events() -> list[dict[str, Any]]:
    """A quarter of an hour, and far from the stretch other ads than in it."""
    return [event | ({"ad": 77} if at < 1_200 or at > 8_100 else {}) for at, event in enumerate(clicks(9_000))]


def train(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", "reference", *map(str, arguments)], catch_exceptions=False)


def trained(out: Path, *arguments: object) -> Reference:
    result = train(*arguments, "--out", out)
    assert result.exit_code == 0, result.output
    return Reference.load(out)


def of_file(folder: Path, job: Path, chosen: Sequence[dict[str, Any]]) -> Reference:
    file = folder / "chosen.jsonl"
    file.write_text("\n".join(map(json.dumps, chosen)))
    return trained(folder / "of_file", job, file)


def of_minutes(first: int, last: int) -> list[dict[str, Any]]:
    return [event for event in events() if first <= (event["ts"] - START_MS) // _MINUTE_MS < last]


def same(one: Reference, other: Reference) -> bool:
    values = {name: known.sort().to_list() for name, known in one.known_values.items()}
    others = {name: known.sort().to_list() for name, known in other.known_values.items()}
    return (one.windows, one.volume, one.click_rate, one.features, values) == (
        *(other.windows, other.volume, other.click_rate, other.features),
        others,
    )


def test_the_stretch_of_a_topic_is_the_file_of_its_events(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    create_topic(kafka_broker.bootstrap, "stretch", 3)
    # Records of event time, as a live producer writes them, and out of order within a partition.
    shuffled = np.random.default_rng(2).permuted(np.arange(9_000).reshape(-1, 50), axis=1).ravel().tolist()
    everything = events()
    for minute in range(15):
        mine = [everything[at] for at in shuffled if (everything[at]["ts"] - START_MS) // _MINUTE_MS == minute]
        produce(
            kafka_broker.bootstrap,
            "stretch",
            ((number % 3, json.dumps(event).encode()) for number, event in enumerate(mine)),
            timestamp_ms=START_MS + minute * _MINUTE_MS + 30_000,
        )
    job = job_of(tmp_path, kafka_broker.bootstrap, "stretch")
    expected = of_file(tmp_path, job, of_minutes(3, 13))
    assert same(trained(tmp_path / "named", job, "--topic", "--since", _SINCE, "--until", _UNTIL), expected)
    assert same(trained(tmp_path / "last", job, "--last", "5m"), of_file(tmp_path, job, of_minutes(10, 15)))
    assert same(trained(tmp_path / "all", job), of_file(tmp_path, job, events()))
    assert not same(trained(tmp_path / "all", job), expected)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[FakeBroker, Path]]:
    """A job and its topic, a backfill: its records were written a day after their events."""
    with FakeBroker(clock=lambda: _NOW_S) as broker:
        broker.create("clicks", 2)
        writer = broker.writer()
        for number, event in enumerate(events()):
            writer.send("clicks", None, json.dumps(event).encode(), partition=number % 2)
        writer.close()
        yield broker, job_of(tmp_path, broker.settings.bootstrap_servers[0])


def test_a_backfill_is_read_by_its_event_times(filled: tuple[FakeBroker, Path], tmp_path: Path) -> None:
    _, job = filled
    expected = of_file(tmp_path, job, of_minutes(3, 13))
    assert same(trained(tmp_path / "topic", job, "--since", _SINCE, "--until", _UNTIL), expected)
    file = tmp_path / "all.jsonl"
    file.write_text("\n".join(map(json.dumps, events())))
    assert same(trained(tmp_path / "file", job, file, "--since", _SINCE, "--until", _UNTIL), expected)


def test_a_partition_is_read_no_further_than_the_job_would_wait(
    filled: tuple[FakeBroker, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_stretch, "_MOST_RECORDS", 500)
    job = load_job(filled[1], ("source.block_rows=500",))
    until_us = (START_MS + 2 * _MINUTE_MS) * 1_000
    read = 0

    def on_records(records: int, _of: int) -> None:
        nonlocal read
        read += records

    stretch = TopicStretch(ready(job), Asked(Stretch(until_us=until_us)))
    kept = sum(decoded.rows.num_rows for decoded in stretch.decoded(on_records))
    assert kept == 1_200
    assert read < 5_000


def test_records_before_the_stretch_are_not_read(filled: tuple[FakeBroker, Path], tmp_path: Path) -> None:
    broker, _ = filled
    broker.create("live")
    writer = broker.writer()
    for event in events():
        late = event | {"ts": event["ts"] + 36_000_000}
        stamp = event["ts"] if event["ts"] < START_MS + 400_000 else late["ts"]
        writer.send("live", None, json.dumps(event if stamp < late["ts"] else late).encode(), timestamp_ms=stamp)
    writer.close()
    job = load_job(job_of(tmp_path, broker.settings.bootstrap_servers[0], "live"))
    since_us = (START_MS + 36_000_000) * 1_000
    seen: list[int] = []
    stretch = TopicStretch(ready(job), Asked(Stretch(since_us)))
    kept = sum(decoded.rows.num_rows for decoded in stretch.decoded(lambda records, _of: seen.append(records)))
    assert kept == sum(seen) == 5_000


def test_rejects_are_counted_and_a_short_topic_is_told(filled: tuple[FakeBroker, Path], tmp_path: Path) -> None:
    broker, job = filled
    writer = broker.writer()
    for at in range(3):
        writer.send("clicks", None, b"{", partition=at % 2)
    writer.close()
    result = train(job, "--since", "2025-12-01", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "3 rows without a usable time or label" in result.output
    told = "topic 'clicks' holds events from 2026-01-01 00:00:00 to 2026-01-01 00:14:59 UTC: the stretch begins later"
    assert told in result.stderr


def test_what_cannot_be_read_is_refused(filled: tuple[FakeBroker, Path], tmp_path: Path, sparsewatch: Command) -> None:
    broker, job = filled
    out = ("--out", tmp_path / "out")

    def refused(says: str, *arguments: object) -> None:
        assert_refused(sparsewatch("train", "reference", *arguments, *out), says)

    holds = "topic 'clicks' holds events from 2026-01-01 00:00:00 to 2026-01-01 00:14:59 UTC"
    refused(f"expected events in the stretch of time, got none: {holds}", job, "--since", "2026-02-01")
    refused(f"expected events in the stretch of time, got none: {holds}", job, "--until", "2025-12-31")
    refused("--last: reads the job's topic, expected no FILE", job, job, "--last", "2d")
    refused("--topic: reads the job's topic, expected no FILE", job, job, "--topic")
    refused("--last: says how long the stretch is, expected neither", job, "--last", "2d", "--since", "2026-01-01")
    refused("--last: expected a duration such as", job, "--last", "two days")
    refused("--until: expected a time behind --since", job, "--since", "2026-01-02", "--until", "2026-01-01")
    address = broker.settings.bootstrap_servers[0]
    refused("the broker has no topic 'click'; did you mean 'clicks'", job_of(tmp_path, address, "click"))
    broker.create("empty")
    refused("topic 'empty' is empty: there is nothing to learn from", job_of(tmp_path, address, "empty"))

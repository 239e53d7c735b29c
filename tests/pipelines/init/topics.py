"""Topics that nobody has described, in memory, and the command over them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from sparsewatch.pipelines.init.command import init
from sparsewatch.pipelines.init.records import sample_of_records
from sparsewatch.pipelines.init.sample import Sample
from sparsewatch.pipelines.init.topic import look_at_topic
from sparsewatch.testing import FakeBroker

START_MS = 1_767_225_600_000


def clicks(n: int, step_ms: int = 100) -> list[dict[str, Any]]:
    """Events in order, with a label of five in a hundred."""
    rng = np.random.default_rng(3)
    site, ad, label = rng.integers(0, 9, n), rng.integers(0, 40, n), rng.random(n) < 0.05
    return [
        {"ts": START_MS + i * step_ms, "site": f"s{site[i]}", "ad": int(ad[i]), "click": int(label[i])}
        for i in range(n)
    ]


def write(broker: FakeBroker, topic: str, events: Iterable[Mapping[str, Any] | bytes], behind_ms: int = 500) -> None:
    """Write events to the partitions in turn; a record's timestamp is behind its event's `ts`."""
    writer = broker.writer()
    partitions = max(1, len(broker.reader(topic).partitions()))
    for number, event in enumerate(events):
        value = event if isinstance(event, bytes) else json.dumps(event).encode()
        stamp = event["ts"] if not isinstance(event, bytes) and isinstance(event.get("ts"), int) else START_MS
        writer.send(topic, None, value, partition=number % partitions, timestamp_ms=stamp + behind_ms)
    writer.flush()


def sampled(events: Iterable[Mapping[str, Any] | bytes], behind_ms: int = 500, most: int = 50_000) -> Sample:
    """The sample of a topic of one partition that holds these events."""
    with FakeBroker() as broker:
        broker.create("events")
        write(broker, "events", events, behind_ms)
        looked = look_at_topic(broker.settings, "events", most)
    return sample_of_records("events", looked.fetched, looked.records)


def drafted(broker: FakeBroker, topic: str, out: Path, *options: object) -> Result:
    """What `sparsewatch init` says; errors are raised."""
    address = broker.settings.bootstrap_servers[0]
    arguments = ["--bootstrap", address, "--topic", topic, "--out", out, *options]
    return CliRunner().invoke(init, list(map(str, arguments)), catch_exceptions=False)

"""From a topic that nobody has described to the first useful incident: three commands, as a person gives them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce

START_MS = 1_767_225_600_000
#: Events every 140 ms: windows of five minutes hold 2,142 each.
_EVENTS, _STEP_MS, _WINDOW_MS = 48_000, 140, 300_000
#: Windows in which `site` loses its values.
_FAULT = range(15, 18)


def events() -> Iterator[bytes]:
    rng = np.random.default_rng(4)
    site, ad = rng.integers(0, 9, _EVENTS), rng.integers(0, 40, _EVENTS)
    clicked = rng.random(_EVENTS) < 0.02 + 0.02 * site
    for at in range(_EVENTS):
        lost = at * _STEP_MS // _WINDOW_MS in _FAULT
        event = {"ts": START_MS + at * _STEP_MS, "site": None if lost else f"s{site[at]}", "ad": int(ad[at])}
        yield json.dumps(event | {"click": int(clicked[at])}).encode()


@pytest.mark.long
def test_three_commands_lead_from_an_unknown_topic_to_its_first_incident(
    kafka_broker: KafkaBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    create_topic(kafka_broker.bootstrap, "walk", 2)
    produce(kafka_broker.bootstrap, "walk", ((at % 2, event) for at, event in enumerate(events())))
    said = [
        CliRunner().invoke(cli, command.split(), catch_exceptions=False)
        for command in (
            f"init --bootstrap {kafka_broker.bootstrap} --topic walk",
            "run walk.toml --until latest",
            "incidents list walk.toml",
        )
    ]
    assert [result.exit_code for result in said] == [0, 0, 0], [result.output for result in said]
    assert "job 'walk' of kind 'ctr'" in said[0].stdout
    [first] = re.findall(r"│ (walk-1) +│ (\w+) +│ ([\d :-]+?) +│ ([\d :-]+?) +│ \w+ +│ (\w+) (\w+)", said[2].stdout)
    assert first == ("walk-1", "resolved", "2026-01-01 01:15:00", "2026-01-01 01:30:00", "feature_vanished", "site")

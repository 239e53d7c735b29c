"""The body that a webhook gets, byte for byte and as the docs describe it."""

import re
from pathlib import Path

import msgspec

from sparsewatch.pipelines.notify.alert import Leads
from sparsewatch.pipelines.notify.update import Update, digest_of, update_key, update_of
from sparsewatch.schemas.incidents import DecidedRecord
from sparsewatch.testing import golden
from tests.kit.installed import REPO_ROOT
from tests.pipelines.notify.incident_records import START_US, record

BODY = Path(__file__).parent / "webhook-1.json"
PAGE = REPO_ROOT / "docs" / "alertmanager.md"
ACK = DecidedRecord(by="ann", at_us=START_US + 1_500_000, why="the feed is down", until_us=None)
MUTE = DecidedRecord(by="bob", at_us=START_US, why="", until_us=START_US + 3_600_000_000)


def test_the_body_of_an_update_is_what_it_was() -> None:
    incident = record(17, "resolved", "resolved", "critical", acked=ACK, muted=MUTE)
    leads = Leads("https://example.org/sparsewatch", "https://console.example.org", {"clicks": "clicks.toml"})
    body = msgspec.json.encode(update_of(incident, "ctr", "before", leads))
    golden(BODY, msgspec.json.format(body, indent=2))


def test_the_docs_name_each_field_of_the_body() -> None:
    section = PAGE.read_text().partition("### The body\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| (`[^|]+`) \|", section, flags=re.MULTILINE)
    assert [field for cell in named for field in re.findall(r"`(\w+)`", cell)] == list(Update.__struct_fields__)


def test_an_incident_of_an_earlier_release_is_told_too() -> None:
    incident = record()
    for name in ("where", "runbook", "weight", "p_value", "muted", "acked", "closed"):
        del incident[name]
    for finding in incident["findings"]:
        del finding["where"]
    update = update_of(incident, "wafer")
    assert (update.slice, update.runbook, update.links, update.suspect.p_value) == ("", "", {}, None)


def test_a_key_names_the_update_and_what_went_before_it() -> None:
    opened, resolved = record(), record(1, "resolved", "resolved")
    assert update_key(opened, "") == update_key(record(change="lasts"), "")
    keys = {update_key(opened, ""), update_key(resolved, ""), update_key(opened, digest_of(resolved))}
    assert len(keys) == 3
    assert all(re.fullmatch(r"clicks-1-[0-9a-f]{16}", key) for key in keys)
    assert digest_of(record(job="wafers")) == digest_of(opened)


def test_the_golden_body_is_the_example_of_the_docs() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert msgspec.json.decode(example) == msgspec.json.decode(BODY.read_bytes())

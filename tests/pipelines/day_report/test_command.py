"""A day of a job as a page and as JSON: what lies in its topics of that day, and nothing of another."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from sparsewatch.pipelines.day_report.command import report
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.incidents import Decided, Incident, Member, incident_record
from sparsewatch.schemas.orders import Order, identified
from sparsewatch.schemas.units import DAY_US, HOUR_US
from sparsewatch.testing import EmbeddedBroker
from tests.kit.axe import grave_faults
from tests.kit.chromium import Scheme
from tests.kit.job_files import write_click_job, write_rows_job, write_wafer_job
from tests.pipelines.records.test_command import write

START_US = 1_767_225_600_000_000  # 2026-01-01
DAY = ["--day", "2026-01-01"]
HOSTILE = '<script>alert("x")</script>\u202e'


def window(job: str, number: int, **found: Any) -> tuple[str, dict[str, Any]]:
    start = START_US + number * HOUR_US
    record = {"window_start_us": start, "window_end_us": start + HOUR_US, "rows": 300, "complete": True, "alerts": []}
    return f"{job}/{start}", {"job": job, **record, **found}


def alert(job: str, number: int, rule: str) -> tuple[str, dict[str, Any]]:
    key, record = window(job, number, id=f"{job}-{rule}-{number}", rule=rule, subject="site", severity="critical")
    return f"{rule}-{key}", record


def incident(job: str, number: int, hour: int, *, ends: int | None = None) -> tuple[str, dict[str, Any]]:
    since, until = START_US + hour * HOUR_US, START_US + (ends or hour + 1) * HOUR_US
    member = Member(
        "feature_vanished", HOSTILE, "critical", since, until, 0.9, 0.1, 0.0, f"all of {HOSTILE} is missing"
    )
    one = Incident(number, (member,), since, until, is_resolved=ends is not None, acked=Decided("ada", since, "mine"))
    record = msgspec.to_builtins(incident_record(one, "resolved" if ends else "opened", job, since, until))
    return record["id"], record


def ask(job: Path, *options: str) -> Result:
    return CliRunner().invoke(report, [str(job), *options], catch_exceptions=False)


class _Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def clicks(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of two days, whose first day has an incident, an order, and a ranking that moves."""
    name, bootstrap = "day-clicks", embedded_broker.bootstrap
    rankings = [[{"feature": name, "normalised": share} for name, share in (("site", 0.3), (HOSTILE, 0.1))]]
    rankings.append([{"feature": HOSTILE, "normalised": 0.2}, {"feature": "ad", "normalised": 0.1}])
    rate = {"profile": {"click_rate": 0.25}}
    hours = [window(name, hour, **rate, ranking=rankings[hour > 12]) for hour in range(-2, 30) if hour != 23]
    # A window that was written again counts once; one without rows has no ranking.
    found = [*hours, window(name, 3, rows=400, **rate), window(name, 23, rows=0)]
    write(bootstrap, f"{name}.windows", found)
    alerts = [alert(name, 3, "feature_vanished"), alert(name, 3, "feature_vanished"), alert(name, 25, "volume_low")]
    write(bootstrap, f"{name}.alerts", alerts)
    incidents = [
        incident(name, 1, -9, ends=-8),
        incident(name, 2, 3, ends=5),
        incident(name, 3, 22),
        incident(name, 4, 26),
    ]
    write(bootstrap, f"{name}.incidents", incidents)
    order = identified(
        Order(job=name, verb="ack", by="ada", at_us=START_US + 4 * HOUR_US, from_us=0, incident=f"{name}-2", why="mine")
    )
    write(bootstrap, f"{name}.orders", [(f"{name}/{order.id}", msgspec.to_builtins(order))])
    return write_click_job(tmp_path_factory.mktemp("jobs"), bootstrap, name)


def test_json_holds_what_is_of_the_day(clicks: Path) -> None:
    found = json.loads(ask(clicks, *DAY, "--json").stdout)
    assert (found["start_us"], found["end_us"]) == (START_US, START_US + DAY_US)
    assert found["windows"] == 24
    assert found["rows"] == 23 * 300 + 100 - 0
    assert [one["id"] for one in found["incidents"]] == ["day-clicks-2", "day-clicks-3"]
    assert found["rules"]["feature_vanished"] == {"incidents": 2, "alerts": 1}
    assert [one["feature"] for one in found["ranking"]] == [HOSTILE, "ad"]
    assert [one["by"] for one in found["orders"]] == ["ada"]


def test_the_page_tells_it_and_shows_hostile_names_harmlessly(clicks: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "day.html"
    result = ask(clicks, *DAY, "--out", str(out))
    assert result.stdout.splitlines()[-1] == f"wrote {out}"
    html = out.read_text(encoding="utf-8")
    page = _Page(html)
    # The script that sorts tables is the only one, and nothing is loaded.
    assert page.tags.count("script") == 1
    assert not {"link", "iframe", "img"} & set(page.tags)
    assert "\u202e" not in html
    assert "2 incidents, 1 alert; day-clicks-3 fires still" in page.text
    assert "1 window had no row" in page.text
    assert "ack by ada" in page.text
    assert "Features at the end of the day" in page.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(clicks: Path, tmp_path: Path, scheme: Scheme) -> None:
    ask(clicks, *DAY, "--out", str(tmp_path / "day.html"))
    assert grave_faults((tmp_path / "day.html").read_text(encoding="utf-8"), {}, scheme) == []


def test_a_day_begins_at_midnight_of_a_time_zone(clicks: Path) -> None:
    found = json.loads(ask(clicks, *DAY, "--timezone", "Europe/Berlin", "--json").stdout)
    assert found["start_us"] == START_US - HOUR_US


def test_wafers_and_rows_have_what_their_jobs_know(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    bootstrap = embedded_broker.bootstrap
    verdicts = {"verdicts": {"known": 4, "normal": 20, "novel": 1}, "patterns": {"scratch": 4, "normal": 20}}
    write(bootstrap, "day-fab.windows", [window("day-fab", hour, **verdicts) for hour in range(2)])
    write(bootstrap, "day-fab.incidents", [])
    write(bootstrap, "day-fab.alerts", [])
    wafers = write_wafer_job(tmp_path, bootstrap, "day-fab", tmp_path)
    found = json.loads(ask(wafers, *DAY, "--json").stdout)
    assert (found["verdicts"]["novel"], found["patterns"]["scratch"]) == (2, 8)
    ask(wafers, *DAY, "--out", str(tmp_path / "fab.html"))
    text = _Page((tmp_path / "fab.html").read_text(encoding="utf-8")).text
    assert "None: nothing that the job checks was wrong." in text
    assert "pattern of wafers that are not novel" in text
    write(bootstrap, "day-rows.windows", [window("day-rows", hour, row_scores={"above": 7}) for hour in range(3)])
    write(bootstrap, "day-rows.incidents", [])
    write(bootstrap, "day-rows.alerts", [])
    rows = write_rows_job(tmp_path, bootstrap, "day-rows", {"a": "float"}, tmp_path)
    assert "21 rows above the threshold of the row model" in ask(rows, *DAY, "--out", str(tmp_path / "r.html")).stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--day", "2026-02-30"], "--day: expected a date as 2026-01-31, got '2026-02-30'"),
        (["--timezone", "Mars/Olympus"], "--timezone: expected a name such as Europe/Berlin, got 'Mars/Olympus'"),
        (["--day", "2025-01-01"], "closed no window on 2025-01-01 (UTC), or 'day-clicks.windows' no longer holds it"),
    ],
)
def test_what_cannot_be_told_is_refused(clicks: Path, options: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        ask(clicks, *options)
    assert expected in str(error.value)


def test_a_job_that_has_not_run_has_no_day(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has the job run yet"):
        ask(write_click_job(tmp_path, embedded_broker.bootstrap, "day-never"), *DAY)


def test_help_teaches() -> None:
    assert isinstance(report, click.Command)
    assert "--timezone" in CliRunner().invoke(report, ["--help"]).output

"""How many clicks it is from the first page to what caused an alert."""

import html
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.incidents import IncidentRecord
from tests.kit.job_files import write_rows_job, write_wafer_job
from tests.pipelines.notify.incident_records import found, incident
from tests.pipelines.web_console.browsing import Browser, browsing
from tests.pipelines.web_console.filled import alert, fill, watched_clicks, windows

ROW = {
    "id": "sensors/0/7/0",
    "event_time_us": 1_800_000_000_000_000,
    "model": "rows/0001",
    "score": 54.8,
    "p_value": 0.0001,
    "columns": {"bid_price": 5.05},
    "identity": {"machine": "press 7"},
}
WAFER = {
    "id": "wafers/0/7/1",
    "wafer_id": "W000700",
    "lot": "L00028",
    "step": "etch",
    "tool": "T0",
    "event_time_us": 1_800_000_000_000_000,
    "defects": 99,
    "verdict": "novel",
    "pattern": "scratch",
    "parts": [],
    "probability": 0.5,
    "novelty": 85.4,
    "p_value": 0.006,
    "outside": 0,
    "model": "wafer/0001",
    "false_novel_rate": 0.02,
}


def of_rule(rule: str, subject: str, job: str = "clicks") -> IncidentRecord:
    return msgspec.structs.replace(incident(1, job=job), rule=rule, subject=subject, findings=(found(rule, subject),))


def told(watched: Watched, rule: str, subject: str, evidence: dict[str, Any]) -> None:
    """The job opened an incident, with one alert."""
    record = of_rule(rule, subject, watched.name)
    fill(watched, "incidents", {record.id: record})
    one = msgspec.structs.replace(alert(0, record.id, evidence, subject), rule=rule, job=watched.name)
    fill(watched, "alerts", {one.id: one})


def clicks_to(browser: Browser, says: str, most: int = 3) -> int:
    """Clicks from the first page to the nearest one that says something, by links of the pages' own."""
    seen, now = {"/"}, ["/"]
    for clicks in range(most + 1):
        pages = [browser.get(path).data.decode() for path in now]
        if any(says in page for page in pages):
            return clicks
        links = {html.unescape(link) for page in pages for link in re.findall(r'href="(/jobs/[^"]+)"', page)}
        now, seen = sorted(links - seen), seen | links
    raise AssertionError(f"{says!r} is more than {most} clicks away")


def watched_wafers(folder: Path) -> AbstractContextManager[Watched]:
    return watched_job(write_wafer_job(folder, "127.0.0.1:1", "wafers", folder / "model"))


def watched_rows(folder: Path) -> AbstractContextManager[Watched]:
    columns = {"bid_price": "float", "machine": "str"}
    return watched_job(write_rows_job(folder, "127.0.0.1:1", "sensors", columns, folder / "model"))


@contextmanager
def watched_job(job: Path) -> Iterator[Watched]:
    watched = Watched(load_job(job), job.parent / "state")
    try:
        yield watched
    finally:
        watched.store.close()


SLICE = {
    "where": "sdk = 3.2",
    "text": "all of it where sdk = 3.2",
    "rows": 9,
    "rows_before": 9,
    "before": 0.0,
    "after": 0.5,
}


def test_a_null_fault_is_one_click_from_the_rows_that_carry_it(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        told(watched, "feature_nulls", "site", {"slice": SLICE})
        with browsing(watched) as browser:
            assert clicks_to(browser, "all of it where sdk = 3.2") == 1


def test_a_lost_signal_is_two_clicks_from_the_ranking_of_its_feature_over_time(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(-20, 3)))
        told(watched, "feature_signal_lost", "site", {})
        with browsing(watched) as browser:
            assert clicks_to(browser, "Place in the ranking") == 2


def test_a_novel_pattern_is_two_clicks_from_a_wafer_that_shows_it(tmp_path: Path) -> None:
    evidence = {"wafers": [{key: WAFER[key] for key in ("id", "wafer_id", "lot", "tool", "p_value")}]}
    with watched_wafers(tmp_path) as watched:
        fill(watched, "wafers", {str(WAFER["id"]): WAFER})
        told(watched, "novel_pattern", "wafers", evidence)
        with browsing(watched) as browser:
            assert clicks_to(browser, "<dd>85.4</dd>") == 2


def test_an_odd_sensor_is_two_clicks_from_a_row_that_shows_it(tmp_path: Path) -> None:
    evidence = {"carried_by": {"bid_price": 0.9644}, "worst": [{"partition": 0, "offset": 7, "row": 0, **ROW}]}
    with watched_rows(tmp_path) as watched:
        fill(watched, "rows", {str(ROW["id"]): ROW})
        told(watched, "rows_unlike_training", "bid_price", evidence)
        with browsing(watched) as browser:
            assert clicks_to(browser, "96.4 %") == 1
            assert clicks_to(browser, "how far the score falls") == 2


def test_rows_are_chosen_by_their_main_column_also_those_without_one(tmp_path: Path) -> None:
    with watched_rows(tmp_path) as watched:
        bare = {**ROW, "id": "sensors/0/8/0", "columns": {}}
        fill(watched, "rows", {str(one["id"]): one for one in (ROW, bare)})
        with browsing(watched) as browser:
            texts = [
                browser.get(f"/jobs/sensors/rows{query}").data.decode()
                for query in ("", "?q=&label=", "?label=%3D", "?label=%3Dbid_price")
            ]
    any_, asked_for_any, without, priced = texts
    for text in (any_, asked_for_any):
        assert "2 rows, newest first" in text
        assert " selected>" not in text
    assert "1 row, newest first" in without
    assert '<option value="=" selected>none (1)</option>' in without
    assert "sensors/0/8/0" in without
    assert '<option value="=bid_price" selected>bid_price (1)</option>' in priced
    assert "sensors/0/7/0" in priced

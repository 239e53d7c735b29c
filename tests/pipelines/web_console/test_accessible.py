"""No page of a console keeps anybody out: axe finds nothing serious, in both themes."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kit.axe import Fault, grave_faults
from tests.kit.chromium import Scheme
from tests.pipelines.notify.incident_records import incident
from tests.pipelines.web_console.browsing import Browser, browsing
from tests.pipelines.web_console.filled import MINUTE_US, START_US, TWINS, alert, fill, watched_clicks, window, windows
from tests.pipelines.web_console.test_clicks import ROW, WAFER, watched_rows, watched_wafers
from tests.pipelines.web_console.test_pages import SLICE

PATHS = (
    "/",
    "/words",
    "/jobs/clicks/incidents",
    "/jobs/clicks/incidents/clicks-1",
    "/jobs/clicks/features",
    "/jobs/clicks/feature?name=site",
    "/jobs/clicks/redundancy",
    "/jobs/clicks/accounts",
    "/jobs/clicks/models",
    "/jobs/wafers/wafers",
    f"/jobs/wafers/result?id={WAFER['id']}",
    "/jobs/sensors/rows",
    f"/jobs/sensors/result?id={ROW['id']}",
)


def faults(browser: Browser, path: str, scheme: Scheme) -> list[Fault]:
    html = browser.get(path).data.decode()
    styles = re.findall(r'<link rel="stylesheet" href="([^"]+)">', html)
    return grave_faults(html, {one: browser.get(one).data.decode() for one in styles}, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(tmp_path: Path, scheme: Scheme) -> None:
    folders = [tmp_path / name for name in ("clicks", "wafers", "rows")]
    for folder in folders:
        folder.mkdir()
    with watched_clicks(folders[0]) as clicks, watched_wafers(folders[1]) as wafers, watched_rows(folders[2]) as rows:
        fill(clicks, "windows", windows(range(-20, 3)))
        fill(clicks, "windows", {f"clicks/{START_US + 3 * MINUTE_US}": {**window(3), "twins": TWINS}})
        fill(clicks, "incidents", {"clicks-1": incident(1), "clicks-2": incident(2, "resolved")})
        one = alert(0, "clicks-1", {"slice": SLICE})
        fill(clicks, "alerts", {one.id: one})
        fill(wafers, "wafers", {str(WAFER["id"]): WAFER})
        fill(rows, "rows", {str(ROW["id"]): ROW})
        with browsing(clicks, wafers, rows) as browser, ThreadPoolExecutor(2) as pool:
            found = dict(zip(PATHS, pool.map(lambda path: faults(browser, path, scheme), PATHS), strict=True))
    assert {path: own for path, own in found.items() if own} == {}


def test_axe_finds_what_is_wrong_in_the_theme_in_which_it_is() -> None:
    style = "body { background: white; color: black } @media (prefers-color-scheme: dark) { i { color: #ccc } }"
    head = f"<title>a</title><style>{style}</style>"
    page = f'<!doctype html><html lang="en"><head>{head}</head><body><i>pale</i></body></html>'
    assert [(one.rule, one.impact) for one in grave_faults(page, {}, "dark")] == [("color-contrast", "serious")]
    assert grave_faults(page, {}, "light") == []

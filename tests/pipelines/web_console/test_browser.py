"""Pages in a real browser: its script runs, nothing is refused by the pages' own policy, hostile names stay text."""

import subprocess
import sys
from pathlib import Path

from tests.kit.chromium import seen
from tests.pipelines.notify.incident_records import incident
from tests.pipelines.web_console.browsing import browsing
from tests.pipelines.web_console.filled import alert, fill, watched_clicks, windows
from tests.pipelines.web_console.test_pages import HOSTILE, SLICE, hostile_incident


def test_an_incident_is_whole_in_a_browser_and_its_tables_can_be_sorted(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(-20, 3)))
        fill(watched, "incidents", {"clicks-1": incident(1)})
        one = alert(0, "clicks-1", {"slice": SLICE})
        fill(watched, "alerts", {one.id: one})
        with browsing(watched) as browser:
            page = seen(f"{browser.url}/jobs/clicks/incidents/clicks-1")
    assert page.complaints == []
    # The script has marked what can be sorted.
    assert page.dom.count('<table class="sorts">') == 2
    assert "<circle" in page.dom


def test_hostile_names_are_text_in_a_browser_too(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(3), features={HOSTILE: 0.1}))
        fill(watched, "incidents", {"clicks-1": hostile_incident()})
        with browsing(watched) as browser:
            pages = [seen(browser.url + path) for path in ("/", "/jobs/clicks/features")]
    for page in pages:
        assert page.complaints == []
        assert page.dom.count("<script") == 1
        assert "<img" not in page.dom


def test_a_console_is_light() -> None:
    """Without Beam and torch it starts in a third of the time and takes half of the memory."""
    names = "print(*sys.modules)"
    code = f"import sys, sparsewatch.pipelines.web_console.app, sparsewatch.pipelines.web_console.server; {names}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"apache_beam", "torch", "matplotlib", "scipy.stats"} & {*done.stdout.split()}

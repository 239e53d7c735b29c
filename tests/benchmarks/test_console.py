"""The benchmark of the console's pages asks each page of jobs that were filled as from topics."""

from pathlib import Path

from benchmarks.console import PAGES, fill_stores, measure
from sparsewatch.pipelines.web_console.views.pages import VIEWS

#: Where nobody answers.
_BROKER = "127.0.0.1:1"


def test_every_page_is_measured_and_is_there(tmp_path: Path) -> None:
    fill_stores(tmp_path, _BROKER, 1, features=501, wafers=80)
    results = {result.name: result for result in measure(tmp_path, _BROKER, 1)}
    assert {f"page {name}" for name in PAGES} < set(results)
    assert results["memory"].value > 0
    # By the last part of their addresses; rows have the page of wafers; others ask the broker.
    measured = {path.partition("?")[0].split("/")[-1].partition("-")[0] for path in PAGES.values()}
    named = {path.split("/")[-1].strip("{}") for path in VIEWS}
    assert named - measured - {"incident", "rows", "records", "event", "rejects"} == set()

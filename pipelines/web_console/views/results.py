"""Rows above the threshold and verdicts on wafers: lists that are searched, and one of them."""

from typing import Any

from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, NotThereError, Shown
from sparsewatch.pipelines.web_console.views.patterns import patterns_of

_A_PAGE = 60


def rows_page(asked: Asked) -> Shown:
    """Rows above the threshold, newest first."""
    return Shown("rows.html", _list(asked, "rows"))


def wafers_page(asked: Asked) -> Shown:
    """Verdicts on wafers, newest first, and patterns that emerge among them."""
    return Shown("wafers.html", {**_list(asked, "wafers"), "patterns": patterns_of(asked.job.store)})


def result_page(asked: Asked) -> Shown:
    """One row or wafer.

    Raises:
        NotThereError: If it is not remembered.
    """
    id_ = asked.text("id")
    found = history.result(asked.job.store, id_)
    if found is None:
        raise NotThereError(f"job {asked.job.name!r} has no result {id_!r}, or it is older than what is remembered")
    return Shown("result.html", {"result": found})


def _list(asked: Asked, kind: str) -> dict[str, Any]:
    number, label, words = asked.page(), asked.text("label"), asked.text("q")
    found = history.results(asked.job.store, kind, label, words, _A_PAGE, (number - 1) * _A_PAGE)
    return {
        "found": found,
        "labels": history.labels(asked.job.store, kind),
        "label": label,
        "q": words,
        "page": number,
        "a_page": _A_PAGE,
    }

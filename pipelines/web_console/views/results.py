"""Rows above the threshold and verdicts on wafers: lists that are searched, and one of them."""

from typing import Any

from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, NotThereError, Shown
from sparsewatch.pipelines.web_console.views.patterns import patterns_of

#: Results of a page, and verdicts or columns that can be chosen.
_A_PAGE, _LABELS = 60, 200
_MARK = "="


def rows_page(asked: Asked) -> Shown:
    """Rows above the threshold, newest first."""
    return Shown("rows.html", _list(asked, "rows"))


def wafers_page(asked: Asked) -> Shown:
    """Verdicts on wafers, newest first, and patterns that emerge among them."""
    acts = {"can_name": asked.job.file is not None, "done": asked.is_done}
    return Shown("wafers.html", {**_list(asked, "wafers"), **acts, "patterns": patterns_of(asked.job.store)})


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
    # Behind a mark: a row may have no column at all, and nothing chosen is any.
    only = label.removeprefix(_MARK) if label.startswith(_MARK) else None
    found = history.results(asked.job.store, kind, only, words, _A_PAGE, (number - 1) * _A_PAGE)
    return {
        "found": found,
        "labels": [(f"{_MARK}{key}", key, n) for key, n in history.labels(asked.job.store, kind)[:_LABELS]],
        "label": label,
        "q": words,
        "page": number,
        "a_page": _A_PAGE,
    }

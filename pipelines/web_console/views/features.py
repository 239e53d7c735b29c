"""Features of a click job: their ranking now, and what became of each over time."""

from typing import Any

import numpy as np

from sparsewatch.pipelines.records.reading import Record
from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, NotThereError, Shown
from sparsewatch.pipelines.web_console.drawings import Chart, chart, sparkline
from sparsewatch.schemas.units import DAY_US

#: Features of a page; points of a sparkline; windows of a chart, more than a store has of a feature.
_A_PAGE, _POINTS, _WINDOWS = 50, 60, 100_000
_ORDERS = ("rank", "null_share", "unseen_share", "cardinality", "bytes_a_row", "score_a_byte", "feature")
#: Stretches that a feature's page can show, in days.
DAYS = (1, 7, 30, 90)
_CHARTS = (
    ("normalised", "What it tells of clicks, as a share of all there is to tell", "signal", True),
    ("rank", "Place in the ranking, 1 is best", "rank", False),
    ("null_share", "Share of rows without a value", "nulls", True),
    ("cardinality", "Distinct values of a window", "values", False),
    ("unseen_share", "Share of values that the baseline does not know", "unseen", True),
    ("mistyped_share", "Share of rows with a value of another type", "mistyped", True),
)


def features_page(asked: Asked) -> Shown:
    """The ranking of the newest window, searched and sorted."""
    window, words, order = history.newest_window(asked.job.store), asked.text("q"), asked.text("by")
    order = order if order in _ORDERS else "rank"
    found = [one for one in _rows(window) if words.lower() in one["feature"].lower()]
    found.sort(key=lambda one: _key(one, order))
    number = asked.page()
    shown = found[(number - 1) * _A_PAGE : number * _A_PAGE]
    return Shown(
        "features.html",
        {
            "window": window,
            "has_costs": any("bytes_a_row" in one for one in shown),
            "found": [(one, _spark(asked, one["feature"])) for one in shown],
            "total": len(found),
            "page": number,
            "a_page": _A_PAGE,
            "q": words,
            "by": order,
            "orders": _ORDERS,
        },
    )


def feature_page(asked: Asked) -> Shown:
    """One feature over time.

    Raises:
        NotThereError: If no window had it.
    """
    name, days = asked.text("name"), asked.text("days")
    span_days = int(days) if days in map(str, DAYS) else DAYS[1]
    store, window = asked.job.store, history.newest_window(asked.job.store)
    end_us = window["window_end_us"] if window else 0
    charts = [
        (word, title, drawn)
        for column, title, word, is_share in _CHARTS
        if (drawn := _chart(asked, name, column, end_us, span_days, is_share=is_share)) is not None
    ]
    if not charts:
        raise NotThereError(
            f"job {asked.job.name!r} has no feature {name!r}, or no window of the last {span_days} days has"
        )
    about = next((one for one in _rows(window) if one["feature"] == name), None)
    found = [one for one in history.incidents(store, 500).records if _is_about(one, name)]
    return Shown(
        "feature.html",
        {
            "feature": name,
            "about": about,
            "alike": _alike(window, name),
            "charts": charts,
            "days": span_days,
            "spans": DAYS,
            "incidents": found,
        },
    )


def _chart(asked: Asked, name: str, column: str, end_us: int, days: int, *, is_share: bool) -> Chart | None:
    series = history.figures(asked.job.store, name, column, end_us - days * DAY_US, end_us, _WINDOWS)
    if not len(series) or bool(np.isnan(series.values).all()):
        return None
    return chart(series, max(end_us, int(series.starts_us[-1]) + 1), is_share=is_share)


def _spark(asked: Asked, name: str) -> str:
    return sparkline(history.figures(asked.job.store, name, "normalised", 0, 1 << 62, _POINTS).values)


def _rows(window: Record | None) -> list[dict[str, Any]]:
    """Features of a window: what its ranking and its profile say of each."""
    if window is None:
        return []
    profile = (window.get("profile") or {}).get("features") or {}
    costs = {one["feature"]: one for one in window.get("costs") or ()}
    return [
        {**costs.get(one["feature"], {}), **profile.get(one["feature"], {}), **one}
        for one in window.get("ranking") or ()
    ]


def _alike(window: Record | None, name: str) -> list[str]:
    """Features that carry the same information as one."""
    groups = (((window or {}).get("twins") or {}).get("groups")) or ()
    members = [[group["keep"], *group["drop"]] for group in groups]
    return [one for group in members if name in group for one in group if one != name]


def _key(one: dict[str, Any], order: str) -> tuple[Any, ...]:
    if order in ("feature", "rank"):
        return (one[order],)
    return (-(one.get(order) or 0), one["rank"])


def _is_about(incident: Record, name: str) -> bool:
    return any(found["subject"] == name for found in incident["findings"])

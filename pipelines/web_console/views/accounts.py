"""Accounts of a job: what was read and what became of it, how far each partition is, which topics are followed."""

from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, Shown
from sparsewatch.pipelines.web_console.drawings import chart
from sparsewatch.pipelines.web_console.figure_of import ROWS, series_of

_WINDOWS = 600


def accounts_page(asked: Asked) -> Shown:
    """What became of all records."""
    watched = asked.job
    series = series_of(watched.store, ROWS, "", 0, 1 << 62, _WINDOWS)
    length_us = watched.made.windows.length_us
    drawn = chart(series, int(series.starts_us[-1]) + length_us) if len(series) else None
    return Shown(
        "accounts.html",
        {
            "status": watched.standing.status,
            "standing": watched.standing,
            "followed": watched.followed,
            "chart": drawn,
            "window": history.newest_window(watched.store),
            "topics": watched.made.topics,
        },
    )

"""What is wrong now, at all jobs; the incidents of one; and what the words mean."""

import time

from sparsewatch.pipelines.records.reading import Record
from sparsewatch.pipelines.status.command import status_lines
from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, Shown
from sparsewatch.pipelines.web_console.ordered import ordered
from sparsewatch.pipelines.web_console.watched import Watched

#: Characters of a status line before what it says.
_COLUMN = 11
#: Incidents of a page.
A_PAGE = 50


def now_page(asked: Asked) -> Shown:
    """Incidents that fire, of each job: what is to be looked at first comes first."""
    found = [
        (watched, history.firing(watched.store), _state(watched), _known_until_us(watched))
        for watched in asked.jobs.values()
    ]
    # A job with the most urgent incident stands above the others.
    # Of those without one, a job that cannot be read does: it may have incidents that nobody sees.
    found.sort(key=lambda one: (not one[1], history.urgency(one[1][0]) if one[1] else (0, 0, 0.0, 0), one[0].is_known))
    ahead = {watched.name: _ahead(watched, firing, asked.user) for watched, firing, _, _ in found}
    total = sum(len(firing) for _, firing, _, _ in found)
    # What cannot be read may hold more.
    is_all = not any(watched.absent() or watched.standing.fault for watched in asked.jobs.values())
    return Shown("now.html", {"found": found, "total": total, "is_all": is_all, "ahead": ahead})


def _ahead(watched: Watched, incidents: list[Record], user: str) -> dict[str, tuple[str, ...]]:
    """What people ordered about each of some incidents ahead of the job, in words."""
    orders = history.orders_by_incident(watched.store) if incidents else {}
    known_us = history.newest_start_us(watched.store) if orders else 0
    return {one["id"]: ordered(one, orders.get(one["id"], ()), known_us, user).ahead for one in incidents}


def _known_until_us(watched: Watched) -> int:
    """End of the last window that is known; 0 if none is."""
    newest = history.newest_window(watched.store) if not watched.is_known else None
    return int(newest["window_end_us"]) if newest else 0


def _state(watched: Watched) -> list[tuple[str, str]]:
    """How a job stands: what, and what of it."""
    status = watched.standing.status
    if status is None:
        return []
    lines = ((line[:_COLUMN].strip(), line[_COLUMN:]) for line in status_lines(status, time.time()))
    return [(what, rest) for what, rest in lines if what not in ("job", "incidents")]


def incidents_page(asked: Asked) -> Shown:
    """All incidents that are remembered, those that changed last first."""
    number = asked.page()
    found = history.incidents(asked.job.store, A_PAGE, (number - 1) * A_PAGE)
    ahead = _ahead(asked.job, found.records, asked.user)
    return Shown("incidents.html", {"found": found, "page": number, "a_page": A_PAGE, "ahead": ahead})


def words_page(_asked: Asked) -> Shown:
    """What the words of the pages mean."""
    return Shown("words.html")

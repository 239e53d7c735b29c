"""One incident: the value over time, where it is, what changed, what else was found, and what people ordered."""

from typing import NamedTuple

from sparsewatch.pipelines.orders.desk import names_of
from sparsewatch.pipelines.records.originals import MOST_LISTED, listed, offsets_of, originals
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.asked import Asked, NotThereError, Shown
from sparsewatch.pipelines.web_console.drawings import Chart, chart
from sparsewatch.pipelines.web_console.figure_of import Figure, OfAlerts, figure_of, judges_several, series_of
from sparsewatch.pipelines.web_console.ordered import ordered
from sparsewatch.pipelines.web_console.runbook import section
from sparsewatch.pipelines.web_console.views.decide import SPANS
from sparsewatch.pipelines.web_console.views.patterns import pattern_of
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.units import DAY_US

#: Windows of a chart, alerts of a page.
_WINDOWS, _ALERTS = 600, 100
#: How long before an incident its chart begins, in windows, and at most.
_BEFORE, _MOST_BEFORE_US = 96, 14 * DAY_US
_AFTER = 24


class Values(NamedTuple):
    """Shares of values before and now."""

    value: str
    before: float
    now: float


def incident_page(asked: Asked) -> Shown:
    """One incident."""
    watched = asked.job
    record = _incident(asked)
    alert = _evident(watched, record)
    evidence = alert["evidence"] if alert else {}
    alerts = history.alerts_of(watched.store, record["id"], _ALERTS)
    own = [one for one in alerts if (one["rule"], one["subject"]) == (record["rule"], record["subject"])]
    orders = history.orders_about(watched.store, record["id"])
    figure = figure_of(record["rule"], own[-1]["evidence"] if own else {})
    return Shown(
        "incident.html",
        {
            "incident": record,
            "chart": _chart(watched, record, figure, own),
            "figure": figure,
            "is_of_alerts": figure is None or isinstance(figure, OfAlerts),
            "alert": alert,
            "slice": evidence.get("slice"),
            "moved": _moved(evidence),
            "new_values": listed(evidence, "top_values"),
            "wafers": listed(evidence, "wafers"),
            "pattern": _pattern(watched, record),
            "can_name": asked.job.file is not None,
            "worst": _rows(watched, evidence),
            "carried_by": _shares(evidence),
            "offsets": offsets_of(evidence),
            "alerts": alerts,
            "to_do": section(record["rule"]),
            "orders": orders,
            "ordered": ordered(record, orders, history.newest_start_us(watched.store), asked.user),
            "can_decide": bool(names_of(record)),
            "is_new": asked.is_done,
            "spans": SPANS,
        },
    )


def records_page(asked: Asked) -> Shown:
    """Records of the source topic that show an incident, as the broker has them."""
    watched, record = asked.job, _incident(asked)
    alert = _evident(watched, record)
    offsets = offsets_of(alert["evidence"]) if alert else []
    return Shown("records.html", {"incident": record, "records": originals(watched.made, offsets)})


def _incident(asked: Asked) -> Record:
    id_ = asked.names["incident"]
    found = history.incident(asked.job.store, id_)
    if found is None:
        raise NotThereError(f"job {asked.job.name!r} has no incident {id_!r}, or it is older than what is remembered")
    return found


def _evident(watched: Watched, record: Record) -> Record | None:
    """The first alert of the root suspect: its evidence is what led here."""
    return history.first_alert(watched.store, record["id"], record["rule"], record["subject"])


def _chart(watched: Watched, record: Record, figure: Figure | None, alerts: list[Record]) -> Chart | None:
    """The figure that the root suspect's rule judges; where windows state none, what its alerts told.

    Args:
        watched: The job.
        record: The incident.
        figure: What was judged in its last window.
        alerts: Those of the root suspect; what they told of another figure is left out.
    """
    length_us = watched.made.windows.length_us
    until_us = record["ended_us"] or _known_until_us(watched, record)
    start_us = record["started_us"] - min(_BEFORE * length_us, _MOST_BEFORE_US)
    end_us = until_us + _AFTER * length_us
    dots = [
        (one["window_start_us"], float(one["value"]), one["message"])
        for one in alerts
        if figure_of(one["rule"], one["evidence"]) == figure
    ]
    if figure is None or isinstance(figure, OfAlerts):
        series = history.series([(start, value, False) for start, value, _ in dots])
    else:
        series = series_of(watched.store, figure, record["subject"], start_us, end_us, _WINDOWS)
    if not len(series):
        return None
    # Levels of another figure would lie anywhere.
    are_of_it = bool(dots) or not judges_several(record["rule"])
    return chart(
        series,
        max(until_us, int(series.starts_us[-1]) + length_us),
        is_share=figure is not None and figure.is_share,
        threshold=float(record["threshold"]) if are_of_it else None,
        baseline=float(record["baseline"]) if are_of_it else None,
        shade_us=(record["started_us"], until_us),
        alerts=[] if record["rule"] == "no_data" else dots,
    )


def _known_until_us(watched: Watched, record: Record) -> int:
    """Until when an incident that fires is known to: jobs do not tell of each window, and tell of its end."""
    newest = history.newest_window(watched.store)
    return int(max(record["window_end_us"], newest["window_end_us"] if newest else 0))


def _moved(evidence: Record) -> list[Values]:
    """Values whose shares changed, those that changed most first."""
    found = [Values(str(one["value"]), float(one["before"]), float(one["now"])) for one in evidence.get("moved") or ()]
    return sorted(found, key=lambda one: -abs(one.now - one.before))[:MOST_LISTED]


def _pattern(watched: Watched, record: Record) -> Record | None:
    """The emerging pattern that an incident tells of."""
    return pattern_of(watched.store, record["subject"]) if record["rule"] == "emerging_pattern" else None


def _rows(watched: Watched, evidence: Record) -> list[Record]:
    """The oddest rows, each with the id of its result."""
    source = watched.made.topics.source
    return [
        {**one, "id": f"{source}/{one['partition']}/{one['offset']}/{one['row']}"}
        for one in listed(evidence, "worst")
        if one.keys() >= {"partition", "offset", "row", "event_time_us", "score", "columns", "identity"}
    ]


def _shares(evidence: Record) -> list[tuple[str, float]]:
    found = evidence.get("carried_by")
    return sorted(found.items(), key=lambda one: -one[1])[:MOST_LISTED] if isinstance(found, dict) else []

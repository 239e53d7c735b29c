"""Panels of Grafana, and how they are laid out on a dashboard."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from deploy.generate.promql import of_jobs
from sparsewatch.schemas.alerts import runbook_of
from sparsewatch.schemas.metric import Metric

#: Of a dashboard, in Grafana's units.
WIDTH = 24
#: Each panel asks the data source that is chosen on its dashboard.
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: The jobs chosen on the dashboard.
JOB = "~$job"
#: Thresholds of what should not be there at all.
BAD = ((None, "green"), (1.0, "red"))
#: How Grafana names units; what is counted is shortened.
_UNITS = {"seconds": "s", "ratio": "percentunit", "probability": "none", "version": "none", "rank": "none"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    #: Expressions, each with the legend of its series.
    targets: Sequence[tuple[str, str]]
    description: str
    #: As Grafana names it.
    unit: str = "short"
    kind: Literal["timeseries", "stat", "bargauge"] = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    #: On a logarithmic scale: p-values.
    logarithmic: bool = False
    #: Values from which on it is coloured, from good to bad.
    thresholds: Sequence[tuple[float | None, str]] = ((None, "green"),)
    #: Rules of jobs whose sections of the runbook it links to.
    rules: Sequence[str] = ()


def of_metric(metric: Metric, title: str, *, rules: Sequence[str] = (), over: str = "{}", **how: Any) -> Panel:
    """A metric as it is, over time.

    Args:
        metric: The metric.
        title: Of the panel.
        rules: Rules whose sections it links to.
        over: What is made of its series.
        **how: Fields of `Panel` that are not as usual.
    """
    legend = " ".join(f"{{{{{label}}}}}" for label in ("job", *metric.labels))
    usual = {"description": metric.help, "unit": _UNITS.get(metric.unit, "short")}
    return Panel(title=title, targets=[(of_jobs(metric, over, job=JOB), legend)], rules=rules, **{**usual, **how})


def since(metric: Metric, title: str, **how: Any) -> Panel:
    """How long ago a metric of a time is; the same arguments."""
    panel = of_metric(metric, title, unit="s", **how)
    return replace(panel, targets=[(f"time() - {expr}", legend) for expr, legend in panel.targets])


def laid_out(rows: Iterable[tuple[str, Sequence[Panel]]]) -> list[dict[str, Any]]:
    """Rows of panels as Grafana reads them: each under its heading, from left to right."""
    found: list[dict[str, Any]] = []
    y = 0
    for heading, panels in rows:
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        found.append(
            {"id": len(found) + 1, "type": "row", "title": heading, "collapsed": False, "gridPos": place, "panels": []}
        )
        y += 1
        for panel, x, below in _places(panels):
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y + below}
            found.append({"id": len(found) + 1, "gridPos": place, **_panel(panel)})
        y = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in found)
    return found


def _places(panels: Sequence[Panel]) -> Iterator[tuple[Panel, int, int]]:
    """Panels with their place from the left, and below the heading."""
    x = below = highest = 0
    for panel in panels:
        if x + panel.width > WIDTH:
            x, below, highest = 0, below + highest, 0
        yield panel, x, below
        x, highest = x + panel.width, max(highest, panel.height)


def _panel(panel: Panel) -> dict[str, Any]:
    steps = [{"color": colour, "value": value} for value, colour in panel.thresholds]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.kind == "timeseries":
        defaults["custom"] = _lines(panel)
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for i, (expr, legend) in enumerate(panel.targets)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
        "links": [
            {
                "title": f"{rule}: what to do",
                "url": "${docs}/" + runbook_of(rule).partition("/")[2],
                "targetBlank": True,
            }
            for rule in panel.rules
        ],
    }


def _lines(panel: Panel) -> dict[str, Any]:
    scale = {"type": "log", "log": 10} if panel.logarithmic else {"type": "linear"}
    return {
        "drawStyle": "line",
        "fillOpacity": 40 if panel.stacked else 0,
        "lineWidth": 1,
        "showPoints": "auto",
        "spanNulls": False,
        "scaleDistribution": scale,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if len(panel.thresholds) > 1 else "off"},
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "stat":
        return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
    return {"reduceOptions": reduced, "displayMode": "basic", "orientation": "horizontal"}

"""Dashboards of Grafana: their frame, in which jobs are chosen."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.generate.panels import DATASOURCE, Panel, laid_out
from sparsewatch.schemas.metric import Metric

_TAG = "sparsewatch"


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One dashboard."""

    #: Of its file and its address.
    name: str
    title: str
    description: str
    #: The metric whose jobs can be chosen.
    jobs: Metric
    rows: Sequence[tuple[str, Sequence[Panel]]]


def dashboard_file(dashboard: Dashboard) -> str:
    """A dashboard as Grafana reads it."""
    content = {
        "uid": f"sparsewatch-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [_TAG],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "title": "Sparsewatch", "tags": [_TAG], "asDropdown": False, "keepTime": True},
            {"type": "link", "title": "What to do", "url": "${docs}/runbook.md", "targetBlank": True},
        ],
        "templating": {"list": list(_variables(dashboard))},
        "annotations": {"list": []},
        "panels": laid_out(dashboard.rows),
    }
    return json.dumps(content, indent=1) + "\n"


def _variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
    query = f"label_values({dashboard.jobs.name}, job)"
    yield {
        "name": "job",
        "label": "Job",
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "jobs"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    # Where the pages of docs are served; links of panels begin with it.
    docs = {"text": "docs", "value": "docs"}
    yield {"name": "docs", "label": "Docs at", "type": "textbox", "query": "docs", "current": docs, "options": [docs]}

"""The page of a backtest: its figures, the timeline, incidents with what was found, rules, labelled stretches."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sparsewatch.pipelines.backtest.labels import Label, Scored
from sparsewatch.pipelines.backtest.outcome import Outcome
from sparsewatch.pipelines.backtest.show import label_cells
from sparsewatch.pipelines.backtest.timeline import LEFT, WIDTH, timeline
from sparsewatch.pipelines.records.listing import FINDINGS, INCIDENTS
from sparsewatch.pipelines.report.pages import render

#: Of more incidents the newest are listed; all are drawn.
_LISTED = 200


def page(job: str, source: str, outcome: Outcome, scored: Scored | None, sentences: Sequence[str]) -> bytes:
    """A page's HTML.

    Args:
        job: Name of the job.
        source: What the events are from.
        outcome: With at least one window.
        scored: What was made of labelled stretches, if there are any.
        sentences: What stands above all.
    """
    labels: list[Label] = [] if scored is None else [one.label for one in scored.labels]
    return render(
        "backtest.html",
        **told(outcome, labels),
        job=job,
        source=source,
        sentences=sentences,
        labelled=[] if scored is None else [label_cells(one, outcome) for one in scored.labels],
    ).encode()


def told(outcome: Outcome, labels: Sequence[Label], most: int = _LISTED) -> dict[str, Any]:
    """What was told over a stretch, for a template: the timeline, incidents and rules.

    Args:
        outcome: With at least one window.
        labels: Labelled stretches.
        most: Incidents that are listed, the newest; all are drawn.
    """
    incidents = [msgspec.to_builtins(one) for one in outcome.incidents.values()]
    return {
        "picture": timeline(outcome, labels),
        "left": LEFT,
        "width": WIDTH,
        "incidents": [(one, INCIDENTS.cells(one)) for one in incidents[-most:]],
        "findings": FINDINGS,
        "left_out": max(0, len(incidents) - most),
        "rules": [(rule, outcome.roots[rule], alerts) for rule, alerts in outcome.alerts.most_common()],
    }

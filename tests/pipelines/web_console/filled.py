"""A job as a console watches it, its store filled by the test: no broker is asked anything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.web_console.store import Bounds
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.alerts import Finding, raise_alert
from tests.kit.job_files import write_click_job
from tests.pipelines.notify.incident_records import MINUTE_US, START_US

__all__ = ["MINUTE_US", "START_US"]


@contextmanager
def watched_clicks(folder: Path, bounds: Bounds | None = None, name: str = "clicks") -> Iterator[Watched]:
    """The job `clicks`, of which nothing was read yet."""
    watched = Watched(load_job(write_click_job(folder, "127.0.0.1:1", name)), folder / "state", bounds or Bounds())
    try:
        yield watched
    finally:
        watched.store.close()


def fill(watched: Watched, what: str, records: Mapping[str, Any]) -> None:
    """Let a topic hold records by key, and be read."""
    [one] = [one for one in watched.followed if one.name.endswith(f".{what}")]
    one.taking.begin([(key.encode(), msgspec.json.encode(record)) for key, record in records.items()])


def window(minute: int, *, features: Mapping[str, float] | None = None, alerts: int = 0, rows: int = 100) -> Any:
    """A window's record; features by their share of rows without a value."""
    shares = {"site": 0.0} if features is None else features
    start_us = START_US + minute * MINUTE_US
    figures = {
        name: {
            "null_share": share,
            "mistyped_share": 0.0,
            "cardinality": 3,
            "score": 0.1,
            "noise": 0.01,
            "normalised": 0.2,
            "rank": rank,
            "unseen_share": None,
        }
        for rank, (name, share) in enumerate(shares.items(), start=1)
    }
    ranking = [
        {"feature": name, "rank": rank, "cardinality": 3, "normalised": 0.2, "p_value": 0.5}
        for rank, name in enumerate(shares, start=1)
    ]
    return {
        "job": "clicks",
        "window_start_us": start_us,
        "window_end_us": start_us + MINUTE_US,
        "rows": rows,
        "complete": True,
        "alerts": ["a"] * alerts,
        "ranking": ranking,
        "profile": {"rows": rows, "clicks": 1, "click_rate": 0.01, "features": figures},
    }


#: What a window's record says of features that say the same.
TWINS = {
    "rows": 900,
    "features": 3,
    "groups": [{"keep": "site", "drop": ["site_copy"], "redundancy": 0.97}],
    "map": {"features": ["ad", "site", "site_copy"], "percent": [[], [12], [9, 97]]},
}


def windows(minutes: range, **given: Any) -> dict[str, Any]:
    """Records of windows by key."""
    return {f"clicks/{START_US + minute * MINUTE_US}": window(minute, **given) for minute in minutes}


def alert(minute: int, incident: str, evidence: Mapping[str, Any], subject: str = "site") -> Any:
    """An alert of the rule `feature_nulls`."""
    finding = Finding(
        rule="feature_nulls",
        subject=subject,
        severity="warning",
        value=0.5,
        threshold=0.1,
        baseline=0.0,
        message="half of it is gone",
        evidence=dict(evidence),
    )
    start_us = START_US + minute * MINUTE_US
    return raise_alert(finding, "clicks", start_us, start_us + MINUTE_US, incident)

"""`sparsewatch status`: before the first run, behind an incident, and behind its topic."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sparsewatch.pipelines.status.command import status, status_lines
from sparsewatch.pipelines.status.status import Status
from sparsewatch.testing import FakeBroker
from tests.kit.watched_jobs import WatchedJob


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedJob]:
    with FakeBroker() as broker:
        watched = WatchedJob(broker, tmp_path)
        watched.settings = ["incidents.resolve_after=6"]
        yield watched


def shown(watched: WatchedJob, *options: str) -> str:
    return watched.asked(status, str(watched.file), *options)


def standing(**others: Any) -> Status:
    """A job behind its second window, with nothing wrong."""
    values: dict[str, Any] = {
        "job": "j",
        "topic": "t",
        "instance": None,
        "windows": 2,
        "closed_end_us": 3_600_000_000,
        "counted": 0,
        "rejected": 0,
        "late": 0,
        "lost": 0,
        "lag": {},
        "silent_us": 0,
        "learned": {},
        "baseline": None,
        "firing": [],
    }
    return Status(**{**values, **others})


def test_a_job_that_never_ran_says_so(watched: WatchedJob) -> None:
    watched.send(range(2))
    lines = shown(watched).splitlines()
    assert lines == [
        "job        clicks, reads 'clicks'",
        "run by     nobody yet",
        "windows    none closed yet",
        "records    0 read = 0 counted + 0 rejected + 0 late",
        "behind     40 records at most: 20 in partition 0, 20 in partition 1",
        "compares   with nothing of its own yet: it is learning",
        "incidents  none fires",
    ]


def test_what_a_model_finds_as_usual_is_named() -> None:
    found = standing(learned={"wafers.model": "models/fab"}, usual=["novel_pattern wafers"])
    line = "usual      novel_pattern wafers: found in the last window as in those before, and not told"
    assert line in list(status_lines(found, 0.0))


def test_what_fires_is_shown_and_what_is_over_is_not(watched: WatchedJob) -> None:
    watched.send(range(3))
    watched.send(range(3, 5), broken=12)
    watched.send(range(5, 6))
    watched.run()
    found = json.loads(shown(watched, "--json"))
    [firing] = found["firing"]
    assert (firing["id"], firing["rule"], firing["severity"]) == ("clicks-1", "rejects_high", "warning")
    assert found["counted"] + found["rejected"] == 6 * 20 == 120
    assert found["rejected"] == 24
    assert found["lag"] == {"0": 0, "1": 0}
    said = shown(watched)
    assert "behind     nothing is unread" in said
    assert "incidents  1 incident firing" in said
    assert "rejects_high stream" in said
    watched.send(range(6, 12))
    behind = json.loads(shown(watched, "--json"))
    assert behind["lag"] == {"0": 60, "1": 60}
    watched.run()
    assert "incidents  none fires" in shown(watched)
    assert "run by     process" in shown(watched)


def test_the_furthest_behind_and_the_losses_are_named() -> None:
    found = standing(
        counted=1_000,
        rejected=20,
        late=3,
        lost=7,
        lag={0: 1, 1: 0, 2: 5_000, 3: 9, 4: 2},
        silent_us=600_000_000,
        learned={"checks.reference": "models/reference"},
    )
    lines = list(status_lines(found, 3 * 3_600.0))
    assert lines[2] == "windows    2 closed, the last ended 1970-01-01 01:00:00 UTC, 2 h ago"
    assert lines[3].endswith("1,023 read = 1,000 counted + 20 rejected + 3 late; up to 7 lost before they were read")
    behind = "5,000 in partition 2, 9 in partition 3, 2 in partition 4 and 1 other partition"
    assert lines[4] == f"behind     5,012 records at most: {behind}"
    assert lines[5] == "compares   with checks.reference 'models/reference'"
    assert lines[6] == "silent     no event for 10 min"


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ((0, 0), "with nothing of its own yet: it is learning"),
        ((5, 12), "with nothing of its own yet: it is learning, 5 of 12 windows so far"),
        ((24, 12), "with its last 24 windows in which nothing was wrong"),
    ],
)
def test_what_a_job_has_learned_is_said(baseline: tuple[int, int], said: str) -> None:
    found = Status(
        job="j",
        topic="t",
        instance=None,
        windows=0,
        closed_end_us=None,
        counted=0,
        rejected=0,
        late=0,
        lost=0,
        lag={},
        silent_us=0,
        learned={},
        baseline=baseline,
        firing=[],
    )
    assert list(status_lines(found, 0.0))[5] == f"compares   {said}"

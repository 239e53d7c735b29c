"""Wafers without a fault are drawn by lots, dealt into windows, and judged by the job's own code."""

from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from benchmarks import decisions_wafers
from benchmarks.decisions_wafers import Wafers, clean_wafers, is_confirmed, learned_of, lots, opened
from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.schemas.alerts import Alert, Finding, raise_alert
from tests.kit.wafer_models import fresh_wafers, tiny_model


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six windows of ten wafers, and a model that takes a second to train."""
    wafers = fresh_wafers("center", 60)
    monkeypatch.setattr(decisions_wafers, "_drawn", lambda _part, _a_window: (tiny_model(), wafers, ["center"] * 60))


def windows_of(folder: Path, *, is_shuffled: bool) -> list[list[str]]:
    wafers = Wafers("drawn", "choose", 10, is_shuffled=is_shuffled, folder=folder)
    return [
        [wafer.wafer_id for wafer in WaferCounts.from_bytes(window.state).looking_novel]
        for window in wafers.windows(wafers.job().job)
    ]


def test_shares_of_patterns_lean_from_lot_to_lot() -> None:
    labels = lots(np.random.default_rng(1), 40, 100)
    assert len(labels) == 4_000
    shares = Counter(labels)
    assert 0.6 < shares["normal"] / 4_000 < 0.9
    rings = np.array([labels[at : at + 25].count("edge_ring") for at in range(0, 4_000, 25)])
    # More than a binomial count of each lot would vary.
    assert rings.var() > 1.2 * rings.mean()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("aabbaabb", 4),
        ("aaaaaaab", 8),  # One wafer of a pattern is all there is of it.
        ("aaaaaabaabab", 10),
        ("aab", 3),
    ],
)
def test_real_wafers_are_learned_until_some_of_each_pattern_are_among_them(labels: str, expected: int) -> None:
    assert learned_of(list(labels), first=4, of_each=2) == expected


@pytest.mark.usefixtures("few")
def test_each_wafer_is_recognised_once_in_its_window(tmp_path: Path) -> None:
    wafers = Wafers("drawn", "choose", 10, is_shuffled=False, folder=tmp_path)
    windows = list(wafers.windows(wafers.job().job))
    assert [window.rows for window in windows] == [10] * 6 == [window.results for window in windows]
    assert [WaferCounts.from_bytes(window.state).wafers for window in windows] == [10] * 6


@pytest.mark.usefixtures("few")
def test_wafers_that_are_shuffled_are_the_same_in_other_windows(tmp_path: Path) -> None:
    in_order, dealt = (windows_of(tmp_path / str(shuffled), is_shuffled=shuffled) for shuffled in (False, True))
    assert sorted(chain.from_iterable(in_order)) == sorted(chain.from_iterable(dealt))
    assert in_order != dealt


@pytest.mark.usefixtures("few")
def test_the_job_judges_each_window_and_a_larger_budget_opens_no_less(tmp_path: Path) -> None:
    wafers = Wafers("drawn", "choose", 10, is_shuffled=False, folder=tmp_path)
    assert (found := clean_wafers(wafers)).windows == found.compared == 6
    incidents, windows = opened(wafers, (0.1, 1.0, 10.0))
    assert windows == 6
    assert incidents[1.0] == found.incidents
    assert incidents[0.1] <= incidents[1.0] <= incidents[10.0]


def alert(subject: str, evidence: dict[str, object]) -> Alert:
    found = Finding(
        rule="r", subject=subject, severity="info", value=1, threshold=1, baseline=0, message="", evidence=evidence
    )
    return raise_alert(found, "fab", 0, 1)


@pytest.mark.parametrize(
    ("subject", "evidence", "confirmed"),
    [
        # Two of the three wafers that it names show something.
        ("P1", {"wafers": [{"wafer_id": name} for name in ("a", "g", "h")]}, True),
        ("P1", {"wafers": [{"wafer_id": name} for name in ("a", "b", "h")]}, False),
        # A quarter of the wafers before, two of four now; none before, one now.
        ("Loc", {"wafers": 2}, False),
        ("Donut", {"wafers": 1}, True),
        ("Scratch", {"wafers": 0}, False),
    ],
)
def test_labels_confirm_what_more_wafers_show_than_before(
    subject: str, evidence: dict[str, object], confirmed: bool
) -> None:
    patterns = ["none", "none", "none", "Loc", "none", "Donut", "Loc", "Loc"]
    assert is_confirmed(alert(subject, evidence), dict(zip("abcdefgh", patterns, strict=True)), 4) is confirmed

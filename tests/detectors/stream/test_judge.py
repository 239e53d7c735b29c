"""Volume by the job's own windows, and what is set aside: limits, evidence, and what is learned."""

import pytest

from sparsewatch.detectors.stream.judge import StreamWindow, judge, with_preface
from sparsewatch.detectors.stream.own_volume import MOST_WINDOWS
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.set_aside import Ack, Shown
from sparsewatch.schemas.stream_history import StreamHistory

SETTINGS = StreamThresholds()
SHOWN = Shown("reject", "bad_label", "clicks", 3, 17, "column 'click': expected 0 or 1, got 7", '{"click": 7}')


def window(place: int, rows: int = 0, *, complete: bool = True, **aside: int) -> StreamWindow:
    return StreamWindow(
        start_us=place * 60_000_000,
        end_us=(place + 1) * 60_000_000,
        complete=complete,
        account=Account(counted=rows, **aside),
        events=rows + sum(aside.values()),
        acks=Ack(reasons={"bad_label": aside["rejected"]}, shown=(SHOWN,)) if "rejected" in aside else Ack(),
    )


def after(*rows: int) -> StreamHistory:
    """The history of a stream of such windows."""
    history = StreamHistory()
    for place, number in enumerate(rows):
        _, history = judge(window(place, number), history, Account(), SETTINGS)
    return history


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


STEADY = after(*[300, 310, 290, 305] * 8)


@pytest.mark.parametrize("rows", [0, 1, 72])
def test_low_volume_is_odd_at_zero_as_at_a_quarter(rows: int) -> None:
    findings, _ = judge(window(32, rows), STEADY, Account(), SETTINGS)
    assert rules(findings) == ["volume_low"]
    assert findings[0].value == rows
    assert findings[0].evidence == {
        "baseline_kind": "last windows",
        "windows": 32,
        "left_out": 0,
        "least": 290,
        "most": 310,
    }


def test_volume_as_before_a_short_history_and_a_window_that_may_lack_rows_are_not_odd() -> None:
    assert judge(window(32, 280), STEADY, Account(), SETTINGS)[0] == []
    assert judge(window(32, 0, complete=False), STEADY, Account(), SETTINGS)[0] == []
    assert judge(window(9, 0), after(*[300] * 9), Account(), SETTINGS)[0] == []
    assert judge(window(32, 0), STEADY, Account(), SETTINGS, own_volume=False)[0] == []


def test_empty_windows_are_no_finding_where_the_stream_often_has_them() -> None:
    sparse = after(*[300, 0, 310, 290] * 16)
    assert judge(window(64, 0), sparse, Account(), SETTINGS)[0] == []
    assert rules(judge(window(64, 20), sparse, Account(), SETTINGS)[0]) == ["volume_low"]


@pytest.mark.parametrize("bad", [20, 5_000])
@pytest.mark.parametrize("place", [0, 11, 19])
def test_a_bad_window_learned_among_the_first_hides_no_later_one(place: int, bad: int) -> None:
    rows = [300, 310, 290, 305] * 5
    rows[place] = bad
    findings, _ = judge(window(20, 72), after(*rows), Account(), SETTINGS)
    assert rules(findings) == ["volume_low"]
    assert findings[0].evidence == {
        "baseline_kind": "last windows",
        "windows": 19,
        "left_out": 1,
        "least": 290,
        "most": 310,
    }
    assert judge(window(20, 280), after(*rows), Account(), SETTINGS)[0] == []


@pytest.mark.parametrize("bad", [20, 5_000])
def test_a_bad_first_hour_hides_nothing_once_three_good_ones_have_followed(bad: int) -> None:
    history = after(*[bad] * 12, *[300, 310, 290, 305] * 9)
    findings, _ = judge(window(48, 72), history, Account(), SETTINGS)
    assert rules(findings) == ["volume_low"]
    assert findings[0].evidence == {
        "baseline_kind": "last windows",
        "windows": 36,
        "left_out": 12,
        "least": 290,
        "most": 310,
    }


def test_a_low_volume_that_comes_again_is_the_streams_own() -> None:
    history = after(*[300, 310, 290, 305, 302, 60] * 8)
    assert judge(window(48, 60), history, Account(), SETTINGS)[0] == []
    evening = after(*[60] * 12, *[300, 310, 290, 305] * 6, *[60] * 12, *[300, 310, 290, 305] * 3)
    assert judge(window(60, 60), evening, Account(), SETTINGS)[0] == []


def test_odd_windows_are_not_learned_until_they_have_lasted() -> None:
    history, odd = STEADY, 0
    for place in range(32, 32 + 2 * MOST_WINDOWS):
        findings, history = judge(window(place, 30), history, Account(), SETTINGS)
        odd += len(findings)
    assert odd == MOST_WINDOWS
    assert set(history.rows) == {30}
    assert set(judge(window(200, 0), STEADY, Account(), SETTINGS)[1].rows) == {290, 300, 305, 310}


def test_many_rejects_are_told_with_reasons_and_a_sample() -> None:
    findings, _ = judge(window(32, 165, rejected=135), STEADY, Account(counted=9_900, rejected=100), SETTINGS)
    [finding] = [finding for finding in findings if finding.rule == "rejects_high"]
    assert (finding.severity, finding.value, finding.threshold, finding.baseline) == ("warning", 0.45, 0.05, 0.01)
    assert finding.message == "135 of 300 events are rejects (45.0%): bad_label 135"
    assert finding.evidence["reasons"] == {"bad_label": 135}
    assert finding.evidence["sample"] == [
        {
            "reason": "bad_label",
            "topic": "clicks",
            "partition": 3,
            "offset": 17,
            "message": "column 'click': expected 0 or 1, got 7",
            "head": '{"click": 7}',
        }
    ]


def test_all_rejected_is_critical_and_few_are_nothing() -> None:
    [finding] = judge(window(0, rejected=300), StreamHistory(), Account(), SETTINGS)[0]
    assert (finding.rule, finding.severity, finding.value) == ("rejects_high", "critical", 1.0)
    assert judge(window(0, 1, rejected=9), StreamHistory(), Account(), SETTINGS)[0] == []
    assert judge(window(0, 2_000, rejected=90, late=90), StreamHistory(), Account(), SETTINGS)[0] == []


def test_many_late_events_are_told() -> None:
    [finding] = judge(window(0, 100, late=50), StreamHistory(), Account(), SETTINGS)[0]
    assert (finding.rule, finding.severity, round(finding.value, 3)) == ("late_high", "warning", 0.333)


def test_what_came_before_the_first_window_is_judged_with_it() -> None:
    history = with_preface(StreamHistory(), 40, Ack(rejected=40, reasons={"broken_json": 40}))
    [finding], history = judge(window(0, 60), history, Account(), SETTINGS)
    assert finding.message == "40 of 100 events are rejects (40.0%): broken_json 40"
    assert judge(window(1, 60), history, Account(), SETTINGS)[0] == []

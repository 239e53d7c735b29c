"""Silences: odd where the stream's own history has none like them, one alert an episode, and habits are learned."""

from collections.abc import Iterable

import numpy as np
import pytest

from sparsewatch.detectors.stream.judge import StreamWindow, judge
from sparsewatch.detectors.stream.silence import MOST_SILENCES, REACH_US
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.stream_history import StreamHistory
from sparsewatch.schemas.units import DAY_US

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
#: A Monday, midnight.
MONDAY_US = 1_767_571_200_000_000


def play(
    rows: Iterable[int],
    history: StreamHistory | None = None,
    *,
    length_us: int = 5 * MINUTE_US,
    begin_us: int = MONDAY_US,
) -> tuple[list[tuple[int, Finding]], StreamHistory]:
    """Windows of so many rows, one after the other: `no_data` with the window that raised it, and the history."""
    history, found = history or StreamHistory(), []
    for i, number in enumerate(rows):
        start = begin_us + i * length_us
        window = StreamWindow(
            start_us=start,
            end_us=start + length_us,
            complete=True,
            account=Account(counted=number),
            events=number,
            acks=Ack(),
        )
        findings, history = judge(window, history, Account(), StreamThresholds(), own_volume=False)
        found += [(i, finding) for finding in findings if finding.rule == "no_data"]
    return found, history


def test_a_steady_stream_that_dies_is_odd_in_its_second_empty_window() -> None:
    [(at, finding)], _ = play([300] * 40 + [0] * 3)
    assert at == 41
    assert (finding.severity, finding.value, finding.threshold) == ("critical", 2, 2)
    assert finding.message == (
        "no event for 10m: 2 windows in a row; before, 0 of 40 windows with rows were followed by a window without"
    )
    assert finding.evidence["silent_us"] == 10 * MINUTE_US


def test_one_silence_alerts_at_growing_distances() -> None:
    found, _ = play([300] * 40 + [0] * 200)
    assert [finding.value for _, finding in found] == [2, 8, 32, 128]


def test_a_young_stream_needs_more_empty_windows() -> None:
    [(at, _)], _ = play([300] * 5 + [0] * 6)
    assert at == 5 + 3


def test_a_stream_that_never_had_a_row_is_not_silent() -> None:
    assert play([0] * 500)[0] == []


def day(*, quiet: range, rows: int = 50) -> list[int]:
    """Windows of 5 minutes of a day, with none in the quiet hours."""
    return [0 if i // 12 in quiet else rows for i in range(288)]


def test_quiet_nights_alert_twice_at_most_and_the_same_silence_at_noon_does() -> None:
    night = day(quiet=range(1, 7))
    found, history = play(night * 2)
    assert {at // 288 for at, _ in found} == {0, 1}
    found, history = play(night * 10, history, begin_us=MONDAY_US + 2 * DAY_US)
    assert found == []
    noon = [0 if i >= 12 * 12 else n for i, n in enumerate(night)]
    found, _ = play(noon, history, begin_us=MONDAY_US + 12 * DAY_US)
    assert [at for at, _ in found][:1] == [12 * 12 + 1]


def test_a_night_that_does_not_end_is_odd_once_it_is_half_as_long_again() -> None:
    _, history = play(day(quiet=range(1, 7)) * 5)
    [(at, finding), *_], _ = play([50] * 12 + [0] * 150, history, begin_us=MONDAY_US + 5 * DAY_US)
    assert at == 12 + 72 * 3 // 2
    assert finding.baseline == 72


def test_quiet_weekends_are_learned() -> None:
    week = day(quiet=range(0)) * 5 + day(quiet=range(24)) * 2
    found, history = play(week * 3)
    assert {at // (7 * 288) for at, _ in found} == {0, 1}
    assert play(week, history, begin_us=MONDAY_US + 21 * DAY_US)[0] == []


def test_an_incident_is_no_habit() -> None:
    steady = day(quiet=range(0))
    incident = day(quiet=range(12, 15))
    _, history = play(steady + incident + steady)
    [(at, _), *_], _ = play(incident, history, begin_us=MONDAY_US + 3 * DAY_US)
    assert at == 12 * 12 + 1


def test_silences_at_any_time_of_day_are_the_streams_own() -> None:
    rng = np.random.default_rng(3)
    days = []
    for _ in range(20):
        hour = int(rng.integers(0, 22))
        days += day(quiet=range(hour, hour + 2))
    found, _ = play(days)
    assert max(at // 288 for at, _ in found) < 8


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_a_sparse_stream_rarely_alerts_by_chance(share: float) -> None:
    rng = np.random.default_rng(11)
    rows = (rng.random(20_000) > share).astype(int).tolist()
    found, history = play(rows)
    # A chance of 0.001 at each of its silences, less those that are a habit.
    assert len(found) <= 0.001 * 20_000 * share + 3
    assert len(history.earlier) <= MOST_SILENCES


def test_silences_are_forgotten_and_a_window_of_rejects_is_none() -> None:
    _, history = play(day(quiet=range(3, 5)) * 2)
    assert len(history.earlier) == 2
    later = MONDAY_US + REACH_US + 10 * DAY_US
    _, history = play([50, 0, 50], history, begin_us=later)
    assert [silence.windows for silence in history.earlier] == [1]
    window = StreamWindow(
        start_us=later + HOUR_US,
        end_us=later + 2 * HOUR_US,
        complete=True,
        account=Account(rejected=9),
        events=9,
        acks=Ack(),
    )
    _, history = judge(window, history, Account(), StreamThresholds())
    assert history.silent_since_us is None


def test_a_window_that_may_lack_rows_raises_nothing() -> None:
    _, history = play([300] * 40)
    window = StreamWindow(
        start_us=MONDAY_US + 40 * 5 * MINUTE_US,
        end_us=MONDAY_US + 400 * 5 * MINUTE_US,
        complete=False,
        account=Account(),
        events=0,
        acks=Ack(),
    )
    assert judge(window, history, Account(), StreamThresholds())[0] == []


def test_no_chance_raises_no_alert() -> None:
    _, history = play([300] * 40)
    window = StreamWindow(
        start_us=MONDAY_US, end_us=MONDAY_US + 400 * MINUTE_US, complete=True, account=Account(), events=0, acks=Ack()
    )
    never = StreamThresholds(silence_chance=0)
    assert judge(window, history, Account(), never, own_volume=False)[0] == []

"""Volume by the hours of a job's own stream: learned from scratch, window by window."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from sparsewatch.detectors.stream.judge import StreamWindow, judge
from sparsewatch.detectors.stream.own_volume import LAST_WINDOWS, MOST_WINDOWS
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.stream_history import StreamHistory
from sparsewatch.schemas.units import DAY_US, HOUR_US

SETTINGS = StreamThresholds()
#: A Monday.
MONDAY_US = 20_458 * DAY_US
Level = Callable[[float, int], float]


def cycle(hour: float, day: int) -> float:
    """1 to 5, the peak at 15 o'clock."""
    return float(1 + 2 / 3 * np.sin(2 * np.pi * (hour - 9) / 24))


def steps(hour: float, day: int) -> float:
    return 1.0 if 17 <= hour < 22 else 0.2 if hour < 6 else 0.5


def weekends(hour: float, day: int) -> float:
    return cycle(hour, day) * (0.35 if day % 7 >= 5 else 1)


def steady(hour: float, day: int) -> float:
    return 1.0


class Job:
    """A stream and what its job learned of it."""

    def __init__(self, level: Level, minutes: int = 60) -> None:
        self.level, self.length_us = level, minutes * 60_000_000
        self.rng = np.random.default_rng(minutes)
        self.now_us = MONDAY_US
        self.history = StreamHistory()

    def rows(self) -> int:
        since = self.now_us - MONDAY_US
        level = self.level(since % DAY_US / HOUR_US, since // DAY_US)
        return int(self.rng.poisson(900 * level * np.exp(0.05 * self.rng.standard_normal())))

    def judged(self, rows: int) -> tuple[list[Finding], StreamHistory]:
        window = StreamWindow(
            start_us=self.now_us,
            end_us=self.now_us + self.length_us,
            complete=True,
            account=Account(counted=rows),
            events=rows,
            acks=Ack(),
        )
        return judge(window, self.history, Account(), SETTINGS)

    def run(self, days: float, *, left: float = 1.0) -> list[Finding]:
        """Live on for some days; returns all findings."""
        found = []
        for _ in range(round(days * DAY_US / self.length_us)):
            findings, self.history = self.judged(round(left * self.rows()))
            found += findings
            self.now_us += self.length_us
        return found

    def losses_found(self, left: float, hours: range) -> list[bool]:
        """Whether a window that lost rows, at each of these hours of a day, would be found; the day is lived."""
        found = []
        for hour in range(24):
            if hour in hours:
                findings, _ = self.judged(max(1, round(left * self.rows())))
                found.append([finding.rule for finding in findings] == ["volume_low"])
            self.run(1 / 24)
        return found


@pytest.mark.parametrize("level", [cycle, steps, weekends, steady])
@pytest.mark.parametrize("minutes", [15, 60])
def test_no_clean_window_is_odd(level: Level, minutes: int) -> None:
    assert Job(level, minutes).run(22) == []


@pytest.mark.parametrize(
    ("left", "hours"),
    [(0.35, range(13, 18)), (0.05, range(6)), (0, range(24))],
    ids=["peak", "night", "a row a window"],
)
def test_a_loss_within_the_day_is_found_once_a_week_is_known(left: float, hours: range) -> None:
    job = Job(cycle)
    job.run(9)
    assert all(job.losses_found(left, hours))


def test_hours_excuse_what_is_low_by_the_last_windows_from_the_third_day_on() -> None:
    job = Job(steps, minutes=5)
    first = job.run(2)
    assert {finding.evidence["baseline_kind"] for finding in first} == {LAST_WINDOWS}
    job.run(1)
    assert job.run(3) == []


def test_a_finding_says_what_was_expected_at_the_hour() -> None:
    job = Job(cycle)
    job.run(9 + 15 / 24)
    [finding] = job.judged(300)[0]
    assert finding.evidence["baseline_kind"] == "hour of day"
    assert finding.baseline == pytest.approx(1_500, rel=0.1)
    assert finding.evidence["least"] < finding.baseline < finding.evidence["most"]
    expected = f"300 rows in the window, {finding.baseline:,.0f} expected at this hour of day, on average over 8 days"
    assert finding.message == expected


def test_a_steady_stream_is_compared_with_its_last_windows() -> None:
    job = Job(steady)
    job.run(10)
    [finding] = job.judged(100)[0]
    assert finding.evidence["baseline_kind"] == LAST_WINDOWS


def test_a_loss_is_not_learned_and_one_that_stays_begins_anew() -> None:
    job = Job(cycle)
    job.run(9)
    before = job.history
    assert len(job.run(1, left=0.1)) == 24
    assert (job.history.hours, job.history.quarters) == (before.hours, before.quarters)
    job.run((MOST_WINDOWS - 24) / 24, left=0.1)
    assert job.history.hours == ()
    assert len(job.history.rows) == 1


def test_a_history_of_an_earlier_release_is_read_and_learned_on() -> None:
    old = msgspec.json.decode(b'{"full": 40, "rows": [900, 910, 890, 905, 900]}', type=StreamHistory)
    job = Job(cycle)
    job.history = old
    assert job.run(10) == []
    assert len(job.history.hours) == 24


@pytest.mark.parametrize("minutes", [5, 60])
def test_a_history_stays_small(minutes: int) -> None:
    job = Job(cycle, minutes)
    job.run(12)
    assert len(job.history.expected) == MOST_WINDOWS
    assert len(msgspec.json.encode(job.history)) < 4_096
    assert msgspec.json.decode(msgspec.json.encode(job.history), type=StreamHistory) == job.history

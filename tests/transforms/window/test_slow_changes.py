"""Evidence on slow changes lies in the progress of a job."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from sparsewatch.schemas.accounts import PROGRESS, Account, Marker, Progress
from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.jobs import JobIdentity, KafkaSettings, Topics
from sparsewatch.schemas.slow_changes import Observation, Observed
from sparsewatch.schemas.units import HOUR_US
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.in_memory import DecideInOrder, Remembered
from sparsewatch.transforms.window.measure import Conclusion, Window

DECIDE = DecideInOrder(
    JobIdentity(
        job="clicks",
        settings_digest="0123456789abcdef",
        kafka=KafkaSettings(bootstrap_servers=["localhost:9092"]),
        topics=Topics(source="t", prefix="clicks"),
    )
)
ROWS, RATE = 500, 0.1


def closed(number: int, clicks: int) -> Closed:
    """A window of an hour with so many clicks."""
    start_us = number * HOUR_US
    share = Observation("click_rate_shift", "stream", clicks, ROWS, RATE, 0.003, 0.0, 0.0005, 336, 1e-3)
    marker = Marker(
        reader=0,
        sequence=number,
        window_us=start_us,
        window_end_us=start_us + HOUR_US,
        account=Account(counted=ROWS),
        resume={},
        events=ROWS,
    )
    conclusion = Conclusion(rows=ROWS, observed=Observed((share,), {"kind": "fixed"}))
    return Closed(Window(start_us, start_us + HOUR_US), (marker,), conclusion)


@pytest.fixture(scope="module")
def windows() -> list[Closed]:
    rng = np.random.default_rng(0)
    rates = [RATE] * 4 + [0.7 * RATE] * 10 + [RATE] * 8
    return [closed(at, int(rng.binomial(ROWS, rate))) for at, rate in enumerate(rates, start=1)]


def decided(windows: list[Closed], before: Remembered | None = None) -> tuple[list[list[Alert]], Remembered]:
    alerts, remembered = [], before or DECIDE.first
    for window in windows:
        found, remembered = DECIDE(remembered, window)
        alerts.append(found.raised.alerts)
    return alerts, remembered


def test_a_job_that_begins_again_at_its_progress_decides_the_same(windows: list[Closed]) -> None:
    whole, last = decided(windows)
    told = [at for at, alerts in enumerate(whole) if alerts]
    assert told[0] > 5
    for cut in (told[0], told[0] + 1, told[-1]):
        _, before = decided(windows[:cut])
        stored = PROGRESS.parse(msgspec.json.encode(before.books.progress), Progress)
        again = replace(before, books=msgspec.structs.replace(before.books, progress=stored))
        rest, end = decided(windows[cut:], again)
        assert rest == whole[cut:]
        assert end.books.progress.watched == last.books.progress.watched


def test_a_window_that_nothing_is_observed_of_changes_nothing(windows: list[Closed]) -> None:
    _, before = decided(windows[:7])
    assert before.books.progress.watched
    cut_off = msgspec.structs.replace(windows[7], conclusion=Conclusion(rows=ROWS))
    _, after = decided([cut_off], before)
    assert after.books.progress.watched == before.books.progress.watched

"""What the demo writes: numbers stated are numbers sent, and both streams keep one pace."""

import time

import pytest

from sparsewatch.pipelines.demo.clicks import STREAM as CLICKS
from sparsewatch.pipelines.demo.clicks import WINDOW_US, Clicks
from sparsewatch.pipelines.demo.fab import STREAM as WAFERS
from sparsewatch.pipelines.demo.fab import WINDOW_US as WAFER_WINDOW_US
from sparsewatch.pipelines.demo.fab import Fab
from sparsewatch.pipelines.demo.stream import Published, publish_live
from sparsewatch.testing import FakeBroker, SimulatedClock
from sparsewatch.transforms.codecs.arrow import read_arrow

START_US = 1_760_000_400_000_000
WINDOWS = 16


@pytest.fixture
def streams() -> tuple[Clicks, Fab]:
    return Clicks(3, START_US, WINDOWS, 60), Fab(3, START_US, WINDOWS * WINDOW_US // WAFER_WINDOW_US, 30)


def test_numbers_stated_are_numbers_sent(streams: tuple[Clicks, Fab]) -> None:
    broker, done = FakeBroker(partitions=3), Published()
    assert list(publish_live(broker.writer(), *streams, 0.0, done)) == list(range(1, WINDOWS + 1))
    of_clicks = [value or b"" for value in broker.values(CLICKS)]
    assert done.clicks.read == len(of_clicks)
    assert done.clicks.rejected == sum(not value.endswith(b"}") for value in of_clicks)
    batches = [record.value for record in broker.records(WAFERS) if record.headers]
    broken = [record.value for record in broker.records(WAFERS) if not record.headers]
    assert done.wafers.counted == sum(read_arrow(value or b"").num_rows for value in batches) == 4 * 30
    assert done.wafers.rejected == len(broken) > 0


def test_the_end_of_each_window_is_known_once_it_is_durable(streams: tuple[Clicks, Fab]) -> None:
    broker, done = FakeBroker(partitions=3), Published()
    before = time.time()
    for written in publish_live(broker.writer(), *streams, 0.0, done):
        sent = [call for call in broker.calls if call.name == "send"]
        assert len(broker.records(CLICKS) + broker.records(WAFERS)) == len(sent)
        at = done.written(START_US + written * WINDOW_US)
        assert at is not None
        assert before <= at <= time.time()
        assert done.written(START_US + (written + 1) * WINDOW_US) is None


def test_the_pace_is_kept(streams: tuple[Clicks, Fab]) -> None:
    done, clock = Published(), SimulatedClock(start_us=0)
    writer = FakeBroker(partitions=3).writer()
    for _ in publish_live(writer, *streams, 0.02, done, clock=clock, sleep=clock.advance):
        pass
    assert clock() == pytest.approx(WINDOWS * 0.02)
    assert done.seconds == pytest.approx(WINDOWS * 0.02)


def test_a_pause_of_the_caller_is_not_made_up_for(streams: tuple[Clicks, Fab]) -> None:
    done, clock = Published(), SimulatedClock(start_us=0)
    writer = FakeBroker(partitions=3).writer()
    writing = publish_live(writer, *streams, 0.05, done, clock=clock, sleep=clock.advance)
    next(writing)
    clock.advance(0.5)
    resumed = clock()
    for _ in range(5):
        next(writing)
    assert clock() - resumed == pytest.approx(5 * 0.05)
    assert done.seconds == pytest.approx(6 * 0.05)

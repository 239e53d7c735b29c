"""What the demo writes: numbers stated are numbers sent, and both streams keep one pace."""

import time

import pytest

from sparsewatch.pipelines.demo.clicks import STREAM as CLICKS
from sparsewatch.pipelines.demo.clicks import WINDOW_US, Clicks
from sparsewatch.pipelines.demo.fab import STREAM as WAFERS
from sparsewatch.pipelines.demo.fab import WINDOW_US as WAFER_WINDOW_US
from sparsewatch.pipelines.demo.fab import Fab
from sparsewatch.pipelines.demo.stream import Published, publish_live
from sparsewatch.transforms.codecs.arrow import read_arrow
from sparsewatch.transforms.records import Headers

START_US = 1_760_000_400_000_000
WINDOWS = 16


class _Kept:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int | None, bytes, Headers]] = []
        self.flushed = 0

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        assert value is not None
        self.sent.append((topic, partition, value, headers))

    def flush(self) -> None:
        self.flushed = len(self.sent)

    def close(self) -> None:
        self.flush()


@pytest.fixture
def streams() -> tuple[Clicks, Fab]:
    return Clicks(3, START_US, WINDOWS, 60), Fab(3, START_US, WINDOWS * WINDOW_US // WAFER_WINDOW_US, 30)


def test_numbers_stated_are_numbers_sent(streams: tuple[Clicks, Fab]) -> None:
    writer, done = _Kept(), Published()
    assert list(publish_live(writer, *streams, 0.0, done)) == list(range(1, WINDOWS + 1))
    of_clicks = [value for topic, _, value, _ in writer.sent if topic == CLICKS]
    assert done.clicks.read == len(of_clicks)
    assert done.clicks.rejected == sum(not value.endswith(b"}") for value in of_clicks)
    batches = [value for topic, _, value, headers in writer.sent if topic == WAFERS and headers]
    broken = [value for topic, _, value, headers in writer.sent if topic == WAFERS and not headers]
    assert done.wafers.counted == sum(read_arrow(value).num_rows for value in batches) == 4 * 30
    assert done.wafers.rejected == len(broken) > 0


def test_the_end_of_each_window_is_known_once_it_is_durable(streams: tuple[Clicks, Fab]) -> None:
    writer, done = _Kept(), Published()
    before = time.time()
    for written in publish_live(writer, *streams, 0.0, done):
        assert writer.flushed == len(writer.sent)
        at = done.written(START_US + written * WINDOW_US)
        assert at is not None
        assert before <= at <= time.time()
        assert done.written(START_US + (written + 1) * WINDOW_US) is None


def test_the_pace_is_kept(streams: tuple[Clicks, Fab]) -> None:
    done, started = Published(), time.monotonic()
    for _ in publish_live(_Kept(), *streams, 0.02, done):
        pass
    assert time.monotonic() - started >= WINDOWS * 0.02


def test_a_pause_of_the_caller_is_not_made_up_for(streams: tuple[Clicks, Fab]) -> None:
    done = Published()
    writing = publish_live(_Kept(), *streams, 0.05, done)
    next(writing)
    before, started = done.seconds, time.monotonic()
    time.sleep(0.5)
    resumed = time.monotonic()
    for _ in range(5):
        next(writing)
    assert time.monotonic() - resumed >= 5 * 0.05
    assert done.seconds - before <= time.monotonic() - started - 0.5

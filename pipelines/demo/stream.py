"""The demo's streams into the broker, both at one pace: hours of event time in a minute."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl

from sparsewatch.pipelines.demo.clicks import STREAM as CLICKS
from sparsewatch.pipelines.demo.clicks import WINDOW_US, Clicks
from sparsewatch.pipelines.demo.fab import STREAM as WAFERS
from sparsewatch.pipelines.demo.fab import WINDOW_US as WAFER_WINDOW_US
from sparsewatch.pipelines.demo.fab import Fab
from sparsewatch.schemas.accounts import Account
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.codecs.decode import ARROW_TYPE
from sparsewatch.transforms.kafka.client import Admin, NewTopic, Writer

CLICK_PARTITIONS = 3
WAFER_PARTITIONS = 2
#: Wafers that cannot be used, in the whole stream.
_BROKEN_WAFER = b'{"wafer_id": "W-broken"'
_BROKEN_EVERY = 7


@dataclass
class Published:
    """What was written: the accounts must say the same."""

    clicks: Account = field(default_factory=Account)
    wafers: Account = field(default_factory=Account)
    #: When the last event of the window that ends at an event time had been written, by the clock.
    written_at: dict[int, float] = field(default_factory=dict)
    #: Spent here: what a caller does between windows is not counted.
    seconds: float = 0.0

    def written(self, window_end_us: int) -> float | None:
        """When the window's events had been written, None if they had not."""
        return self.written_at.get(window_end_us)


def publish_live(
    writer: Writer,
    clicks: Clicks,
    fab: Fab,
    pace_s: float,
    done: Published,
    *,
    admin: Admin | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[int]:
    """Write both streams window by window, `pace_s` seconds a window of clicks.

    Args:
        writer: Where to.
        clicks: The click stream.
        fab: The wafer stream, over the same event time.
        pace_s: Seconds by the clock for five minutes of event time.
        done: Filled as it goes on.
        admin: Makes the topic of clicks anew where that is planted; needed only then.
        clock: Rising seconds.
        sleep: Waits for so many of them.

    Yields:
        The number of windows written.
    """
    per_fab_window = WAFER_WINDOW_US // WINDOW_US
    wafers = pl.DataFrame()
    for window in range(clicks.windows):
        # From here, not from the first window: a caller that paused does not get a burst for it.
        started = clock()
        if window == clicks.recreated_before and admin is not None:
            admin.delete_topic(CLICKS)
            admin.create_topics([NewTopic(CLICKS, CLICK_PARTITIONS)])
        lines, late, broken = clicks.records(window)
        for i, line in enumerate(lines):
            writer.send(CLICKS, None, line, partition=i % CLICK_PARTITIONS)
        done.clicks += Account(counted=len(lines) - late - broken, late=late, rejected=broken)
        place = window % per_fab_window
        if place == 0:
            wafers = fab.window(window // per_fab_window)
        _send_wafers(writer, wafers, place, per_fab_window, done)
        if window % _BROKEN_EVERY == _BROKEN_EVERY - 1:
            writer.send(WAFERS, None, _BROKEN_WAFER, partition=0)
            done.wafers += Account(rejected=1)
        writer.flush()
        done.written_at[clicks.start_us + (window + 1) * WINDOW_US] = time.time()
        sleep(max(0.0, started + pace_s - clock()))
        done.seconds += clock() - started
        yield window + 1


def _send_wafers(writer: Writer, wafers: pl.DataFrame, place: int, places: int, done: Published) -> None:
    step = -(-wafers.height // places)
    due = wafers.slice(place * step, step)
    for partition in range(WAFER_PARTITIONS):
        part = due.gather_every(WAFER_PARTITIONS, partition)
        if part.height:
            value = encode_arrow(part.to_arrow(compat_level=pl.CompatLevel.oldest()))
            writer.send(WAFERS, None, value, [("content-type", ARROW_TYPE)], partition=partition)
    done.wafers += Account(counted=due.height)

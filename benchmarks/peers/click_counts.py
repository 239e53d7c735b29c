"""What the peers that count in Python share: the counts, and how a run is told.

Per window and feature each value's rows and clicks: the part of our job's work that its rankings begin with.
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

TIME, LABEL = "t", "click"
WINDOW_MS = 60_000
#: Rows that are decoded together.
BLOCK_ROWS = 16_384

#: By window and feature: value -> [rows, clicks].
Counts = dict[int, dict[str, dict[Any, list[int]]]]


class Stopwatch:
    """Seconds, and processor seconds of this process and those it started, since it last began."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew."""
        self._times, self._start = os.times(), time.perf_counter()

    def taken(self) -> tuple[float, float]:
        """Both until now."""
        return time.perf_counter() - self._start, sum(os.times()[:4]) - sum(self._times[:4])


class Counting:
    """Counts of events as they come, one at a time; `begin` is called with the first."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.counts: Counts = {}
        self.rows = 0
        self.clicks = 0

    def add(self, event: dict[str, Any]) -> None:
        """Count an event in its window."""
        if not self.rows:
            self._begin()
        window, click = event[TIME] // WINDOW_MS, event[LABEL]
        self.rows += 1
        self.clicks += click
        features = self.counts.setdefault(window, {})
        for name, value in event.items():
            if name in (TIME, LABEL):
                continue
            values = features.setdefault(name, {})
            entry = values.get(value)
            if entry is None:
                values[value] = [1, click]
            else:
                entry[0] += 1
                entry[1] += click


def timed(run: Callable[[Stopwatch], tuple[int, int]]) -> None:
    """Run, with a stopwatch that may be begun anew, and print rows, clicks and what they took."""
    watch = Stopwatch()
    rows, clicks = run(watch)
    seconds, processor_s = watch.taken()
    print(json.dumps({"rows": rows, "clicks": clicks, "seconds": seconds, "processor_s": processor_s}), flush=True)

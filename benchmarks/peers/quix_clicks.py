"""Counts of clicks in Python on Quix Streams: `python quix_clicks.py BOOTSTRAP TOPIC ROWS`.

The counts lie in this process's memory. As state of Quix they would be written to its store with every event.
"""

import os
import sys

from click_counts import Counting, Stopwatch, timed
from quixstreams import Application


def count(watch: Stopwatch, bootstrap: str, topic: str, rows: int) -> tuple[int, int]:
    """Rows and clicks counted, timed from the first event on."""
    counting = Counting(watch.begin)
    app = Application(
        broker_address=bootstrap,
        consumer_group=f"bench-{os.getpid()}",
        auto_offset_reset="earliest",
        loglevel="ERROR",
    )
    app.dataframe(app.topic(topic, value_deserializer="json")).update(counting.add)
    app.run(count=rows, collect=False)
    return counting.rows, counting.clicks


if __name__ == "__main__":
    timed(lambda watch: count(watch, sys.argv[1], sys.argv[2], int(sys.argv[3])))

"""Counts of clicks in Python on Bytewax: `python bytewax_clicks.py BOOTSTRAP TOPIC`.

It reads to the ends of the partitions. The counts lie in this process's memory, added up a batch of records at a time.
"""

import json
import sys
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from click_counts import Counting, Stopwatch, timed


def count(watch: Stopwatch, bootstrap: str, topic: str) -> tuple[int, int]:
    """Rows and clicks counted, timed from the first event on."""
    counting = Counting(watch.begin)

    def add(messages: list[Any]) -> list[Any]:
        for message in messages:
            counting.add(json.loads(message.value))
        return []

    flow = Dataflow("clicks")
    read = op.input("read", flow, KafkaSource([bootstrap], [topic], tail=False))
    op.output("nothing", op.flat_map_batch("count", read, add), TestingSink([]))
    run_main(flow)
    return counting.rows, counting.clicks


if __name__ == "__main__":
    timed(lambda watch: count(watch, sys.argv[1], sys.argv[2]))

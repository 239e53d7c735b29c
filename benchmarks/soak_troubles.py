"""What a broker and operators do to a job while it runs: the troubles of the soak.

Transactions are aborted all the time. At one moment each a partition is added, the broker is killed and started again,
and a second instance of the job is started, which the first must leave the job to.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable

import click
from confluent_kafka import KafkaException, Producer
from kafka.admin import KafkaAdminClient, NewPartitions

from tests.kit.services import KafkaBroker
from tests.kit.waiting import wait_for

_ABORT_EVERY_S = 1.5
_ABORTED_EVENTS = 20
#: Seconds that the broker is away.
_AWAY_S = 4.0
#: Seconds within which the first of two instances must have stopped.
_YIELD_S = 60.0


class Aborter(threading.Thread):
    """Writes events in transactions and aborts these, so that none of them may count.

    Args:
        bootstrap: The broker.
        topic: The job's source topic.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(daemon=True)
        self._broker = bootstrap
        self._topic = topic
        self._ended = threading.Event()
        #: Events written and aborted.
        self.events = 0

    def run(self) -> None:
        """Abort transactions until stopped; a broker that is away costs one transaction."""
        while not self._ended.wait(_ABORT_EVERY_S):
            producer = Producer(
                {
                    "bootstrap.servers": self._broker,
                    "transactional.id": "soak-aborted",
                    "transaction.timeout.ms": 10_000,
                    "compression.type": "lz4",
                    "log_level": 0,
                }
            )
            try:
                self._abort(producer)
            except KafkaException as error:  # The broker's restart is one of the troubles.
                click.echo(f"a transaction was not aborted by its writer: {error}")

    def _abort(self, producer: Producer) -> None:
        producer.init_transactions(20)
        producer.begin_transaction()
        for i in range(_ABORTED_EVENTS):
            event = {"t": round(time.time() * 1000), "ad": -1, "site": "aborted", "label": 1}
            producer.produce(self._topic, json.dumps(event).encode(), partition=i % 2)
        producer.flush(20)
        producer.abort_transaction(20)
        self.events += _ABORTED_EVENTS

    def stop(self) -> None:
        """Stop and wait for the last transaction."""
        self._ended.set()
        self.join()


def add_partition(bootstrap: str, topic: str, partitions: int) -> None:
    """Give a topic more partitions."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_partitions({topic: NewPartitions(total_count=partitions)})
    admin.close()
    click.echo(f"topic {topic} has {partitions} partitions now")


def restart(broker: KafkaBroker) -> None:
    """Kill the broker, start it again some seconds later."""
    broker.kill()
    time.sleep(_AWAY_S)
    broker.start()
    click.echo(f"the broker was killed and is back after {_AWAY_S:g} s and its start")


def second_instance(first: subprocess.Popen[bytes], start: Callable[[], subprocess.Popen[bytes]]) -> None:
    """Start the job once more; the first instance must end by itself, with an exit code that is not 0."""
    second = start()
    wait_for(lambda: first.poll() is not None, _YIELD_S, "the first of two instances stops")
    assert first.returncode not in (0, None), "the first instance ended as if nothing were wrong"
    assert second.poll() is None, "the second instance ended"
    click.echo(f"a second instance took over, the first ended with exit code {first.returncode}")

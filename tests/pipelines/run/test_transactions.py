"""A bounded run over a topic that others write in transactions: what they took back is not counted."""

import random
from pathlib import Path

import pytest

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.kit.transactions import Transaction

_START_MS = 1_767_225_600_000


def _clicks(number: int) -> list[bytes]:
    rng = random.Random(7)
    return [b'{"t": %d, "ad": 1, "label": %d}' % (_START_MS + 100 * i, rng.random() < 0.2) for i in range(number)]


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_aborted_and_open_transactions_are_not_counted(kafka_broker: KafkaBroker, tmp_path: Path, client: str) -> None:
    topic = f"run-of-transactions-{client}"
    create_topic(kafka_broker.bootstrap, topic)
    aborted, committed = (Transaction(kafka_broker.bootstrap, topic, f"{topic}-{i}") for i in range(2))
    produce(kafka_broker.bootstrap, topic, [(0, click) for click in _clicks(60)])
    aborted.write(_clicks(70))
    committed.write(_clicks(40))
    aborted.abort()
    committed.commit()
    still_open = Transaction(kafka_broker.bootstrap, topic, f"{topic}-2")
    still_open.write(_clicks(5))
    job = load_job(
        write_click_job(tmp_path, kafka_broker.bootstrap, topic, {"ad": "int", "label": "int"}),
        [f"kafka.client={client}"],
    )
    run_job(job, "latest", "inprocess", close_at_end=False)
    still_open.commit()
    # Only a later time closes the window, since a run that leaves windows open commits nothing of them.
    produce(kafka_broker.bootstrap, topic, [(0, b'{"t": %d, "ad": 1, "label": 0}' % (_START_MS + 300_000))])
    run_job(job, "latest", "inprocess")
    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=60 + 40 + 5 + 1)

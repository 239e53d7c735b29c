"""A continuous job on Prism whose topic gets a partition and is then deleted and made again."""

import json
import subprocess
import sys
import time
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import NewPartitions, NewTopic

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Progress
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.kit.waiting import wait_for

SPARSEWATCH = Path(sys.executable).parent / "sparsewatch"
WINDOWS = ["--set", "windows.length=2s", "--set", "windows.disorder=1s", "--set", "windows.idle_after=2s"]
TOPIC = "changes-live"


class Live:
    """The job, and events of now in its topic."""

    def __init__(self, bootstrap: str, job_file: Path, log: Path) -> None:
        self.bootstrap, self.log, self.sent = bootstrap, log, 0
        self.job = load_job(job_file, WINDOWS[1::2])
        with log.open("wb") as out:
            command = [str(SPARSEWATCH), "run", str(job_file), "--runner", "prism", *WINDOWS]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def send(self, partitions: int) -> None:
        """Ten events in each partition, of now."""
        for partition in range(partitions):
            now_ms = int(time.time() * 1000)
            events = [{"t": now_ms + i, "ad": i % 3, "label": int(i == 0)} for i in range(10)]
            produce(self.bootstrap, TOPIC, [(partition, json.dumps(event).encode()) for event in events])
            self.sent += len(events)

    def progress(self) -> Progress:
        assert self.process.poll() is None, self.log.read_text()
        found = load_job_progress(self.job)
        assert found is not None
        return found

    def go_on(self, partitions: int, windows: int, what: str) -> None:
        """Send events until all partitions are committed and so many windows more."""
        enough = self.progress().windows + windows

        def committed() -> bool:
            self.send(partitions)
            now = self.progress()
            return now.windows >= enough and len([p for p in now.partitions.values() if p.offset]) == partitions

        wait_for(committed, 90, what)


def recreate(admin: KafkaAdminClient) -> None:
    admin.delete_topics([TOPIC])
    wait_for(lambda: admin.describe_topics([TOPIC])[0]["error_code"] != 0, 20, "the topic is gone")
    admin.create_topics([NewTopic(TOPIC, 2, 1, topic_configs={"max.message.bytes": str(16 << 20)})])
    wait_for(lambda: admin.describe_topics([TOPIC])[0]["error_code"] == 0, 20, "the topic is there again")


def test_added_partitions_and_a_topic_made_anew_are_read_while_the_job_runs(
    prism_binary: Path, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    del prism_binary
    create_topic(kafka_broker.bootstrap, TOPIC)
    job_file = write_click_job(tmp_path, kafka_broker.bootstrap, TOPIC, {"ad": "int", "label": "int"})
    admin = KafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap)
    live = Live(kafka_broker.bootstrap, job_file, tmp_path / "log")
    try:
        wait_for(lambda: load_job_progress(live.job) is not None, 60, "the job has begun")
        live.go_on(1, 1, "a first window")
        admin.create_partitions({TOPIC: NewPartitions(2)})
        live.go_on(2, 2, "windows with the new partition")
        before = live.progress().partitions[0].topic_id
        wait_for(lambda: sum(p.high for p in live.progress().partitions.values()) == live.sent, 60, "all is read")
        recreate(admin)
        live.go_on(2, 2, "windows of the topic made anew")
        assert before not in {point.topic_id for point in live.progress().partitions.values()}
    finally:
        live.process.terminate()
        live.process.wait()
        admin.close()
    run_job(live.job, "latest", "inprocess")
    progress = load_job_progress(live.job)
    assert progress is not None
    assert (progress.totals.counted, progress.totals.late, progress.totals.lost) == (live.sent, 0, 0)
    alerts = newest_by_key(read_all(kafka_broker.bootstrap, f"{TOPIC}.alerts"))
    assert [alert["rule"] for alert in alerts.values()].count("source_recreated") == 1

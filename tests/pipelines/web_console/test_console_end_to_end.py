"""A console of a job on Apache Kafka: an incident is shown, decided about, and the job follows."""

import re
import sys
from pathlib import Path

import msgspec
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from sparsewatch.testing.child_process import ChildProcess
from tests.kit.command_line import Command, assert_refused, sparsewatch
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce, read_all
from tests.kit.waiting import wait_for
from tests.pipelines.web_console.browsing import Browser

__all__ = ["sparsewatch"]

MINUTE_MS = 60_000
START_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS
TOPIC = "browsed"


def run_minute(broker: KafkaBroker, job: Path, minute: int, ad: object) -> int:
    """Let the job read a minute of clicks; gives the number of new alerts."""
    at = START_MS + minute * MINUTE_MS
    clicks = [msgspec.json.encode({"t": at + i, "ad": ad, "label": i % 2}) for i in range(40)]
    produce(broker.bootstrap, TOPIC, [(0, click) for click in clicks])
    before = len(read_all(broker.bootstrap, f"{TOPIC}.alerts"))
    CliRunner().invoke(cli, ["run", str(job), "--until", "latest", "-q"], catch_exceptions=False)
    return len(read_all(broker.bootstrap, f"{TOPIC}.alerts")) - before


def test_an_incident_is_shown_with_its_records_and_muted_in_the_browser(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    create_topic(kafka_broker.bootstrap, TOPIC)
    job = write_click_job(tmp_path, kafka_broker.bootstrap, TOPIC, {"ad": "int", "label": "int"})
    command = [
        str(Path(sys.executable).parent / "sparsewatch"),
        "console",
        str(job),
        "--port",
        "0",
        "--state",
        str(tmp_path / "state"),
    ]
    log = tmp_path / "log"
    with ChildProcess(command, log=log):
        [url] = wait_for(
            lambda: re.findall(r"showing browsed on (http://127\.0\.0\.1:\d+)/", log.read_text()), 60, "it"
        )
        browser = Browser(url)
        assert "is not there yet: has the job run?" in browser.get("/").data.decode()
        assert (run_minute(kafka_broker, job, 0, 7), run_minute(kafka_broker, job, 1, "seven")) == (0, 1)
        wait_for(lambda: b"1 incident now" in browser.get("/").data, 30, "the incident")
        page = "/jobs/browsed/incidents/browsed-1"
        wait_for(lambda: b"Show 1 record<" in browser.get(page).data, 30, "its alert")
        assert "&#34;seven&#34;" in browser.get(f"{page}/records").data.decode()
        form = {"verb": "mute", "for": "1d", "why": "known", "token": browser.token(page)}
        done = browser.post(f"{page}/orders", form)
        assert (done.status, done.headers["location"]) == (303, f"{page}?done=yes")
        assert ": known" in browser.get(page).data.decode()
        assert run_minute(kafka_broker, job, 2, "seven") == 0
        wait_for(lambda: b"muted by" in browser.get("/").data, 30, "the mute")
        wait_for(lambda: b"120 counted" in browser.get("/").data, 30, "the accounts")
        browser.close()


def test_what_is_wrong_with_its_options_is_said(
    kafka_broker: KafkaBroker, tmp_path: Path, sparsewatch: Command
) -> None:
    job = write_click_job(tmp_path, kafka_broker.bootstrap, "odd", {"ad": "int", "label": "int"})
    assert_refused(sparsewatch("console", job, "--host", "0.0.0.0"), "also --certificate and --key and --users")
    assert_refused(sparsewatch("console", job, "--key", job), "expected both --certificate and --key")
    assert_refused(sparsewatch("console", job, "--docs", "wiki"), "--docs: expected http://HOST:PORT or https://")
    assert_refused(sparsewatch("console", job, job), "two jobs are called 'odd'")
    assert_refused(
        sparsewatch("console", job, "--state", tmp_path, "--certificate", job, "--key", job), "--certificate .* --key "
    )
    assert_refused(
        sparsewatch("console", job, "--state", tmp_path, "--port", kafka_broker.port), "Address already in use"
    )
    assert_refused(sparsewatch("console", job, "--keep", "soon"), "--keep: expected a duration")

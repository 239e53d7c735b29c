"""Wrong settings end `sparsewatch` with one clear message and exit code 2, before anything is read or created."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaAdminClient

from sparsewatch.detectors.artefacts.artefact import save_artefact
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.testing.child_process import free_port
from tests.kit.command_line import Command, assert_refused
from tests.kit.job_files import write_click_job, write_wafer_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce, read_all

NOWHERE = "127.0.0.1:1"
EVENT = json.dumps({"t": 1_700_000_000_000, "ad": 1, "site": "s", "price": 1.0, "mobile": True, "label": 0}).encode()


def topics(bootstrap: str) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    names = set(admin.list_topics())
    admin.close()
    return names


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "windows.lenght=1m",
            r"x\.toml: windows: unknown key 'lenght', expected one of length, .*; did you mean 'length'\?",
        ),
        ("source.block_rows=many", r"source\.block_rows: expected `int`, got `str`"),
        ("windows.length=5 minutes", r"windows\.length: expected a duration such as '500ms'.*got '5 minutes'"),
        ("label=clicked", r"label: expected one of the columns \[.*\], got 'clicked'"),
        ("kafka.bootstrap_servers=['localhost']", "expected 'host:port', got 'localhost'"),
        ("name", "--set: expected key=value, got 'name'"),
    ],
)
def test_a_wrong_setting_is_named(sparsewatch: Command, tmp_path: Path, override: str, says: str) -> None:
    job = write_click_job(tmp_path, NOWHERE, "x")
    for command in ("run", "check"):
        assert_refused(sparsewatch(command, job, "--set", override), says)


def test_a_job_file_that_is_absent_or_no_toml_is_named(sparsewatch: Command, tmp_path: Path) -> None:
    assert_refused(sparsewatch("run", tmp_path / "none.toml"), r"none\.toml: the job file cannot be read")
    (tmp_path / "broken.toml").write_text("kind = ctr\n")
    assert_refused(sparsewatch("run", tmp_path / "broken.toml"), r"broken\.toml: expected TOML.*line 1")
    for text in ("x = " + "[" * 5000, "x = " + "9" * 5000):
        (tmp_path / "broken.toml").write_text(text)
        assert_refused(sparsewatch("run", tmp_path / "broken.toml"), r"broken\.toml: expected TOML")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--runner", "prism", "--repeat", "1s"], "--repeat: expected --runner inprocess.*got --runner prism"),
        (["--until", "2026-01-01", "--repeat", "1s"], "--repeat: expected.*--until forever or latest, got --until"),
        (["--until", "tomorrow"], "--until: expected 'latest', 'forever' or a time.*, got 'tomorrow'"),
    ],
)
def test_options_that_cannot_work_are_refused_with_the_remedy(
    sparsewatch: Command, tmp_path: Path, options: list[str], says: str
) -> None:
    assert_refused(sparsewatch("run", write_click_job(tmp_path, NOWHERE, "x"), *options), says)


def test_an_unknown_option_is_named(sparsewatch: Command, tmp_path: Path) -> None:
    code, error = sparsewatch("run", write_click_job(tmp_path, NOWHERE, "x"), "--runner", "spark")
    assert code == 2
    assert "'spark' is not one of 'auto', 'inprocess', 'prism', 'portable'" in error


@pytest.mark.torch
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["rows.model='{0}/none'"], r"no model in .*/none"),
        (["rows.model='{0}/damaged'"], r"damaged/0001/weights\.safetensors.*(digest|SHA-256)"),
        (["rows.model='{0}/wafer'"], "expected a model of kind .* got 'wafer'"),
        (
            ["checks.reference='{0}/none'"],
            r"checks\.reference: no model in .*/none.*`sparsewatch train reference .*` makes",
        ),
        (["checks.thresholds.zeal=3"], r"checks\.thresholds: unknown key 'zeal'"),
        (["checks.thresholds.z='high'"], r"checks\.thresholds\.z: expected `float \| null`, got `str`"),
        (["rows.thresholds.none=1"], r"rows\.thresholds: unknown key 'none'"),
        (
            [
                "kafka.security_protocol=SASL_PLAINTEXT",
                "kafka.sasl_mechanism=PLAIN",
                "kafka.username=u",
                "kafka.password_env=SPARSEWATCH_NO_SUCH_VARIABLE",
            ],
            "kafka.password_env: the environment has no variable 'SPARSEWATCH_NO_SUCH_VARIABLE'",
        ),
    ],
)
def test_what_a_job_names_is_loaded_before_the_broker_is_asked(
    sparsewatch: Command, tmp_path: Path, overrides: list[str], says: str
) -> None:
    for name, kind in (("damaged", "rows"), ("wafer", "wafer")):
        save_artefact(tmp_path / name, kind=kind, tensors={"a": np.zeros(3)}, meta={})
    weights = tmp_path / "damaged" / "0001" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    settings = [part for override in overrides for part in ("--set", override.format(tmp_path))]
    job = write_click_job(tmp_path, NOWHERE, "x")
    assert_refused(sparsewatch("run", job, "--until", "latest", *settings), says)


@pytest.mark.torch
def test_a_wafer_job_without_its_model_is_refused(sparsewatch: Command, tmp_path: Path) -> None:
    job = write_wafer_job(tmp_path, NOWHERE, "x", tmp_path / "none")
    assert_refused(sparsewatch("run", job, "--until", "latest"), r"no model in .*/none")


@pytest.mark.torch
@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no-such-host.invalid:{port}"])
def test_a_broker_that_does_not_answer_is_given_up_after_the_timeout(
    sparsewatch: Command, tmp_path: Path, address: str
) -> None:
    where = address.format(port=free_port())
    job = write_click_job(tmp_path, where, "x")
    sparsewatch("run", job, "--set", "kafka.timeout=1s")  # loads what a run needs: seconds on a busy machine
    began = time.monotonic()
    answer = sparsewatch("run", job, "--until", "latest", "--set", "kafka.timeout=2s")
    assert_refused(answer, f"no broker answers at .*{re.escape(where)}")
    assert time.monotonic() - began < 25  # by itself the client would try for 30 s


def test_the_console_script_itself_says_it_in_one_line(tmp_path: Path) -> None:
    job = write_click_job(tmp_path, NOWHERE, "x")
    command: list[str | Path] = [Path(sys.executable).parent / "sparsewatch", "run", job, "--set", "windows.lenght=1m"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert_refused((done.returncode, done.stderr), "unknown key 'lenght'")
    assert done.stdout == ""


def test_a_missing_topic_is_named_and_nothing_is_created(
    sparsewatch: Command, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    before = topics(kafka_broker.bootstrap)
    job = write_click_job(tmp_path, kafka_broker.bootstrap, "never-made")
    for command in (["check", job], ["run", job, "--until", "latest"]):
        assert_refused(sparsewatch(*command), "source.topic: the broker has no topic 'never-made'")
    assert topics(kafka_broker.bootstrap) == before


def test_a_broken_setting_leaves_no_progress(sparsewatch: Command, kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    create_topic(kafka_broker.bootstrap, "settings-untouched")
    produce(kafka_broker.bootstrap, "settings-untouched", [(0, EVENT)])
    before = topics(kafka_broker.bootstrap)
    job = write_click_job(tmp_path, kafka_broker.bootstrap, "settings-untouched")
    for setting in ("label=clicked", "checks.thresholds.zeal=3", "rows.model='/none'"):
        assert sparsewatch("run", job, "--until", "latest", "--set", setting)[0] == 2
    assert topics(kafka_broker.bootstrap) == before


def test_a_job_goes_on_only_with_the_settings_that_shape_its_windows(
    sparsewatch: Command, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    topic = "settings-resumed"
    create_topic(kafka_broker.bootstrap, topic)
    produce(kafka_broker.bootstrap, topic, [(0, EVENT)])
    file = write_click_job(tmp_path, kafka_broker.bootstrap, topic)
    job = load_job(file)
    run_job(job, "latest", "inprocess")
    produce(kafka_broker.bootstrap, topic, [(0, EVENT)])
    before = read_all(kafka_broker.bootstrap, f"{topic}.progress"), topics(kafka_broker.bootstrap)
    answer = sparsewatch("run", file, "--until", "latest", "--set", "windows.length=2m")
    assert_refused(answer, f"job '{topic}' was run with another .*window length.*start again under another name")
    after = read_all(kafka_broker.bootstrap, f"{topic}.progress"), topics(kafka_broker.bootstrap)
    assert after == before
    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals.read == 1

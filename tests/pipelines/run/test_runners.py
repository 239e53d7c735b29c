"""Which runner is taken, and with what options."""

from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PortableOptions, StandardOptions

from sparsewatch.pipelines.run import runners
from sparsewatch.pipelines.run.runners import Runner, choose_runner, find_prism, runner_options
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.transforms.kafka.reader_start import Until


@pytest.fixture(autouse=True)
def prism(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "find_prism", lambda: Path("/somewhere/prism"))


@pytest.mark.parametrize(
    ("until", "chosen"), [("forever", "prism"), ("latest", "inprocess"), (1_700_000_000_000, "inprocess")]
)
def test_auto_takes_prism_for_continuous_runs_and_the_process_itself_for_bounded_ones(
    until: Until, chosen: str
) -> None:
    assert choose_runner("auto", until) == chosen


def test_where_there_is_no_prism_an_endless_run_is_repeated_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "find_prism", lambda: None)
    assert choose_runner("auto", "forever") == "repeat"


def test_an_endless_run_in_the_process_is_repeated_runs() -> None:
    assert choose_runner("inprocess", "forever") == "repeat"


@pytest.mark.parametrize("until", ["forever", "latest"])
def test_repeated_runs_need_no_prism(until: Until) -> None:
    assert choose_runner("auto", until, repeated=True) == "repeat"


@pytest.mark.parametrize(
    ("runner", "until"), [("prism", "forever"), ("portable", "latest"), ("auto", 1_700_000_000_000)]
)
def test_what_cannot_be_repeated_is_refused(runner: str, until: Until) -> None:
    with pytest.raises(
        ConfigError, match="--repeat: expected --runner inprocess, and --until forever or latest, got --"
    ):
        choose_runner(runner, until, repeated=True)


def test_a_missing_prism_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "find_prism", lambda: None)
    with pytest.raises(ConfigError, match="make services-prism"):
        choose_runner("prism", "forever")


def _program(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    path.chmod(0o755)
    return path


def test_prism_is_the_named_one_else_that_of_the_environment_else_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, beside, on_path = (_program(tmp_path / folder / "prism") for folder in ("named", "venv", "path"))
    monkeypatch.setattr("sys.executable", str(beside.with_name("python")))
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.setenv("SPARSEWATCH_PRISM", str(named))
    assert find_prism() == named
    monkeypatch.delenv("SPARSEWATCH_PRISM")
    assert find_prism() == beside
    beside.unlink()
    assert find_prism() == on_path


@pytest.mark.parametrize("runner", ["prism", "portable"])
def test_a_job_is_followed_for_years_not_for_beams_five_minutes(runner: Runner) -> None:
    options = runner_options(runner, "forever")
    assert options.view_as(PortableOptions).job_server_timeout > 365 * 86_400
    assert options.view_as(StandardOptions).streaming


@pytest.mark.parametrize(
    ("runner", "until", "asked"),
    [("portable", "forever", True), ("portable", "latest", False), ("prism", "forever", False)],
)
def test_flink_is_asked_to_hand_on_what_steps_give_out_before_a_checkpoint(
    runner: Runner, until: Until, asked: bool
) -> None:
    passed = runner_options(runner, until).get_all_options(retain_unknown_options=True)
    assert passed.get("finish_bundle_before_checkpointing", False) is asked


def test_what_the_user_passes_through_wins() -> None:
    options = runner_options("portable", "latest", ["--job_endpoint=here:1", "--job_server_timeout=7"])
    assert options.view_as(PortableOptions).job_endpoint == "here:1"
    assert options.view_as(PortableOptions).job_server_timeout == 7

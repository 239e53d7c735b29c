"""The rows job from a broker: accounts, results of odd rows, models that change places, crashes, what is kept."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from sparsewatch.detectors.artefacts.versions import mark_candidate
from sparsewatch.detectors.counts.row_sample import RowSample
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.pipelines.job import model_in_use
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.model_in_use import FollowedModel, ShadowModel
from sparsewatch.pipelines.job.ready import prepare, ready
from sparsewatch.pipelines.orders.baseline_command import baseline
from sparsewatch.pipelines.rows.kept_rows import RowPane
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.errors import ConfigError, ModelError
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.window.panes import decode_panes, load_panes
from sparsewatch.transforms.window.write_windows import WindowWriter
from tests.kit.job_files import write_rows_job
from tests.kit.topics import create_topic, newest_by_key, produce, read_all

COLUMNS = {"wafer_id": "str", "temperature": "float", "flow": "float", "tool": "str"}
SCORED = ["temperature", "flow", "tool"]
MINUTE_MS, START_MS = 60_000, 1_700_000_040_000
A_WINDOW = 300
WINDOW_US = MINUTE_MS * 1000


def sensor_rows(n: int, seed: int, odd: float = 0.0) -> pa.Table:
    """Wafers whose flow follows their temperature, but for a share of odd ones."""
    rng = np.random.default_rng(seed)
    temperature = rng.normal(size=n)
    flow = temperature + rng.normal(0, 0.1, n) + np.where(rng.random(n) < odd, 9.0, 0.0)
    names = [f"w{seed}-{i}" for i in range(n)]
    tool = rng.choice(["a", "b"], n)
    return pa.table({"wafer_id": names, "temperature": temperature, "flow": flow, "tool": tool})


def events(windows: Mapping[int, float], seed: int = 0) -> list[bytes]:
    """JSON events of windows by number, `A_WINDOW` each; the value is the share of odd rows."""
    lines = []
    for window, odd in windows.items():
        start = START_MS + window * MINUTE_MS
        rows = sensor_rows(A_WINDOW, seed + window, odd).to_pylist()
        lines += [json.dumps({"t": start + i * MINUTE_MS // A_WINDOW, **row}).encode() for i, row in enumerate(rows)]
    return lines


@functools.cache
def trained(seed: int) -> RowModel:
    return train_row_model(sensor_rows(3000, 1000 + seed).select(SCORED), method="hbos", seed=seed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trained(0).save(tmp_path / "models" / "rows")
    return tmp_path / "models" / "rows"


Publish = Callable[..., RowsJob]


@pytest.fixture
def publish(embedded_broker: EmbeddedBroker, tmp_path: Path, folder: Path, request: pytest.FixtureRequest) -> Publish:
    """Writes events to the test's own topic and gives the job that reads it."""
    topic = request.node.name.replace("_", "-")
    create_topic(embedded_broker.bootstrap, topic)

    def published(lines: list[bytes], settings: Mapping[str, object] | None = None, *overrides: str) -> RowsJob:
        produce(embedded_broker.bootstrap, topic, ((0, line) for line in lines))
        given = {"id_columns": ["wafer_id"], **(settings or {})}
        path = write_rows_job(tmp_path, embedded_broker.bootstrap, topic, COLUMNS, folder, given)
        job = load_job(path, list(overrides))
        assert isinstance(job, RowsJob)
        return job

    return published


def written(job: Job, what: str) -> dict[str, Any]:
    """Newest record of each key of one of the job's topics."""
    return newest_by_key(read_all(job.kafka.bootstrap_servers[0], f"{job.name}.{what}"))


def windows_of(job: Job) -> list[dict[str, Any]]:
    return sorted(written(job, "windows").values(), key=lambda record: record["window_start_us"])


def expected_results(model: RowModel, lines: list[bytes], rate: float) -> dict[int, tuple[float, float]]:
    """Score and p-value of the rows beyond the threshold, by offset."""
    rows = pa.Table.from_pylist([json.loads(line) for line in lines]).combine_chunks().to_batches()[0]
    scores = model.score(rows)
    p = model.p_values(scores)
    return {i: (float(scores[i]), float(p[i])) for i in np.flatnonzero(p <= rate).tolist()}


def test_a_stream_is_accounted_and_scored_as_recomputed(publish: Publish, folder: Path) -> None:
    lines = events({0: 0.0, 1: 0.2, 2: 0.0})
    job = publish([*lines, b"{broken", b'{"t": "soon"}'])
    run_job(job, "latest", "inprocess")

    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=3 * A_WINDOW, rejected=2)
    expected = expected_results(RowModel.load(folder), lines, 0.01)
    results = written(job, "rows")
    assert {key.split("/", 1)[1]: (r["score"], r["p_value"]) for key, r in results.items()} == {
        f"0/{offset}/0": said for offset, said in expected.items()
    }
    for key, result in results.items():
        event = json.loads(lines[int(key.split("/")[2])])
        assert key == result["id"] == f"{job.name}/" + key.split("/", 1)[1]
        assert result["event_time_us"] == event["t"] * 1000
        assert result["identity"] == {"wafer_id": event["wafer_id"]}
        assert result["model"] == "rows/0001"
        assert set(result["columns"]) <= set(SCORED)
    records = windows_of(job)
    assert [r["row_scores"]["above"] for r in records] == [
        sum(window * A_WINDOW <= offset < (window + 1) * A_WINDOW for offset in expected) for window in range(3)
    ]
    assert [r["row_scores"]["results"] for r in records] == [r["row_scores"]["above"] for r in records]
    assert [r["row_scores"]["models"] for r in records] == [{"rows/0001": A_WINDOW}] * 3
    assert all(sum(r["row_scores"]["p_values"]["rows"]) == A_WINDOW for r in records)
    alerts = {alert["rule"]: alert for alert in written(job, "alerts").values()}
    assert set(alerts) == {"rows_unlike_training", "column_out_of_range"}
    assert {alert["window_start_us"] for alert in alerts.values()} == {records[1]["window_start_us"]}
    assert len({alert["incident"] for alert in alerts.values()}) == 1
    assert alerts["rows_unlike_training"]["evidence"]["worst"][0]["identity"]["wafer_id"].startswith("w1-")
    beyond = alerts["column_out_of_range"]
    named = beyond["evidence"]["sample_offsets"]
    assert named
    assert all(json.loads(lines[offset])["flow"] > beyond["threshold"] for _, offset in named)
    metrics = {m["name"]: m for m in written(job, "metrics").values()}
    assert metrics["sparsewatch_rows_scored"]["value"] == A_WINDOW
    assert metrics["sparsewatch_row_alarm_ratio"]["value"] < 0.05
    assert 0.4 < metrics["sparsewatch_row_p_value_median"]["value"] < 0.6
    assert metrics["sparsewatch_row_p_value_drift"]["value"] < 0.1
    assert metrics["sparsewatch_row_p_value_drift_chance"]["value"] > 0.001
    assert metrics["sparsewatch_row_model_version"]["value"] == 1
    assert metrics["sparsewatch_row_model_version"]["labels"] == {"job": job.name, "model": "rows"}


def test_a_change_that_was_there_from_the_beginning_is_usual_when_it_has_lasted_over_a_restart(
    publish: Publish, tmp_path: Path
) -> None:
    job = publish(events(dict.fromkeys(range(9), 0.3)))
    run_job(job, "latest", "inprocess")
    more = events({**dict.fromkeys(range(9, 15), 0.3), 15: 0.8})
    produce(job.kafka.bootstrap_servers[0], job.source.topic, ((0, line) for line in more))
    run_job(job, "latest", "inprocess")
    # The first window of a job and the last of a run may be incomplete, and are not learned; twelve others are.
    assert [bool(record["alerts"]) for record in windows_of(job)] == [True] * 14 + [False] + [True]
    shown = CliRunner().invoke(baseline, ["show", str(tmp_path / f"{job.name}.toml"), "--json"])
    learned = json.loads(shown.output)["learned"]
    assert (learned["windows"], learned["usual"]) == (13, [])


def test_no_more_results_than_asked_for_are_written_and_they_are_the_worst(publish: Publish, folder: Path) -> None:
    lines = events({0: 0.3})
    job = publish(lines, {"results_per_window": 5}, "source.block_rows=40")
    run_job(job, "latest", "inprocess")
    expected = expected_results(RowModel.load(folder), lines, 0.01)
    worst = sorted(expected, key=lambda offset: (-expected[offset][0], offset))[:5]
    assert sorted(int(key.split("/")[2]) for key in written(job, "rows")) == sorted(worst)
    [record] = windows_of(job)
    assert record["row_scores"]["results"] == 5 < record["row_scores"]["above"] == len(expected)


class Swapping(FollowedModel[RowModel]):
    """Saves a further version before the fourth block that asks."""

    def __init__(self, path: str, load: Callable[[Path], RowModel]) -> None:
        super().__init__(path, load, every_s=0.0)
        self.asked = 0
        self.root = Path(path)

    def current(self) -> RowModel:
        self.asked += 1
        if self.asked == 4:
            trained(1).save(self.root)
        return super().current()


def follow_with(monkeypatch: pytest.MonkeyPatch, live: Callable[..., FollowedModel[RowModel]]) -> None:
    followed = functools.cache(lambda model: live(model.path, model.version))
    shadowed = functools.cache(lambda model: ShadowModel(model.path, model.version, every_s=0.0))
    monkeypatch.setattr(model_in_use, "followed", followed)
    monkeypatch.setattr(model_in_use, "shadowed", shadowed)


def test_models_change_places_within_a_window_and_both_are_counted(
    publish: Publish, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_with(monkeypatch, Swapping)
    lines = events({0: 0.1, 1: 0.1})
    job = publish(lines, None, "source.block_rows=100")
    run_job(job, "latest", "inprocess")
    first, second = windows_of(job)
    both = first["row_scores"]["models"] | second["row_scores"]["models"]
    assert set(both) == {"rows/0001", "rows/0002"}
    assert sum(first["row_scores"]["models"].values()) == sum(second["row_scores"]["models"].values()) == A_WINDOW
    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=2 * A_WINDOW)
    expected = {
        version: expected_results(RowModel.load(folder / version.split("/")[1]), lines, 0.01) for version in both
    }
    results = written(job, "rows")
    assert {result["model"] for result in results.values()} == set(both)
    for key, result in results.items():
        assert expected[result["model"]][int(key.split("/")[2])] == (result["score"], result["p_value"])


def test_a_candidate_looks_on_and_changes_nothing(
    publish: Publish, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow_with(monkeypatch, functools.partial(FollowedModel, every_s=0.0))
    trained(1).save(folder, promote=False)
    mark_candidate(folder, "0002", RowModel.load)
    job = publish(events({0: 0.1}))
    run_job(job, "latest", "inprocess")
    [record] = windows_of(job)
    [shadow] = record["shadow"]
    assert (shadow["present"], shadow["candidate"], shadow["rows"]) == ("rows/0001", "rows/0002", A_WINDOW)
    assert record["row_scores"]["models"] == {"rows/0001": A_WINDOW}
    assert {result["model"] for result in written(job, "rows").values()} == {"rows/0001"}


def test_what_is_written_again_after_a_crash_is_the_same(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after the results of the second window and before its commit, and then goes on in other blocks."""
    job = publish(events({0: 0.1, 1: 0.1, 2: 0.1}))
    write, commits = WindowWriter._write_progress, 0

    def crash(writer: WindowWriter, *args: Any) -> None:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise RuntimeError("the second window is not committed")
        write(writer, *args)

    monkeypatch.setattr(WindowWriter, "_write_progress", crash)
    with pytest.raises(RuntimeError, match="not committed"):
        run_job(job, "latest", "inprocess")
    monkeypatch.undo()
    run_job(publish([], None, "source.block_rows=70"), "latest", "inprocess")

    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=3 * A_WINDOW)
    broker = job.kafka.bootstrap_servers[0]
    for what, least_twice in (("rows", 1), ("windows", 1), ("panes", 1)):
        records = read_all(broker, f"{job.name}.{what}")
        said: dict[bytes | None, set[bytes | None]] = {}
        for record in records:
            said.setdefault(record.key, set()).add(record.value)
        assert len(records) >= len(said) + least_twice, f"something of {what} is written twice"
        assert {len(values) for values in said.values()} == {1}, what


def test_windows_leave_a_sample_that_says_whether_something_was_found(publish: Publish) -> None:
    lines = events({0: 0.0, 1: 0.4, 2: 0.0})
    job = publish(lines, {"sample_rows": 50, "panes": 3})
    run_job(job, "latest", "inprocess")
    panes = decode_panes(load_panes(job.kafka, f"{job.name}.panes", job.name), RowPane)
    assert [(pane.learned, state.rows) for pane, state in panes] == [
        (True, A_WINDOW),
        (False, A_WINDOW),
        (True, A_WINDOW),
    ]
    known = {(e["temperature"], e["flow"], e["tool"]) for e in map(json.loads, lines)}
    for _, state in panes:
        rows = RowSample.from_bytes(state.sample).rows()
        assert rows.schema.names == SCORED
        assert len(set(map(tuple, (row.values() for row in rows.to_pylist()))) & known) == 50
    assert windows_of(job)[-1]["kept"] == {"windows": 3, "learned": 2, "learned_rows": 2 * A_WINDOW}


def test_nothing_is_kept_where_it_is_not_asked_for(publish: Publish) -> None:
    job = publish(events({0: 0.0}), {"sample_rows": 0, "results_per_window": 0})
    run_job(job, "latest", "inprocess")
    [record] = windows_of(job)
    assert "kept" not in record
    assert read_all(job.kafka.bootstrap_servers[0], f"{job.name}.panes") == []
    assert read_all(job.kafka.bootstrap_servers[0], f"{job.name}.rows") == []


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("rows.model=nowhere", ModelError, "nowhere"),
        ("rows.alarm_rate=0.0001", ConfigError, "does not fit the job: alarm rate"),
        ("rows.thresholds.levle=0.1", ConfigError, r"rows\.thresholds: .*levle"),
        (
            "rows.thresholds.least_drift=2",
            ConfigError,
            r"rows\.thresholds\.least_drift: expected a number above 0 and below 1, got 2",
        ),
        ("columns.flow=str", ConfigError, r"does not fit the job: column 'flow': expected numbers, got string.*--job"),
        ("columns.tool=float", ConfigError, "column 'tool': expected string, a category in the training, got double"),
        ('rows.id_columns=["wafer_id", "tool"]', ConfigError, "expected a column 'tool'"),
    ],
)
def test_a_job_whose_settings_do_not_fit_stops_before_it_reads(
    tmp_path: Path, folder: Path, override: str, error: type[Exception], message: str
) -> None:
    path = write_rows_job(tmp_path, "nowhere:1", "t", COLUMNS, folder, {"id_columns": ["wafer_id"]})
    with pytest.raises(error, match=message):
        prepare(ready(load_job(path, [override])))


def test_a_sensor_sent_as_text_is_told_and_explains_what_else_its_rows_show(publish: Publish) -> None:
    lines = events({0: 0.0, 1: 0.0, 2: 0.0})
    texts = [json.loads(line) for line in lines[A_WINDOW : 2 * A_WINDOW]]
    lines[A_WINDOW : 2 * A_WINDOW] = [json.dumps({**e, "flow": f"{e['flow']:.2f}"}).encode() for e in texts]
    job = publish(lines)
    run_job(job, "latest", "inprocess")

    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=3 * A_WINDOW)
    first, second, third = windows_of(job)
    assert (first["mistyped"], third["mistyped"]) == ({}, {})
    assert second["row_scores"]["rows"] == A_WINDOW
    assert (second["mistyped"]["flow"]["share"], second["mistyped"]["flow"]["found"]) == (1.0, {"str": A_WINDOW})
    alerts = {a["rule"]: a for a in written(job, "alerts").values()}
    changed = alerts.pop("feature_type_changed")
    assert (changed["subject"], changed["window_start_us"]) == ("flow", second["window_start_us"])
    assert changed["evidence"]["expected"] == "float"
    # Each row now lacks its flow, as none did in training.
    assert {"rows_unlike_training", "columns_moved"} <= set(changed["evidence"]["also"])
    assert alerts == {}
    metrics = [m for m in written(job, "metrics").values() if m["name"] == "sparsewatch_feature_mistyped_ratio"]
    assert {m["labels"]["feature"]: m["value"] for m in metrics} == dict.fromkeys(COLUMNS, 0.0)

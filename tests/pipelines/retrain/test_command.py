"""Retraining of a running rows job, on the demo's broker.

Bounded runs stand for the job that goes on, in one test; the others close its windows by hand, without Beam and source,
which takes a hundredth of the time.
"""

import fcntl
import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.artefacts.versions import candidate, latest, mark_candidate, promote, versions
from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.shadow import ShadowScores
from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.model_in_use import followed, shadowed
from sparsewatch.pipelines.job.ready import output_topics, prepare, ready
from sparsewatch.pipelines.models.command import refuse_faults
from sparsewatch.pipelines.retrain.collect import collect_panes
from sparsewatch.pipelines.retrain.plan import Outcome, Plan
from sparsewatch.pipelines.retrain.run import retrain
from sparsewatch.pipelines.retrain.window_records import ShadowSoFar, WindowRecord, follow_shadow
from sparsewatch.pipelines.rows.job import ConcludeRows
from sparsewatch.pipelines.rows.kept_rows import RowPane
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.schemas.alerts import raise_alert
from sparsewatch.schemas.block import META, Block, Span
from sparsewatch.schemas.errors import ConfigError, ModelError
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.open import ensure_topics, open_admin, open_writer
from sparsewatch.transforms.window.measure import Window
from sparsewatch.transforms.window.panes import Pane, PaneLog
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.kit.waiting import wait_for

START_MS = 1_700_000_000_000
WINDOW_MS = 10_000
ROWS = 400
RATE = 0.05
TYPES = {"x": pa.float64(), "y": pa.float64(), "site": pa.string()}
#: More runs than any retraining of these tests takes.
MOST_RUNS = 100
_NUMBERS = itertools.count()


def forget_models() -> None:
    """As a new process knows none."""
    followed.cache_clear()
    shadowed.cache_clear()


def table(rows: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, spread, rows) + shift
    return pa.table(
        {"x": x, "y": rng.normal(0, spread, rows), "site": rng.choice(["a", "b", "c"], rows)}, pa.schema(TYPES.items())
    )


def block(rows: pa.Table, number: int) -> Block:
    n = rows.num_rows
    meta = [np.zeros(n), number * n + np.arange(n), np.zeros(n), np.full(n, START_MS * 1000)]
    columns = [pa.array(values).cast(field.type) for values, field in zip(meta, META, strict=True)]
    schema = pa.schema([*rows.schema, *META])
    batch = pa.RecordBatch.from_arrays([*(c.combine_chunks() for c in rows.columns), *columns], schema=schema)
    return Block((Span("t", 0, number * n, n),), batch)


class Stream:
    """A rows job whose topic is fed window by window."""

    def __init__(self, folder: Path, bootstrap: str, topic: str, learned: pa.Table) -> None:
        self.models = folder / "fab"
        self.topic = topic
        self._bootstrap = bootstrap
        self._window = 0
        train_row_model(learned, method="hbos").save(self.models, about={"method": "hbos"})
        self.path = folder / f"{topic}.toml"
        self.path.write_text(
            f'kind = "rows"\nname = "{topic}"\n[kafka]\nbootstrap_servers = ["{bootstrap}"]\n'
            f'[source]\ntopic = "{topic}"\ntime_column = "t"\n[windows]\nlength = "10s"\ndisorder = "0s"\n'
            # What a day may spend on windows of ten seconds.
            "[alerts]\nfalse_incidents_per_day = 10\n"
            '[columns]\nx = "float"\ny = "float"\nsite = "str"\n'
            f'[rows]\nmodel = "{self.models}"\nalarm_rate = {RATE}\nsample_rows = 300\npanes = 6\n'
        )
        job = load_job(self.path)
        assert isinstance(job, RowsJob)
        self.job = job
        self._panes = PaneLog(topic, ready(job).topics.panes, job.rows.panes)
        create_topic(bootstrap, topic, max_bytes=1 << 20)
        admin = open_admin(job.kafka)
        ensure_topics(admin, output_topics(ready(job)))
        admin.close()

    def run(self, windows: int, shift: float = 0.0) -> None:
        """Feed windows and have the job read them; a run is a process that knows no model yet."""
        forget_models()
        for number in self._next(windows):
            begin, step = START_MS + number * WINDOW_MS, WINDOW_MS // ROWS
            rows = enumerate(table(ROWS, number, shift).to_pylist())
            lines = (json.dumps({"t": begin + i * step, **row}).encode() for i, row in rows)
            produce(self._bootstrap, self.topic, ((0, line) for line in lines))
        run_job(self.job, "latest", "inprocess", close_at_end=False)

    def close(self, windows: int, shift: float = 0.0) -> None:
        """Close windows as the job would."""
        forget_models()
        topics, writer, prepared = ready(self.job).topics, open_writer(self.job.kafka), prepare(ready(self.job))
        conclude, learning = prepared.conclude, prepared.learning
        assert isinstance(conclude, ConcludeRows)
        assert learning is not None
        for number in self._next(windows):
            start, end = ((START_MS + (number + i) * WINDOW_MS) * 1000 for i in (0, 1))
            measure = conclude.new()
            measure.add(block(table(ROWS, number, shift), number))
            told = conclude(Window(start, end), [measure.to_bytes()])
            # Of no earlier windows: nothing is usual yet.
            told += learning(Window(start, end), told, [], ())
            alerts = [raise_alert(finding, self.topic, start, end).id for finding in told.findings]
            record = {"job": self.topic, "window_start_us": start, "complete": True, "alerts": alerts, **told.summary}
            assert told.pane is not None
            self._panes.put(Pane(start, end, told.pane, learned=not alerts), writer)
            writer.send(topics.windows, f"{self.topic}/{start}".encode(), msgspec.json.encode(record))
        writer.close()

    def _next(self, windows: int) -> range:
        self._window += windows
        return range(self._window - windows, self._window)

    def plan(self, **settings: Any) -> Plan:
        usual: dict[str, Any] = {"job": self.job, "windows": 2, "watch": 1, "timeout_s": 60.0}
        return Plan(**(usual | settings))

    def retrain_beside(self, plan: Plan, go_on: Callable[[], None]) -> Outcome:
        """Retrain while the job goes on, as often as it takes."""
        with ThreadPoolExecutor(1) as pool:
            outcome: Future[Outcome] = pool.submit(retrain, plan)
            wait_for(lambda: outcome.done() or candidate(self.models), 30, "a candidate")
            for _ in range(MOST_RUNS):
                if outcome.done():
                    break
                go_on()
            return outcome.result(timeout=60)

    def records(self) -> list[dict[str, Any]]:
        found = newest_by_key(read_all(self._bootstrap, f"{self.topic}.windows"))
        return sorted(found.values(), key=lambda record: record["window_start_us"])

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.models / "retraining.jsonl").read_text().splitlines()]

    def command(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["retrain", str(self.path), *arguments])


@pytest.fixture
def new_stream(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Any]:
    def new(learned: pa.Table | None = None) -> Stream:
        return Stream(tmp_path, embedded_broker.bootstrap, f"retrain-{next(_NUMBERS)}", learned or table(2000, 1000))

    yield new
    forget_models()


def test_a_candidate_of_the_last_windows_is_shadowed_promoted_and_watched(new_stream: Callable[[], Stream]) -> None:
    stream = new_stream()
    stream.run(5)
    assert stream.retrain_beside(stream.plan(windows=1), lambda: stream.run(1)) == "promoted"
    assert (latest(stream.models), candidate(stream.models)) == ("0002", None)
    trained, promoted, stays = stream.log()
    assert (trained["what"], promoted["what"], stays["what"]) == ("candidate", "promoted", "stays")
    assert trained["figures"] == {
        "method": "hbos",
        "rows": 1200,
        "rows_seen": 1600,
        "windows": 4,
        "windows_left_out": 0,
        "rows_left_out": 0,
    }
    assert promoted["figures"]["rows"] >= ROWS
    assert stays["reasons"] == ["1 of 1 window watched"]
    shadows = [(s["present"], s["candidate"]) for record in stream.records() for s in record.get("shadow", [])]
    assert set(shadows) == {("fab/0001", "fab/0002"), ("fab/0002", "fab/0001")}
    assert stream.records()[-1]["row_scores"]["models"] == {"fab/0002": ROWS}


def test_after_a_drift_the_drifted_windows_are_learned_only_when_asked(new_stream: Callable[[], Stream]) -> None:
    stream = new_stream()
    stream.close(4)
    assert retrain(stream.plan(if_drifted=True)) == "not needed"
    assert not (stream.models / "retraining.jsonl").exists()
    stream.close(6, shift=2.2)
    with pytest.raises(ConfigError, match="got 0: 6 of 6 saved windows raised alerts"):
        retrain(stream.plan(if_drifted=True))
    learn_all = stream.plan(if_drifted=True, learn="all", last=5)
    assert stream.retrain_beside(learn_all, lambda: stream.close(1, shift=2.2)) == "promoted"
    figures = stream.log()[1]["figures"]
    assert figures["present_alarm_share"] > 3 * RATE > figures["candidate_alarm_share"]
    assert figures["present_from_uniform"] > 2 * figures["candidate_from_uniform"]
    stream.close(2, shift=2.2)
    assert retrain(stream.plan(if_drifted=True)) == "not needed"


def test_a_candidate_of_other_rows_is_refused_and_its_version_kept(
    new_stream: Callable[[], Stream], tmp_path: Path
) -> None:
    stream = new_stream()
    stream.close(2)
    pq.write_table(table(1500, 7, shift=8), tmp_path / "other.parquet")
    plan = stream.plan(files=(tmp_path / "other.parquet",))
    assert stream.retrain_beside(plan, lambda: stream.close(1)) == "refused"
    assert (latest(stream.models), candidate(stream.models)) == ("0001", None)
    assert versions(stream.models) == ["0001", "0002"]
    refused = stream.log()[-1]
    assert refused["what"] == "refused"
    assert "rows, expected 5.00% and at most 15.00%" in refused["reasons"][0]


def test_a_promoted_model_that_alone_flags_too_much_goes_back(new_stream: Callable[[pa.Table], Stream]) -> None:
    """The first model knows rows about 0 and about 6; the second has seen the former only."""
    both = pa.concat_tables([table(1500, 1000), table(1500, 1001, shift=6)])
    stream = new_stream(both)
    stream.close(5)

    def go_on() -> None:
        stream.close(1, shift=6.0 if latest(stream.models) == "0002" else 0.0)

    # One of two modes alone is a moved column, so no window is ordinary.
    assert stream.retrain_beside(stream.plan(watch=50, learn="all"), go_on) == "rolled back"
    assert (latest(stream.models), candidate(stream.models)) == ("0001", None)
    assert [entry["what"] for entry in stream.log()] == ["candidate", "promoted", "rolled back"]
    assert "fab/0002 flags" in stream.log()[-1]["reasons"][0]


def test_without_a_running_job_the_newest_windows_are_held_out(new_stream: Callable[[], Stream]) -> None:
    stream = new_stream()
    stream.close(6)
    answer = stream.command("--offline", "--windows", "2", "--method", "ecod")
    assert answer.exit_code == 0, answer.output
    assert "learning from 1,200 rows of 1,600 in 4 windows" in answer.output
    assert latest(stream.models) == "0002"
    assert RowModel.load(stream.models).method == "ecod"
    told = [entry["what"] for entry in stream.log()]
    assert told == ["candidate", "promoted"]


def test_a_refusal_ends_with_exit_code_1_and_its_reason(new_stream: Callable[[], Stream]) -> None:
    stream = new_stream()
    stream.close(6)
    answer = stream.command("--offline", "--rule", "least_correlation=1")
    assert answer.exit_code == 1, answer.output
    assert (
        "candidate 0002 is refused, 0001 stays the latest:\n  it ranks rows differently from fab/0001" in answer.output
    )
    assert latest(stream.models) == "0001"


def test_no_running_job_is_a_refusal_once_time_is_up(new_stream: Callable[[], Stream]) -> None:
    stream = new_stream()
    stream.close(5)
    assert retrain(stream.plan(timeout_s=0.5)) == "refused"
    assert "fewer than 2 complete windows scored by both" in stream.log()[-1]["reasons"][0]
    assert candidate(stream.models) is None


def test_latest_moved_by_others_ends_a_shadow_run_undecided(new_stream: Callable[[], Stream]) -> None:
    stream = new_stream()
    stream.close(5)
    RowModel.load(stream.models).save(stream.models, promote=False)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(retrain, stream.plan())
        wait_for(lambda: candidate(stream.models), 30, "a candidate")
        promote(stream.models, "0002", refuse_faults)
        with pytest.raises(ModelError, match="expected 0001 to stay the latest, another process made it 0002"):
            outcome.result(timeout=60)
    assert stream.log()[-1]["what"] == "stopped"
    assert (latest(stream.models), candidate(stream.models)) == ("0002", None)


def test_too_few_rows_a_lock_and_a_pinned_version_are_named(new_stream: Callable[[], Stream], tmp_path: Path) -> None:
    stream = new_stream()
    mark_candidate(stream.models, "0001", refuse_faults)
    pq.write_table(table(150, 7), tmp_path / "few.parquet")
    with pytest.raises(ConfigError, match=r"at least 200 rows to learn an alarm rate of 5\.00% from, got 150 rows"):
        retrain(stream.plan(files=(tmp_path / "few.parquet",)))
    assert candidate(stream.models) is None, "what a killed retraining left behind is cleared"
    with (stream.models / ".retrain.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match=r"another retraining of .* is in progress"):
            retrain(stream.plan())
    job = load_job(stream.path, [f'rows.model="{stream.models / "0001"}"'])
    assert isinstance(job, RowsJob)
    with pytest.raises(ConfigError, match=r"0001 is a single version, which jobs never replace"):
        retrain(stream.plan(job=job))


def test_a_schedule_says_what_failed_goes_on_and_stops_in_good_order(
    new_stream: Callable[[], Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = new_stream()
    waits: list[float] = []
    really_sleep = time.sleep

    def sleep(seconds: float) -> None:
        if seconds < 1:  # a client that waits for its broker, on a busy machine
            return really_sleep(seconds)
        waits.append(seconds)
        if len(waits) > 1:
            raise KeyboardInterrupt
        return stream.close(6)

    monkeypatch.setattr(time, "sleep", sleep)
    answer = stream.command("--every", "1h", "--offline")
    assert answer.exit_code == 0, answer.output
    assert (
        "this retraining failed, the model is unchanged: expected more than 3 windows to learn from, got 0"
        in answer.output
    )
    assert "0002 is promoted" in answer.output
    assert answer.output.endswith("stopped\n")
    assert all(3000 < wait <= 3600 for wait in waits)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--every", "soon"], "--every: expected a duration"),
        (["--method", "magic"], "--method: expected one of"),
        (["--rule", "level"], "--rule: expected NAME=NUMBER"),
        (["--rule", "loudness=1"], "--rule: .*loudness"),
        (["--files", "a.parquet", "--last", "3"], "--last chooses among the job's windows"),
    ],
)
def test_wrong_settings_are_said_before_anything_begins(
    new_stream: Callable[[], Stream], arguments: list[str], says: str
) -> None:
    answer = new_stream().command(*arguments)
    assert isinstance(answer.exception, ConfigError)
    with pytest.raises(ConfigError, match=says):
        raise answer.exception


def test_help_teaches() -> None:
    said = CliRunner().invoke(cli, ["retrain", "--help"]).output
    assert "sparsewatch retrain fab.toml --if-drifted" in said
    assert "Exit code: 0 the candidate was promoted" in said


def pane(number: int, rows: int, seen: int, learned: bool = True) -> Pane:
    """A window of `seen` rows, of which `rows` are kept; `x` is the number of the window."""
    sample = RowSample(["x", "flag"], rows)
    given = pa.record_batch({"x": pa.array([float(number)] * seen), "flag": pa.array([True] * seen)})
    sample.update(given, row_identities(number, np.arange(seen)))
    state = RowPane(rows=seen, sample=sample.to_bytes())
    return Pane(number, number + 1, state.to_bytes(), learned)


def test_each_window_gives_the_same_share_of_its_rows_in_the_stream_s_types() -> None:
    panes = [pane(0, 100, 50), pane(1, 100, 200), pane(2, 100, 400), pane(3, 100, 300, learned=False)]
    types = {"flag": pa.bool_(), "x": pa.float64()}
    got = collect_panes(panes, lambda one: one.learned, types, limit=10_000, hold_out=0)
    x = got.table["x"].to_numpy()
    assert [int((x == number).sum()) for number in range(4)] == [12, 50, 100, 0]
    assert got.table.schema == pa.schema(types.items())
    assert got.about["windows_left_out"] == 1
    assert got.about["rows_left_out"] == 300
    assert got.summary == "162 rows of 650 in 3 windows; left out: 1 window with alerts (300 rows)"
    fewer = collect_panes(panes, lambda one: one.learned, types, limit=65, hold_out=0)
    assert fewer.table.num_rows == 65


def test_held_out_windows_are_the_newest_and_not_learned() -> None:
    panes = [pane(number, 100, 100) for number in range(4)]
    got = collect_panes(panes, lambda _: True, {"x": pa.float64()}, limit=10_000, hold_out=1)
    assert got.held_out is not None
    assert set(got.table["x"].to_pylist()) == {0.0, 1.0, 2.0}
    assert set(got.held_out["x"].to_pylist()) == {3.0}
    with pytest.raises(ConfigError, match="expected more than 4 windows to learn from, got 4"):
        collect_panes(panes, lambda _: True, {"x": pa.float64()}, limit=10_000, hold_out=4)


class Topic:
    """Windows that come one look at a time."""

    def __init__(self, looks: list[list[WindowRecord]]) -> None:
        self._looks = iter(looks)

    def more(self) -> dict[int, WindowRecord]:
        return {record.window_start_us: record for record in next(self._looks, [])}


def window(number: int, rows: int, candidate: str = "m/2", complete: bool = True) -> WindowRecord:
    shadow = ShadowScores(
        present="m/1",
        candidate=candidate,
        alarm_rate=RATE,
        present_calibration=100,
        candidate_calibration=100,
        rows=rows,
        above_present=0,
        above_candidate=0,
        above_both=0,
        joint=(0,) * 400,
    )
    return WindowRecord(job="j", window_start_us=number, complete=complete, shadow=(shadow,))


def follow(looks: list[list[WindowRecord]], windows: int = 2) -> list[ShadowSoFar]:
    clock = iter(range(100))
    topic: Any = Topic(looks)
    return list(follow_shadow(topic, ("m/1", "m/2"), windows, 10, lambda: None, lambda: float(next(clock))))


def test_a_shadow_run_counts_complete_windows_of_its_pair_once() -> None:
    looks = [[window(1, 10, complete=False)], [window(2, 10), window(3, 10, "m/9")], [window(2, 11)], [window(4, 5)]]
    assert [(one.windows, one.rows) for one in follow(looks)] == [(1, 10), (1, 11), (2, 16)]


def test_a_shadow_run_ends_when_time_is_up() -> None:
    assert [one.windows for one in follow([[window(1, 10)]])] == [1]

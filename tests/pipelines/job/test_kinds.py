"""The contract of a kind of job, held by every kind of the table: a new one is found here by its line there."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from sparsewatch.pipelines.job import kinds
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.kinds import KINDS, expect_kind, kind_named, kinds_that_score_rows, parse_job
from sparsewatch.pipelines.job.ready import Prepared, output_topics, prepare, ready
from sparsewatch.schemas.accounts import Part, sort_parts
from sparsewatch.schemas.block import META, Block, Span
from sparsewatch.schemas.errors import ConfigError, ModelError
from sparsewatch.schemas.jobs import settings_digest
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms import coders
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane
from tests.kit.kind_examples import example_of, job_file

LENGTH_US = 60_000_000
EVENTS = 90
#: Of a job named as the examples are, as it was before kinds had a table: no running job may lose its place.
DIGEST = "16e7e0a942bfaaaf"

#: The examples have models.
pytestmark = pytest.mark.torch
each_kind = pytest.mark.parametrize("kind", KINDS)
#: Parts that the graph of a test gave.
collected: list[bytes] = []


def minimal(kind: str) -> Job:
    return parse_job(job_file(kind, example_of(kind).settings), "x.toml")


@pytest.fixture
def whole(kind: str, tmp_path: Path) -> Job:
    return parse_job(job_file(kind, example_of(kind).all_settings(tmp_path)), "x.toml")


@each_kind
def test_it_is_its_own_kind_and_knows_the_shared_settings(kind: str) -> None:
    job = minimal(kind)
    assert type(job) is kind_named(kind)
    assert job.__struct_config__.tag == kind
    assert job.windows.length == "1m"


@each_kind
def test_its_place_in_a_stream_is_that_of_every_other_kind(kind: str) -> None:
    assert settings_digest(minimal(kind)) == DIGEST


@each_kind
def test_unknown_keys_are_refused_by_name(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.toml: .*unknown key 'colour'"):
        parse_job(job_file(kind, {**example_of(kind).settings, "colour": "red"}), "x.toml")


@pytest.mark.parametrize("settings", [{}, {"kind": "clicks"}, {"kind": ["ctr"]}, {"kind": None}])
def test_an_unknown_kind_is_refused_with_those_there_are(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"^x\.toml: kind: expected one of {', '.join(KINDS)}"):
        parse_job(settings, "x.toml")


def test_a_line_of_the_table_that_fits_no_struct_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    for struct, says in {
        "sparsewatch.pipelines.rows.settings:RowsJob": "with tag='toy', .* has tag='rows'",
        "sparsewatch.pipelines.rows.settings:Nonesuch": "has no attribute 'Nonesuch'",
        "sparsewatch.pipelines.nonesuch.settings:Job": "No module named 'sparsewatch.pipelines.nonesuch'",
    }.items():
        monkeypatch.setattr(kinds, "KINDS", {"toy": struct})
        with pytest.raises(LookupError, match=f"^KINDS, 'toy': expected .*{says}"):
            kind_named("toy")


def test_a_kind_that_names_no_function_to_prepare_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ready(minimal("ctr"))
    monkeypatch.delattr(type(made.job), "prepared_by")
    with pytest.raises(LookupError, match=r"^CtrJob\.prepared_by: expected the `module:name` of an object, got ''"):
        prepare(made)


def test_a_kind_without_example_is_sent_to_the_guide() -> None:
    with pytest.raises(AssertionError, match=r"^tests/pipelines/nonesuch/example\.py: .* see CONTRIBUTING\.md"):
        example_of("nonesuch")


def test_any_value_error_of_a_check_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(job: Job) -> None:
        raise ValueError("label: no such column")

    monkeypatch.setattr(kind_named("ctr"), "check", check)
    with pytest.raises(ConfigError, match=r"^x\.toml: label: no such column"):
        minimal("ctr")


@each_kind
def test_a_command_of_another_kind_refuses_it_by_name(kind: str) -> None:
    for other in KINDS:
        if other == kind:
            assert expect_kind(minimal(kind), kind_named(other), "x.toml", "why").name == "example"
            continue
        with pytest.raises(ConfigError, match=rf"^x\.toml: expected a job of kind '{other}', why; got .*'{kind}'"):
            expect_kind(minimal(kind), kind_named(other), "x.toml", "why")


@each_kind
def test_its_events_have_columns_and_a_time(kind: str) -> None:
    events = ready(minimal(kind)).events
    names = events.columns.names
    assert names[0] == events.time_column == "t"
    assert len(set(names)) == len(names)
    assert set(events.required) | {events.label} - {None} <= set(names[1:])
    assert example_of(kind).events(2, 0).schema.names == names[1:]


@each_kind
def test_its_topics_are_its_own_and_state_is_compacted(kind: str, whole: Job) -> None:
    topics = [topic.name for topic in output_topics(ready(whole))]
    assert len(set(topics)) == len(topics)
    assert all(name.startswith(("example.", "events.")) for name in topics)
    compacted = {topic.name for topic in output_topics(ready(whole)) if topic.compact}
    assert compacted >= {f"example.{side.what}" for side in whole.side_topics() if side.state}


@each_kind
def test_what_it_scores_are_its_columns(kind: str) -> None:
    job = minimal(kind)
    assert set(job.scored_columns) <= set(ready(job).events.columns.names)
    assert bool(job.scored_columns) == job.scores_rows == (kind in kinds_that_score_rows())


@each_kind
def test_a_model_that_is_missing_is_named(kind: str) -> None:
    job = minimal(kind)
    if "none/" not in str(example_of(kind).settings):
        assert prepare(ready(job)).conclude is not None
        return
    with pytest.raises(ModelError, match=r"no model in .*none/"):
        prepare(ready(job))


@each_kind
def test_its_settings_are_read_without_beam_and_torch(kind: str) -> None:
    code = (
        "import sys; from sparsewatch.pipelines.job.kinds import parse_job; "
        "from sparsewatch.pipelines.job.ready import ready; "
        f"ready(parse_job({job_file(kind, example_of(kind).settings)!r}, 'x')); "
        "print(sorted({'torch', 'apache_beam'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@each_kind
def test_it_looks_back_if_it_has_a_topic_of_panes(kind: str, whole: Job) -> None:
    prepared = prepare(ready(whole))
    panes = any(side.what == "panes" for side in whole.side_topics())
    assert panes == (prepared.look_back is not None)
    if prepared.look_back is not None:
        assert prepared.look_back.panes >= 2


@each_kind
def test_its_parts_can_be_sent_to_workers(kind: str, whole: Job) -> None:
    prepared = prepare(ready(whole))
    for part in (prepared.conclude, prepared.look_back):
        assert type(pickle.loads(pickle.dumps(part))) is type(part)


@each_kind
def test_a_window_without_rows_is_concluded(kind: str, whole: Job) -> None:
    prepared = prepare(ready(whole))
    conclusion = prepared.conclude(Window(0, LENGTH_US), [])
    assert conclusion.rows == 0
    # Of the kinds, clicks have a reference, which knows no window without rows.
    by_reference = [] if prepared.own_volume else ["volume_low"]
    assert [(finding.rule, finding.value) for finding in conclusion.findings] == [(rule, 0) for rule in by_reference]
    assert prepared.conclude(Window(0, LENGTH_US, complete=False), []).findings == []
    # No figure about rows stands for a window that has none.
    assert {sample.value for sample in conclusion.metrics} <= {0}


@each_kind
def test_a_view_of_windows_without_rows_finds_nothing(kind: str, whole: Job) -> None:
    with FakeBroker() as broker:
        prepared = prepare(ready(msgspec.structs.replace(whole, kafka=broker.settings)))
        panes = [
            Pane(start, start + LENGTH_US, pane, learned=True)
            for start in (0, LENGTH_US)
            if (pane := prepared.conclude(Window(start, start + LENGTH_US), []).pane) is not None
        ]
        # A kind whose windows without rows leave no pane has no view of them.
        views = [prepared.look_back(pane, panes[:i]) for i, pane in enumerate(panes) if prepared.look_back is not None]
    assert [view.findings for view in views] == [[] for _ in panes]


@each_kind
def test_blocks_in_any_split_and_order_conclude_the_same(kind: str, whole: Job) -> None:
    rows = example_of(kind).events(EVENTS, 5)
    at_once, split = ([block(rows, *cut) for cut in cuts] for cuts in ([(0, EVENTS)], [(60, 90), (0, 25), (25, 60)]))
    with FakeBroker() as broker:
        prepared = prepare(ready(msgspec.structs.replace(whole, kafka=broker.settings)))
        first = conclude(prepared, measures_of(prepared, at_once))
        again = conclude(prepared, [data for one in split for data in measures_of(prepared, [one])])
    assert first.rows == again.rows == EVENTS
    assert msgspec.json.encode(again.summary) == msgspec.json.encode(first.summary)
    assert (again.findings, again.metrics, again.pane) == (first.findings, first.metrics, first.pane)
    assert [tuple(record) for record in again.records] == [tuple(record) for record in first.records]


def block(rows: pa.RecordBatch, start: int, end: int) -> Block:
    """Rows of one partition, a second apart."""
    place = np.arange(start, end)
    meta = [np.zeros(end - start), place, np.zeros(end - start), place * 500_000]
    arrays = [pa.array(values).cast(field.type) for values, field in zip(meta, META, strict=True)]
    own = rows.slice(start, end - start)
    whole = pa.RecordBatch.from_arrays([*own.columns, *arrays], schema=pa.schema([*own.schema, *META]))
    return Block((Span("events", 0, start, end),), whole)


def measures_of(prepared: Prepared, blocks: Sequence[Block]) -> list[bytes]:
    """What the kind's step leaves of a window of these blocks."""
    coders.register()
    collected.clear()
    with TestPipeline(runner="FnApiRunner") as pipeline:
        source = pipeline | beam.Create([TimestampedValue(one, 1) for one in blocks], reshuffle=False)
        windowed = source | beam.Map(lambda one: one).with_output_types(Block) | beam.WindowInto(FixedWindows(60))
        _ = windowed | prepared.measure | "Collect" >> beam.Map(collect)
    return list(sort_parts(collected).measures)


def collect(part: Part) -> None:
    collected.append(part[1])


def conclude(prepared: Prepared, measures: Sequence[bytes]) -> Conclusion:
    return prepared.conclude(Window(0, LENGTH_US), measures)

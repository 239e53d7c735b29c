"""A value of each stored format, made by seeded code: what the bytes in tests/golden hold."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.detectors.artefacts.versions import HISTORY, Move, history
from sparsewatch.detectors.conformal import FINE_BINS, P_VALUE_BINS
from sparsewatch.detectors.counts.column_sketches import ColumnSketches
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.detectors.outrank.feature_cost import ColumnSize
from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.detectors.rows.encoding.statistics import EncoderStatistics
from sparsewatch.detectors.rows.windows.checks import Drift
from sparsewatch.detectors.rows.windows.monitored_inference import InferenceReport, OddRow, WatchedRows
from sparsewatch.detectors.rows.windows.shadow import Shadows, ShadowScores
from sparsewatch.detectors.rows.windows.summary import ModelScores, RowScores, WorstRow
from sparsewatch.detectors.rows.windows.usual import Level
from sparsewatch.detectors.sparse_net.checkpoint import Checkpoint
from sparsewatch.detectors.wafers.usual_rates import Shown
from sparsewatch.detectors.wafers.window_counts import NovelWafer, WaferCounts
from sparsewatch.pipelines.ctr import whole_rows
from sparsewatch.pipelines.ctr.learned_pane import LearnedPane
from sparsewatch.pipelines.ctr.sliding import ClickPane
from sparsewatch.pipelines.retrain.log import LOG, Entry, note
from sparsewatch.pipelines.rows.kept_rows import RowPane
from sparsewatch.pipelines.rows.learning import LearnedRows
from sparsewatch.pipelines.train.checkpoint_file import CheckpointFile
from sparsewatch.pipelines.train.file_sample import FileSample
from sparsewatch.pipelines.wafer.kept_wafers import WaferPane
from sparsewatch.pipelines.wafer.learning import LearnedWafers
from sparsewatch.schemas.accounts import (
    Account,
    Marker,
    OpenWindow,
    PartitionState,
    Progress,
    ReaderState,
    ResumePoint,
)
from sparsewatch.schemas.alerts import Finding, MetricSample
from sparsewatch.schemas.block import EVENT_TIME_US, META, Block, Span
from sparsewatch.schemas.instances import Instance, Standing
from sparsewatch.schemas.mistyped import Example, MistypedCells, MistypedColumn
from sparsewatch.schemas.orders import Named, Order, identified
from sparsewatch.schemas.other_fields import OtherFields
from sparsewatch.schemas.patterns import Decision, NovelLooking, Pattern
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.schemas.slow_changes import Moved, Observation, Observed, Watched
from sparsewatch.schemas.stored import Bytes, table_to_bytes
from sparsewatch.transforms.coders import (
    Aside,
)
from sparsewatch.transforms.inference.sample import InferenceSample
from sparsewatch.transforms.window import measure
from sparsewatch.transforms.window.books import Books
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.measure import Conclusion, Record, Window
from sparsewatch.transforms.window.panes import Pane, _chunks, _joined
from tests.kit.novel_wafers import DIAGONAL

HOUR_US = 3_600_000_000

# Elements that lie in checkpoints and travel between stages.
COLUMNS = pa.schema([("site", pa.string()), ("x_um", pa.list_(pa.float32())), ("label", pa.int64()), *META])
BLOCK = Block(
    (Span("clicks", 0, 5, 7), Span("clicks", 2, 1 << 40, (1 << 40) + 1)),
    pa.RecordBatch.from_pylist(
        [
            {
                "site": "é",
                "x_um": [1.5, None],
                "label": 1,
                "_partition": 0,
                "_offset": 5,
                "_row": 0,
                "_event_time_us": 7,
            },
            {"site": None, "x_um": [], "label": 0, "_partition": 0, "_offset": 6, "_row": 3, "_event_time_us": 8},
            {"site": "", "x_um": None, "label": 0, "_partition": 2, "_offset": 1 << 40, "_row": 0, "_event_time_us": 9},
        ],
        schema=COLUMNS,
    ),
)
MISTYPED = MistypedCells(
    {
        "label": MistypedColumn(
            {"bool": 2, "str": 1}, (Example(0, 5, 0, "str", "'é'"), Example(0, 6, 3, "bool", "True"))
        ),
        "site": MistypedColumn({"not finite": 1 << 40}, ()),
    }
)
OTHERS = OtherFields({"price_eur": 3, "ä": 1 << 40})
STATE = ReaderState(
    partitions=(
        PartitionState(0, 7, 8, 3, (OpenWindow(0, 5, -(2**62), 2),)),
        PartitionState(2, (1 << 40) + 1, -(2**62), 0),
    ),
    closed_end_us=60_000_000,
    late=1,
    rejected=2,
    markers=3,
    began=True,
    stop=(9, 10),
    silent=(2,),
)
MARKER = Marker(
    reader=1,
    sequence=3,
    window_us=0,
    window_end_us=60_000_000,
    account=Account(counted=2, late=1, rejected=2),
    complete=False,
    resume={0: ResumePoint(offset=5, newest_us=-(2**62), high=7)},
)
ASIDE = Aside(
    (
        SideRecord(
            kind="reject",
            topic="clicks",
            partition=0,
            offset=6,
            timestamp_ms=-1,
            key=None,
            value=b"\x00\xff",
            headers=(("trace", b"\xfe"), ("trace", b"")),
            code="broken_json",
            message="expected one JSON object",
        ),
    )
)
RANKED = RankedFeature(
    feature="site",
    rank=1,
    score=0.25,
    cardinality=3,
    coverage=0.75,
    mutual_information=0.375,
    expected=0.125,
    noise=0.0625,
    normalised=0.5,
    p_value=0.001,
    standard_error=0.03125,
    score_error=0.0,
)


def type_counts() -> TypeCounts:
    """Counts of two columns."""
    counts = TypeCounts(("site", "label"))
    counts.update(BLOCK.rows, MISTYPED)
    return counts


def clicks(n: int) -> pa.RecordBatch:
    """Rows of every kind of value that is counted, missing values among them."""
    rng = np.random.default_rng(11)
    site = [None if i % 7 == 0 else f"site {i % 5} é" for i in range(n)]
    return pa.record_batch(
        {
            "site": pa.array(site, pa.string()),
            "hour": pa.array(rng.integers(-3, 20, n)),
            "price": pa.array([None if i % 9 == 0 else i / 8 for i in range(n)], pa.float64()),
            "flag": pa.array((np.arange(n) % 3 == 0).tolist(), pa.bool_()),
            "none": pa.nulls(n),
            "click": pa.array(rng.integers(0, 2, n)),
        }
    )


FEATURES = ("site", "hour", "price", "flag", "none")


def feature_counts(max_values: int, numbers: tuple[str, ...] = ()) -> FeatureCounts:
    """Counts of `clicks`, which has up to 120 values a feature."""
    counts = FeatureCounts(FEATURES, "click", max_values=max_values, numbers=numbers)
    counts.update(clicks(120))
    return counts


def row_sample() -> RowSample:
    """A sample of 32 rows of `clicks`."""
    sample = RowSample(FEATURES, 32)
    sample.update(clicks(120), row_identities(np.arange(120)))
    return sample


def file_sample() -> FileSample:
    """A sample of 24 rows of two files."""
    sample = FileSample(("site", "hour", "price", "flag"), 24, seed=3)
    sample.add_file(Path("a.csv"), [clicks(60)])
    sample.add_file(Path("b.csv"), [clicks(90)])
    return sample


def inference_sample() -> InferenceSample:
    """A sample of no results; the rows of a sample with results are a `RowSample`."""
    return InferenceSample(16, ("amount",), ("id",))


def column_sketches() -> ColumnSketches:
    """Sketches of so few numbers that they hold all of them, so nothing in them is random."""
    sketches = ColumnSketches(("hour", "price"))
    sketches.update(clicks(120))
    return sketches


def encoder_statistics() -> EncoderStatistics:
    """As for `column_sketches`."""
    statistics = EncoderStatistics(("site", "hour", "price", "flag"), categorical=("hour",), most_values=8)
    statistics.update(clicks(120))
    return statistics


def _spread(n: int, at: int, rows: int) -> tuple[int, ...]:
    return tuple(rows if i == at else 0 for i in range(n))


ROW_SCORES = RowScores(
    models=(
        ModelScores(
            model="fab/0001",
            alarm_rate=0.01,
            columns=("amount", "weight"),
            calibration=_spread(FINE_BINS, 3, 400),
            p_values=_spread(FINE_BINS, 1, 7),
            above=7,
            carried=(5, 2),
        ),
    ),
    worst=(
        WorstRow(0.0025, 9.5, 0, 17, 2, (("amount", 3.25), ("weight", 0.5)), "fab/0001", {EVENT_TIME_US: 7, "id": "é"}),
    ),
    results=3,
)
SHADOWS = Shadows(
    (
        ShadowScores(
            present="fab/0001",
            candidate="fab/0002",
            alarm_rate=0.01,
            present_calibration=400,
            candidate_calibration=399,
            rows=9,
            above_present=2,
            above_candidate=3,
            above_both=1,
            joint=_spread(P_VALUE_BINS**2, 21, 9),
        ),
    )
)
WATCHED = WatchedRows(scores=ROW_SCORES, by_model={"a": 3, "b": 4}, unusable=1)

REPORT = InferenceReport(
    window_start_us=0,
    window_end_us=HOUR_US,
    judged_by={"inputs/0001": 7},
    by_model={"a": 7},
    rows=7,
    unusable=1,
    above=1,
    share_above=0.125,
    p_values=_spread(P_VALUE_BINS, 2, 7),
    drift=Drift(model="inputs/0001", rows=7, distance=0.5, chance=0.25, psi=1.5, at=0.05, share=0.5, usual=0.0625),
    worst=(OddRow(p_value=0.0025, score=9.5, blamed={"amount": 3.25}, values={"amount": 7.5, "site": None}),),
    findings=(
        Finding(
            rule="row_drift",
            subject="rows",
            severity="warning",
            value=0.5,
            threshold=0.25,
            baseline=0.0,
            message="p-values moved",
            evidence={"chance": 0.25},
        ),
    ),
)


def novel_looking(number: int) -> NovelLooking:
    """A wafer with an embedding of two numbers."""
    return NovelLooking(
        p_value=0.01 * number,
        id=f"t/0/{number}/0",
        wafer_id=f"W{number}",
        lot="L1",
        tool="T1",
        event_time_us=number,
        novelty=9.0,
        nearest="center",
        space="0123456789abcdef",
        embedding=np.array([0.5, -2], "<f4").tobytes(),
        map=DIAGONAL,
    )


WAFER_COUNTS = WaferCounts(
    wafers=5,
    defects=99,
    verdicts={"known": 3, "novel": 2},
    patterns={"center": 3},
    models={"wafers/0001": 5},
    false_novel_rates={"wafers/0001": 0.02},
    novel=[NovelWafer(0.01, "t/0/1/0", "W1", "L1", "T1", "center", 9.0)],
    looking_novel=[novel_looking(1), novel_looking(2)],
)
PROGRESS = Progress(
    job="clicks",
    topic="t",
    settings="0123456789abcdef",
    closed_end_us=2 * HOUR_US,
    partitions={0: ResumePoint(offset=5, newest_us=-(2**62), high=7), 3: ResumePoint(offset=1, newest_us=9, high=1)},
    sequences={0: 4, 1: 4},
    totals=Account(counted=100, late=2, rejected=1),
    windows=4,
)
#: Also with fields that the first release did not have.
WATCHING = msgspec.structs.replace(
    PROGRESS,
    watched=(
        Watched("feature_nulls", "site", np.zeros(24, "<f4").tobytes()),
        Watched("click_rate_shift", "stream", moved=Moved(HOUR_US, -4.5, 2.0, 1e-6, back=0.5)),
    ),
)
STANDING = Standing(
    **msgspec.structs.asdict(WATCHING),
    instance=Instance(generation=3, id="0123456789abcdef", host="here", pid=7, started_us=HOUR_US),
)
PATTERN = Pattern(
    id="p-1",
    job="wafers",
    space="0123456789abcdef",
    model="wafers/0001",
    raised_us=HOUR_US,
    updated_us=2 * HOUR_US,
    statistic=12.5,
    threshold=9.0,
    expected=0.25,
    reach=3.5,
    compactness=0.75,
    wafers=2,
    lots={"L1": 2},
    tools={"T1": 2},
    nearest={"center": 2},
    first_seen_us=1,
    last_seen_us=2,
    members=[novel_looking(1), novel_looking(2)],
    total_map=np.ones(4, "<f4").tobytes(),
)
DECISION = Decision(id="p-1", status="named", decided_us=5, name="scratch", model="wafers/0002")
ORDER = identified(
    Order(
        job="clicks",
        verb="mute",
        by="ada",
        at_us=5,
        why="known",
        from_us=2 * HOUR_US,
        incident="clicks-17",
        subjects=("site",),
        findings=(Named("feature_nulls", "site"),),
        since_us=HOUR_US,
        until_us=4 * HOUR_US,
        cancels=("0123456789ab",),
    )
)
RETRAINED = Entry(
    at=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
    version="0002",
    present="0001",
    what="refused",
    reasons=("it alarms more often",),
    figures={"rows": 9, "share": 0.5},
)
WAFER_PANE = WaferPane(wafers=5, looking_novel=[novel_looking(1)])
#: As `transforms.window.write_windows` writes it, with what retraining reads of it.
WINDOW_RECORD = {
    "job": "fab",
    "window_start_us": HOUR_US,
    "window_end_us": 2 * HOUR_US,
    "complete": True,
    "counted": 9,
    "alerts": ["0123456789abcdef"],
    "row_scores": {"models": {"fab/0001": 9}, "drift": {"distance": 0.25, "chance": 0.01}},
    "shadow": [SHADOWS.pairs[0].to_json()],
}
METRIC = MetricSample(
    name="sparsewatch_window_rows",
    kind="gauge",
    help="Rows of the window.",
    value=9.0,
    labels={"job": "clicks", "feature": "é"},
)
MOVES = [
    Move(at=datetime(2026, 5, 4, tzinfo=UTC), before=None, after="0001", why="saved"),
    Move(at=datetime(2026, 5, 5, tzinfo=UTC), before="0001", after="0002", why="promoted"),
]
CHECKPOINT = Checkpoint({"net.weight": np.array([[0.5, -2]], np.float32)}, {"epoch": 3, "best_score": 0.5})
ACK = Ack(late=1, rejected=2, results=3)
#: What travels between the stages of a window: the states of its measures, which are formats of their own.
MEASURES: tuple[tuple[str, Any, Any], ...] = (
    ("measure-parts", measure, measure._Parts({"counts": b"counts", "scores": b"scores"})),
    ("column-sizes", whole_rows, whole_rows._Sizes({"site": ColumnSize(120, 900)})),
)
#: A state large enough to be packed.
PACKED = bytes(range(256)) * 100
PANE = Pane(HOUR_US, 2 * HOUR_US, b"state", True)
CLOSED = Closed(
    Window(0, 60_000_000, complete=False),
    (MARKER,),
    Conclusion(
        rows=2,
        summary={"counted": 2, "ranking": [{"feature": "é", "score": 0.5}], "none": None},
        findings=[Finding(rule="r", subject="s", severity="info", value=1.0, threshold=2.0, baseline=3.0, message="m")],
        metrics=[METRIC],
        pane=b"state",
        records=[Record("t", b"key", b"value")],
        observed=Observed(
            (Observation("click_rate_shift", "stream", 5, 100, 0.1, 0.003, 0.0, 0.001, 48, 1e-4),),
            {"kind": "fixed"},
        ),
    ),
    fault=Finding(
        rule="books_unbalanced",
        subject="stream",
        severity="critical",
        value=1.0,
        threshold=2.0,
        baseline=2.0,
        message="m",
        evidence={"stated": {"counted": 2}, "found": {"counted": 1}},
    ),
)
BOOKS = Books(WATCHING, 2 * HOUR_US, stopped=2, due_us=3 * HOUR_US, mark="0123456789abcdef")


def _counts_said(data: Bytes) -> Any:
    counts = FeatureCounts.from_bytes(data)
    tables = {name: counts.table(name).to_dicts() for name in counts.features}
    return counts.rows, counts.clicks, tables, [counts.others(name) for name in counts.features]


def _sample_said(data: bytes) -> Any:
    sample = RowSample.from_bytes(data)
    return sample.columns, sample.capacity, sample.rows_seen, sample.rows().to_pylist()


def _file_sample_said(data: bytes) -> Any:
    sample = FileSample.from_bytes(data)
    return sample.files, sample.seed, sample.table().to_pylist(), sample.table().schema


def _sketches_said(data: bytes) -> Any:
    sketches = ColumnSketches.from_bytes(data)
    return {name: sketches.summary(name) for name in sketches.columns}


def _statistics_said(data: bytes) -> Any:
    return EncoderStatistics.from_bytes(data).to_bytes()


def _click_pane_said(data: bytes) -> Any:
    pane = ClickPane.from_bytes(data)
    return pane.complete, pane.reported, pane.ranking, _counts_said(pane.counts)


def _row_pane_said(data: bytes) -> Any:
    pane = RowPane.from_bytes(data)
    return pane.rows, _sample_said(pane.sample)


def _click_pane() -> ClickPane:
    return ClickPane(complete=True, reported=["site"], ranking=[RANKED], counts=feature_counts(1_000).to_bytes())


def _learned_pane() -> LearnedPane:
    history = np.array([[60_000_000, 1_000, 100]], np.int64).tobytes()
    counts = feature_counts(1_000).to_bytes()
    rows = table_to_bytes(pa.table({"site": ["a", None], "click": [0, 1]}), compression="lz4")
    return LearnedPane(
        suspect=["site"],
        ranking=msgspec.Raw(msgspec.msgpack.encode([RANKED])),
        counts=memoryview(counts),
        history=history,
        sample=memoryview(rows),
    )


def _learned_pane_said(data: bytes) -> Any:
    pane = LearnedPane.from_bytes(data)
    rows = pane.rows().to_pylist()
    return pane.suspect, pane.ranked(), _counts_said(pane.counts), pane.history, rows


def _row_pane() -> RowPane:
    return RowPane(rows=120, sample=row_sample().to_bytes())


LEARNED_WAFERS = LearnedWafers(
    shown=(
        Shown("", "", 50, {"": 2, "scratch": 3, "normal": 45}),
        Shown("tool", "T1", 20, {"scratch": 3, "normal": 17}),
        Shown("tool", "T2", 30, {"": 2, "normal": 28}),
    ),
    suspect=("scratch", "wafers"),
    found=("scratch",),
)
LEARNED_ROWS = LearnedRows(suspect=("flow",), levels=(Level("columns_moved", "flow", 0.3),))


def _pane(pane: Pane = PANE) -> bytes:
    ((_, chunk),) = _chunks(pane, "clicks", PANE.start_us // (PANE.end_us - PANE.start_us) % 4)
    return msgspec.msgpack.encode(chunk)


def _note() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        note(Path(folder), RETRAINED)
        return (Path(folder) / LOG).read_bytes()


def _history(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / HISTORY).write_bytes(data)
        return history(Path(folder))


def _pane_said(data: bytes) -> Any:
    return list(_joined({b"clicks/0/0": data}).values())


def _checkpoint() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = CheckpointFile(Path(folder) / "file.safetensors")
        file.write(CHECKPOINT)
        return file.path.read_bytes()


def _checkpoint_said(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = CheckpointFile(Path(folder) / "file.safetensors")
        file.path.write_bytes(data)
        found = file.read()
        return found and (found.meta, {name: tensor.tolist() for name, tensor in found.tensors.items()})

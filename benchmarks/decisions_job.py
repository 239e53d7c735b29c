"""A job's own decisions, window by window, without a broker: the code of the job on measured windows, in its order.

A job is made ready as `sparsewatch run` makes it ready; its measure, `close_window` and `DecideInOrder` decide. Alerts
and incidents are compared with those of the whole job, on a broker in memory, by
`tests/benchmarks/test_decisions_job.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.faults.stretch import TIME
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.kinds import parse_job
from sparsewatch.pipelines.job.ready import prepare, ready
from sparsewatch.schemas.accounts import NEVER_US, Account, Marker, WindowParts
from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.block import META, Block, Span
from sparsewatch.schemas.incidents import incident_id
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.transforms.codecs.other_fields import looked_at
from sparsewatch.transforms.codecs.wrong_cells import WrongCells, summed, wrong_column
from sparsewatch.transforms.window import decide
from sparsewatch.transforms.window.close_windows import close_window
from sparsewatch.transforms.window.in_memory import DecideInOrder, Remembered, view_in_memory
from sparsewatch.transforms.window.judge_stream import StreamRules
from sparsewatch.transforms.window.measure import Measure, measuring
from sparsewatch.transforms.window.recognise_wafers import Recognise

_JOB = "bench"
_TYPES = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
#: Values of another type than their column's, null where a cell fits; by column, as long as the rows.
Wrong = Mapping[str, pl.Series]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A window as its readers give it."""

    start_us: int
    end_us: int
    state: bytes
    rows: int
    #: Events that came too late for their window, or cannot be used, while this window was open.
    late: int = 0
    rejected: int = 0
    #: Fields of its events that are no columns.
    others: OtherFields = NO_OTHERS
    #: Records of single events that it wrote, as a wafer job does.
    results: int = 0


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What a job decides of a window."""

    alerts: list[Alert]
    #: Incidents that it opened or opened again, by id.
    opened: tuple[str, ...] = ()
    #: Subject of the root suspect of each incident behind it, by id.
    roots: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def untold(self) -> str | None:
        """Why nothing was compared; None where something was."""
        baseline = self.summary.get("baseline", {})
        return "learning" if baseline.get("kind") == "learning" else None


class WindowedJob:
    """A job without its source and its topics.

    Args:
        settings: As in a job file, without the tables that say where events come from.
        length_us: Length of its windows.
    """

    def __init__(self, settings: dict[str, Any], length_us: int) -> None:
        self.settings = settings
        self.job: Job = parse_job(
            {
                "name": _JOB,
                "kafka": {"bootstrap_servers": ["localhost:9092"]},
                "source": {"topic": "events", "time_column": TIME, "time_format": "epoch_us"},
                "windows": {"length": f"{length_us // 1_000_000}s"},
                **settings,
            },
            "benchmark",
        )
        self._made = ready(self.job)
        self._parts = prepare(self._made)
        stream = StreamRules(self.job.stream.within(self.job.allowance), self._parts.own_volume)
        self._decide = DecideInOrder(
            self._made.identity, view_in_memory(self._parts.look_back), stream, self.job.incidents, self._parts.learning
        )
        #: How it learns its baseline, if it does.
        self.learning = self._parts.learning
        self.first = self._decide.first

    # With its label a transform is wrapped; what it holds is what workers get.
    @property
    def new(self) -> Callable[[], Measure]:
        """An empty measure of a job of clicks or rows."""
        made: Callable[[], Measure] = cast("Any", measuring(self._parts.measure)).new
        return made

    @property
    def recognise(self) -> Recognise:
        """Verdicts on a block of wafers, by a job of wafers."""
        found: Recognise = cast("Any", measuring(self._parts.measure)).recognise
        return found

    def decide(self, state: Remembered, measured: Measured, orders: Sequence[Order] = ()) -> tuple[Decided, Remembered]:
        """What the job finds in the window that follows a state, by the orders in force, and the state after it."""
        # The first window of a job may be incomplete.
        complete = state.books.taken_us != NEVER_US
        closed = close_window(
            measured.start_us, measured.end_us, self._window_parts(state, measured, complete), self._parts.conclude
        )
        assert closed is not None
        decided, behind = self._decide(state, closed, orders)
        return _told(decided), behind

    def _window_parts(self, state: Remembered, measured: Measured, complete: bool) -> WindowParts:
        account = Account(counted=measured.rows, late=measured.late, rejected=measured.rejected)
        marker = Marker(
            reader=0,
            sequence=state.books.progress.sequences.get(0, 0) + 1,
            window_us=measured.start_us,
            window_end_us=measured.end_us,
            account=account,
            complete=complete,
            resume={},
            events=account.read,
        )
        reasons = {"bad_label": measured.rejected} if measured.rejected else {}
        acks = Ack(results=measured.results, late=measured.late, rejected=measured.rejected, reasons=reasons)
        return WindowParts((measured.state,) if measured.rows else (), acks, (marker,), measured.others)


def _told(decided: decide.Decided) -> Decided:
    raised = decided.raised
    return Decided(
        alerts=raised.alerts,
        opened=tuple(one.id for one in raised.incidents if one.change in ("opened", "reopened")),
        roots={incident_id(_JOB, one.number): one.members[0].subject for one in raised.known.known},
        summary=decided.whole.summary,
    )


def measure_window(
    new: Callable[[], Measure],
    columns: Mapping[str, str],
    rows: pl.DataFrame,
    window: tuple[int, int],
    *,
    wrong: Wrong | None = None,
) -> Measured:
    """Measure the rows of a window as one block.

    Args:
        new: Makes an empty measure.
        columns: Type of each column, as the job declares it; others are fields that it does not name.
        rows: With the columns and `TIME`.
        window: Start and end, microseconds.
        wrong: Values of another type.
    """
    state = b""
    if rows.height:
        measure = new()
        measure.add(block_of(rows, columns, wrong or {}))
        state = measure.to_bytes()
    others = _others(rows, columns, window[0])
    return Measured(start_us=window[0], end_us=window[1], state=state, rows=rows.height, others=others)


def _others(rows: pl.DataFrame, columns: Mapping[str, str], first: int) -> OtherFields:
    """As of JSON events of one partition, of which a field without a value is absent; `first` is the first offset."""
    names = sorted(set(rows.columns) - {TIME, *columns})
    looked = looked_at(np.zeros(rows.height, np.int32), first + np.arange(rows.height)) if names else None
    found = {name: int(rows[name].is_not_null().to_numpy()[looked].sum()) for name in names}
    return OtherFields({name: records for name, records in found.items() if records})


def block_of(rows: pl.DataFrame, columns: Mapping[str, str], wrong: Wrong) -> Block:
    """Rows as the source gives them; cells of another type are null and counted, as its decoder counts them."""
    n = rows.height
    places = np.arange(n)
    zeros = np.zeros(n, np.int64)
    kept = _without(rows, wrong).select(list(columns)).to_arrow(compat_level=pl.CompatLevel.oldest())
    cells = [kept.column(name).combine_chunks().cast(_TYPES[kind]) for name, kind in columns.items()]
    own = [zeros, places, zeros, rows[TIME].to_numpy()]
    meta = [pa.array(values, field.type) for values, field in zip(own, META, strict=True)]
    fields = [*(pa.field(name, _TYPES[kind]) for name, kind in columns.items()), *META]
    batch = pa.RecordBatch.from_arrays([*cells, *meta], schema=pa.schema(fields))
    cells_found: WrongCells = {
        name: wrong_column(at, values.to_numpy()[at].tolist())
        for name, values in wrong.items()
        if (at := np.flatnonzero(values.is_not_null().to_numpy())).size
    }
    return Block((Span("events", 0, 0, n),), batch, summed(cells_found, zeros, places, zeros))


def _without(rows: pl.DataFrame, wrong: Wrong) -> pl.DataFrame:
    return rows.with_columns(
        pl.when(values.is_null()).then(pl.col(name)).otherwise(None).alias(name) for name, values in wrong.items()
    )

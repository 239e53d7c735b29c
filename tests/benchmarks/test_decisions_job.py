"""The benchmark's jobs find, window by window, what the whole job writes as alerts."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.decisions_faults import divided
from benchmarks.decisions_job import Measured, WindowedJob, measure_window
from benchmarks.decisions_learn import learning_job, reference_job, rows_job
from benchmarks.decisions_seeded import RECIPES, seeded
from benchmarks.decisions_streams import LABEL, WINDOW_US, Kind, Stream, span_of
from benchmarks.faults import cells
from benchmarks.faults.stretch import Stretch, Target
from sparsewatch import run_job
from sparsewatch.testing import FakeBroker

pytestmark = [pytest.mark.torch, pytest.mark.long]
_LEARNED, _CLEAN, _ODD = 4, 10, 3
#: Behind all events: none of them is of a clock that is ahead.
_NOW_S = span_of(_LEARNED + _CLEAN + _ODD)[1] / 1e6
_TARGET = Target(column="f001", other="f002", number="f000", group=("f001",), label=LABEL)
#: Window, rule, subject, incident.
Alert = tuple[int, str, str, str]


def _stream(kind: Kind, memory: float = 0.0) -> Stream:
    recipe = replace(RECIPES[0], memory=memory)
    return seeded(recipe, kind, features=5, a_window=1_500, count=_LEARNED + _CLEAN + _ODD, seed=7)


def _with_faults(windows: Sequence[pl.DataFrame], label: str | None) -> Stretch:
    """Clean windows, then some with two odd columns; all of one stretch."""
    clean, odd, rng = pl.concat(windows[:-_ODD]), pl.concat(windows[-_ODD:]), np.random.default_rng(0)
    odd = cells.nulls(odd, _TARGET, 0.5, rng).rows if label is None else cells.leak(odd, _TARGET, 1.0, rng).rows
    typed = cells.other_type(odd, replace(_TARGET, column="f002"), 0.3, rng).wrong["f002"]
    none = pl.Series([None] * clean.height, dtype=typed.dtype)
    return Stretch(pl.concat([clean, odd]), {"f002": pl.concat([none, typed])})


def _job(kind: str, stream: Stream, windows: Sequence[pl.DataFrame], folder: Path) -> WindowedJob:
    if kind == "row model":
        return rows_job(stream, windows, folder, sum(rows.height for rows in windows))
    learning = learning_job(stream)
    if kind == "learning":
        return learning
    measured = [measure_window(learning.new, stream.columns, one, span_of(at)) for at, one in enumerate(windows)]
    return reference_job(stream, measured, folder)


def _found(job: WindowedJob, windows: Sequence[Measured]) -> set[Alert]:
    found, state = set(), job.first
    for window in windows:
        decided, state = job.decide(state, window)
        found |= {(window.start_us, one.rule, one.subject, one.incident) for one in decided.alerts}
    return found


def _events(stretch: Stretch) -> Iterator[bytes]:
    for at, event in enumerate(stretch.rows.iter_rows(named=True)):
        wrong = {name: values[at] for name, values in stretch.wrong.items() if values[at] is not None}
        yield json.dumps(event | wrong).encode()


def _alerts(job: WindowedJob, stretch: Stretch) -> set[Alert]:
    """Those of the whole job."""
    with FakeBroker(clock=lambda: _NOW_S) as broker:
        broker.create("events")
        writer = broker.writer()
        for event in _events(stretch):
            writer.send("events", None, event)
        writer.close()
        settings = job.settings | {"kafka": {"bootstrap_servers": broker.settings.bootstrap_servers}}
        run_job(WindowedJob(settings, WINDOW_US).job, "latest", "inprocess")
        alerts = [json.loads(record.value or b"") for record in broker.records("bench.alerts")]
    return {(one["window_start_us"], one["rule"], one["subject"], one["incident"]) for one in alerts}


@pytest.mark.parametrize(("kind", "of"), [("reference", "ctr"), ("learning", "ctr"), ("row model", "rows")])
def test_the_findings_are_the_alerts_of_the_whole_job(kind: str, of: Kind, tmp_path: Path) -> None:
    stream = _stream(of)
    windows = list(stream.windows())
    learned, rest = windows[:_LEARNED], windows[_LEARNED:]
    if kind == "learning":
        # It learns as it goes.
        learned, rest = [], windows
    label = LABEL if of == "ctr" else None
    stretch = _with_faults(rest, label)
    job = _job(kind, stream, learned, tmp_path)
    # The end of a bounded run cuts the last window off.
    *measured, last = divided(job, stream.columns, stretch, len(learned), len(rest), label)
    found = _found(job, measured)
    assert {subject for _, _, subject, _ in found} >= {"f002", "rows" if label is None else "f001"}
    assert found == {alert for alert in _alerts(job, stretch) if alert[0] < last.start_us}

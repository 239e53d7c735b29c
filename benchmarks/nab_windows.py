"""A series of one number as a rows job: the incidents that the job opens, window by window, at its defaults."""

import math
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.decisions_clean import Running
from benchmarks.decisions_job import WindowedJob, measure_window
from benchmarks.decisions_streams import WINDOW_US, span_of, timed
from benchmarks.nab_detectors import COLUMN, row_model
from benchmarks.nab_score import Floats
from sparsewatch.detectors.rows.model import RowModel

_ALARM_RATE = 0.01
_COLUMNS = {COLUMN: "float"}


def by_incidents(values: Floats, rows_a_window: int) -> Floats:
    """1 for the last row of each window in which the job opened an incident, 0 for the others.

    Args:
        values: Of all rows; those behind the last whole window are not judged.
        rows_a_window: Rows of each window, spread evenly over its time.
    """
    scores = np.zeros(len(values))
    with tempfile.TemporaryDirectory(prefix="sparsewatch-nab-") as folder:
        job = _job(row_model(values), Path(folder))
        for number, end in enumerate(range(rows_a_window, len(values) + 1, rows_a_window)):
            rows = timed(pl.DataFrame({COLUMN: values[end - rows_a_window : end]}), number)
            decided = job.next(measure_window(job.job.new, _COLUMNS, rows, span_of(number)))
            scores[end - 1] = bool(decided.opened)
    return scores


def _job(model: RowModel, folder: Path) -> Running:
    rows = {"model": str(model.save(folder / "rows")), "alarm_rate": alarm_rate(len(model.calibration))}
    return Running(WindowedJob({"kind": "rows", "columns": _COLUMNS, "rows": rows}, WINDOW_US))


def alarm_rate(calibration_rows: int) -> float:
    """The job's default rate, or the smallest of four digits that so many calibration rows allow, as `check` names it.

    >>> alarm_rate(150), alarm_rate(37)
    (0.01, 0.0264)
    """
    return max(_ALARM_RATE, math.ceil(10_000 / (calibration_rows + 1)) / 10_000)

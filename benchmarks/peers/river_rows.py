"""River's ADWIN at its defaults on windows of rows: `python river_rows.py FOLDER...`.

One detector a column of numbers, fed row by row, through the learned rows and then the windows of each folder. A window
alarms where any of them detects drift in it.
"""

from collections.abc import Sequence

import pandas as pd
from pandas.api.types import is_numeric_dtype
from river.drift import ADWIN
from window_files import ANY_COLUMN, Verdicts, print_verdicts


def judge(learned: Sequence[pd.DataFrame], windows: Sequence[pd.DataFrame]) -> Verdicts:
    """Whether drift is detected in any column."""
    detectors: dict[str, ADWIN] = {}
    for rows in learned:
        _any_drift(detectors, rows)
    return [{ANY_COLUMN: _any_drift(detectors, rows)} for rows in windows]


def _any_drift(detectors: dict[str, ADWIN], rows: pd.DataFrame) -> bool:
    drifted = False
    for name in rows.columns:
        if not is_numeric_dtype(rows[name]):
            continue
        detector = detectors.setdefault(name, ADWIN())
        for value in rows[name].dropna().tolist():
            detector.update(value)
            drifted |= detector.drift_detected
    return drifted


if __name__ == "__main__":
    print_verdicts(judge)

"""River's ADWIN at its defaults on windows of rows: `python river_rows.py FOLDER...`.

One detector a column of numbers, fed row by row, through the learned rows and then the windows of each folder. A window
alarms where any of them detects drift in it. Prints a list of alarms a folder, as JSON.
"""

import json
import sys
from pathlib import Path

import polars as pl
from river.drift import ADWIN


def alarms(folder: Path) -> list[bool]:
    """Whether each window of a folder alarms."""
    detectors: dict[str, ADWIN] = {}
    found = [_any_drift(detectors, pl.read_parquet(path)) for path in sorted(folder.glob("*.parquet"))]
    # The first file holds what is learned.
    return found[1:]


def _any_drift(detectors: dict[str, ADWIN], rows: pl.DataFrame) -> bool:
    drifted = False
    for name, kind in rows.schema.items():
        if not kind.is_numeric():
            continue
        detector = detectors.setdefault(name, ADWIN())
        for value in rows[name].drop_nulls().to_list():
            detector.update(value)
            drifted |= detector.drift_detected
    return drifted


if __name__ == "__main__":
    print(json.dumps([alarms(Path(folder)) for folder in sys.argv[1:]]))

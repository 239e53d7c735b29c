"""Profiles of clicks by whylogs, one a window: `python whylogs_clicks.py RECORDS.ndjson ROWS`.

Its default metrics: counts, types, distribution, cardinality and frequent items of each column, by sketches.
"""

import sys
from itertools import islice
from pathlib import Path

import orjson
import pandas as pd
from click_counts import BLOCK_ROWS, LABEL, TIME, WINDOW_MS, timed
from whylogs.core import DatasetProfile


def profile(path: Path, most: int) -> tuple[int, int]:
    """Rows and clicks in all profiles."""
    profiles: dict[int, DatasetProfile] = {}
    clicks = 0
    with path.open("rb") as lines:
        while events := [orjson.loads(line) for line in islice(lines, min(BLOCK_ROWS, most))]:
            most -= len(events)
            frame = pd.DataFrame(events)
            clicks += int(frame[LABEL].sum())
            for window, rows in frame.groupby(frame[TIME] // WINDOW_MS):
                profiles.setdefault(int(window), DatasetProfile()).track(rows.drop(columns=TIME))
    views = [found.view() for found in profiles.values()]
    for view in views:
        view.serialize()
    columns = [view.get_column(LABEL) for view in views]
    return int(sum(column.get_metric("counts").n.value for column in columns)), clicks


if __name__ == "__main__":
    timed(lambda _: profile(Path(sys.argv[1]), int(sys.argv[2])))

"""Statistics of clicks by TensorFlow Data Validation, one a window: `python tfdv_clicks.py RECORDS.ndjson ROWS`.

Its default statistics: counts, quantiles, histograms, distinct and top values of each column. It has no call for a
stream outside Beam, so each window's rows are gathered first.
"""

import sys
from itertools import islice
from pathlib import Path

import orjson
import pandas as pd
import tensorflow_data_validation as tfdv
from click_counts import BLOCK_ROWS, LABEL, TIME, WINDOW_MS, timed


def describe(path: Path, most: int) -> tuple[int, int]:
    """Rows in all statistics, and clicks."""
    windows: dict[int, list[pd.DataFrame]] = {}
    clicks = 0
    with path.open("rb") as lines:
        while events := [orjson.loads(line) for line in islice(lines, min(BLOCK_ROWS, most))]:
            most -= len(events)
            frame = pd.DataFrame(events)
            clicks += int(frame[LABEL].sum())
            for window, rows in frame.groupby(frame[TIME] // WINDOW_MS):
                windows.setdefault(int(window), []).append(rows.drop(columns=TIME))
    found = [tfdv.generate_statistics_from_dataframe(pd.concat(parts), n_jobs=1) for parts in windows.values()]
    return int(sum(statistics.datasets[0].num_examples for statistics in found)), clicks


if __name__ == "__main__":
    timed(lambda _: describe(Path(sys.argv[1]), int(sys.argv[2])))

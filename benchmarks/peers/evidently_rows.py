"""Evidently's data drift at its defaults on windows: `python evidently_rows.py FOLDER...`.

Each window beside all learned rows, by the metric with which its data drift preset begins: how many columns drift, each
by the test that it picks for its type and number of rows; a data set drifts where half of them do.
"""

from collections.abc import Sequence

import pandas as pd
from evidently import Report
from evidently.metrics import DriftedColumnsCount
from window_files import ANY_COLUMN, DATASET, Verdicts, print_verdicts


def judge(learned: Sequence[pd.DataFrame], windows: Sequence[pd.DataFrame]) -> Verdicts:
    """Whether the data set drifts, and whether any column does."""
    reference = pd.concat(learned, ignore_index=True)
    return [_verdict(rows, reference) for rows in windows]


def _verdict(rows: pd.DataFrame, reference: pd.DataFrame) -> dict[str, bool]:
    metric = DriftedColumnsCount()
    drifted = Report([metric]).run(rows, reference).dict()["metrics"][0]["value"]
    return {ANY_COLUMN: drifted["count"] > 0, DATASET: drifted["share"] >= metric.drift_share}


if __name__ == "__main__":
    print_verdicts(judge)

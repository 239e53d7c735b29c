"""whylogs's drift scores at their defaults on windows: `python whylogs_viz_rows.py FOLDER...`.

A profile of each window beside one of all learned rows: Kolmogorov-Smirnov's test of a column of numbers, chi-square of
others, each "DRIFT" where p is below 0.05. It has no verdict on a whole data set.
"""

from collections.abc import Sequence

import pandas as pd
import whylogs
from whylogs.core.view.dataset_profile_view import DatasetProfileView
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores
from window_files import ANY_COLUMN, Verdicts, print_verdicts


def judge(learned: Sequence[pd.DataFrame], windows: Sequence[pd.DataFrame]) -> Verdicts:
    """Whether any column drifts."""
    reference = _profile(pd.concat(learned, ignore_index=True))
    return [{ANY_COLUMN: _drifts(_profile(rows), reference)} for rows in windows]


def _profile(rows: pd.DataFrame) -> DatasetProfileView:
    return whylogs.log(rows).view()


def _drifts(window: DatasetProfileView, reference: DatasetProfileView) -> bool:
    scores = calculate_drift_scores(window, reference, with_thresholds=True)
    return any(score is not None and score["drift_category"] == "DRIFT" for score in scores.values())


if __name__ == "__main__":
    print_verdicts(judge)

"""NannyML's univariate drift at its defaults on windows: `python nannyml_rows.py FOLDER...`.

A chunk is a window. Its distance by column is Jensen and Shannon's, to all learned rows; a column alarms beyond three
standard deviations of the distances of the learned windows. It has no verdict on a whole data set.
"""

from collections.abc import Sequence

import nannyml
import pandas as pd
from window_files import ANY_COLUMN, Verdicts, print_verdicts

_TIME = "chunk_time"
_START = pd.Timestamp("2024-01-01")


def judge(learned: Sequence[pd.DataFrame], windows: Sequence[pd.DataFrame]) -> Verdicts:
    """Whether any column drifts."""
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(learned[0].columns), timestamp_column_name=_TIME, chunk_period="h"
    )
    calculator.fit(_by_hour(learned, 0))
    found = calculator.calculate(_by_hour(windows, len(learned))).filter(period="analysis").to_df()
    alerts = found.loc[:, [name for name in found.columns if name[-1] == "alert"]]
    return [{ANY_COLUMN: alarm} for alarm in alerts.any(axis=1)]


def _by_hour(windows: Sequence[pd.DataFrame], first: int) -> pd.DataFrame:
    timed = (rows.assign(**{_TIME: _START + pd.Timedelta(hours=at)}) for at, rows in enumerate(windows, first))
    return pd.concat(timed, ignore_index=True)


if __name__ == "__main__":
    print_verdicts(judge)

"""What a job that scores rows can find in windows of several sizes, at its budget."""

from collections.abc import Iterator

from sparsewatch.detectors.rows.windows.blocks import BlockSpread
from sparsewatch.detectors.rows.windows.checks import least_outliers
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.pipelines.job.ready import Findable

#: Rows of the windows that are told of.
_ROWS = (200, 2_000, 20_000)


def findable_rows(
    calibration_rows: int, blocks: BlockSpread | None, alarm_rate: float, check: RowCheck
) -> Iterator[Findable]:
    """Smallest shares of outliers that are found.

    Args:
        calibration_rows: Of the model.
        blocks: Spread of its shares between stretches of the training data, if that is known.
        alarm_rate: Share of rows like the training data that may exceed its threshold.
        check: Levels and least effects.
    """
    for rows in _ROWS:
        least = least_outliers(rows, alarm_rate, calibration_rows, blocks, check)
        found = "none is found" if least is None else f"{least:.1%} of rows ({alarm_rate:.1%} expected)"
        yield Findable("rise of outliers", found, f"windows of {rows:,} rows")

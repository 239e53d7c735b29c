"""The windows a reference is fitted to, and the values of one feature in them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sparsewatch.detectors.clicks.outlying import PART
from sparsewatch.detectors.clicks.profile import WindowProfile
from sparsewatch.detectors.clicks.rhythm import Figures
from sparsewatch.detectors.clicks.tolerances import Abundances
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE

#: Values of a feature whose shares are known, and the share from which on they are.
MOST_FREQUENT, LEAST_SHARE = 64, 0.001


@dataclass(frozen=True, slots=True)
class Stretch:
    """Windows with rows, in the order of time."""

    windows: Sequence[FeatureCounts]
    profiles: Sequence[WindowProfile]
    #: Start of each window, microseconds since the epoch; None if they are not known.
    starts_us: Sequence[int] | None = None

    def without(self, places: Collection[int]) -> "Stretch":
        """The windows at all other places."""
        return self.at([place for place in range(len(self.windows)) if place not in places])

    def at(self, places: Sequence[int]) -> "Stretch":
        """The windows at these places."""
        return Stretch(
            [self.windows[place] for place in places],
            [self.profiles[place] for place in places],
            None if self.starts_us is None else [self.starts_us[place] for place in places],
        )

    def figures(self, values: Sequence[float], *, share: bool) -> Figures | None:
        """A figure of each window with its time; None if that is not known."""
        if self.starts_us is None:
            return None
        rows = [profile.rows for profile in self.profiles]
        return Figures(np.asarray(values, float), np.asarray(rows, float), np.asarray(self.starts_us, np.int64), share)


class StretchValues:
    """Values of one feature over all windows: all, or those below a limit of the hash that every window has."""

    def __init__(self, windows: Sequence[FeatureCounts], feature: str) -> None:
        self.windows = windows
        self.limit = min(window.hash_limit(feature) for window in windows)
        tables = [
            window.sampled_values(feature, self.limit).table.lazy().with_columns(window=pl.lit(i, pl.Int64))
            for i, window in enumerate(windows)
        ]
        rows = pl.concat(tables, how="vertical_relaxed").collect()
        by_value = (
            rows.lazy()
            .group_by("value")
            .agg(pl.col("rows").sum(), pl.len().alias("windows"), pl.col("window").min().alias("first"))
            .sort("value")
            .collect()
        )
        self.values = by_value["value"]
        #: Rows with a value in each window, those whose value is in no other window, and those whose value is in no
        #: more windows than may be odd.
        self.listed = np.array([window.rows - window.nulls(feature) for window in windows])
        self.alone = _rows_of(rows, by_value, 1, len(windows))
        most = len(windows) // PART
        self.rare = self.alone if most <= 1 else _rows_of(rows, by_value, most, len(windows))
        #: Rows in each window of values that no window before it has.
        self.new = _new_rows(rows, by_value, len(windows))
        self.abundances = Abundances.of(
            by_value["rows"].to_numpy(), scale=HASH_RANGE / self.limit, all_rows=int(self.listed.sum())
        )
        #: The values with most rows, most first, and their rows in each window, shape (n_windows, n).
        self.frequent = _frequent(by_value, LEAST_SHARE * self.abundances.rows)
        self.frequent_rows = _rows_by_window(rows, self.frequent, len(windows))

    def distinct_ratios(self, cardinalities: Sequence[int], listed: Sequence[int]) -> list[float]:
        """Distinct values of windows, divided by those expected of as many rows; windows without a value have none."""
        return [
            cardinality / self.abundances.expected_distinct(rows)
            for cardinality, rows in zip(cardinalities, listed, strict=True)
            if rows
        ]


def _new_rows(rows: pl.DataFrame, by_value: pl.DataFrame, windows: int) -> np.ndarray:
    """Rows in each window of values that no window before it has."""
    first = by_value.lazy().select("value", pl.col("first").alias("window"))
    return _by_window(rows.lazy().join(first, on=["value", "window"], how="semi"), windows)


def _rows_of(rows: pl.DataFrame, by_value: pl.DataFrame, most: int, windows: int) -> np.ndarray:
    """Rows in each window of values that are in at most so many windows."""
    few = by_value.lazy().filter(pl.col("windows") <= most).select("value")
    return _by_window(rows.lazy().join(few, on="value", how="semi"), windows)


def _by_window(rows: pl.LazyFrame, windows: int) -> np.ndarray:
    found = rows.select("window", pl.col("rows") * pl.col("weight")).collect()
    return np.bincount(found["window"].to_numpy(), found["rows"].to_numpy(), minlength=windows)


def _frequent(by_value: pl.DataFrame, least_rows: float) -> pl.Series:
    frequent = by_value.filter(pl.col("rows") >= max(least_rows, 1))
    return frequent.sort(["rows", "value"], descending=[True, False]).head(MOST_FREQUENT)["value"]


def _rows_by_window(rows: pl.DataFrame, values: pl.Series, windows: int) -> np.ndarray:
    places = values.to_frame("value").with_row_index("place")
    found = rows.lazy().join(places.lazy(), on="value").select("window", "place", "rows").collect()
    by_window = np.zeros((windows, values.len()))
    by_window[found["window"].to_numpy(), found["place"].to_numpy()] = found["rows"].to_numpy()
    return by_window

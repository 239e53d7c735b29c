"""Features whose values follow the time are recognised, and their values are not checked."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.timely import timely, told
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from tests.kit.click_streams import findings

ROWS = 600
#: Windows of five minutes in an hour, and the first of the stream in its hour.
HOUR, BEGIN = 12, 4
NAMES = ["hour", "row", "count", "sparse", "site", "rare", "hour_of_day"]


def columns(at: int) -> dict[str, np.ndarray]:
    """A window's values: of three features that follow the time, and of four that do not."""
    rng = np.random.default_rng(at)
    places = at * ROWS + np.arange(ROWS)
    return {
        "hour": np.full(ROWS, (BEGIN + at) // HOUR),
        "row": places,
        "count": places / 7.0,
        # A value in few windows.
        "sparse": np.full(ROWS, at if at in (3, 9) else -1),
        "site": rng.integers(0, 12, ROWS),
        "rare": rng.integers(0, 4_000, ROWS),
        "hour_of_day": np.full(ROWS, at % 6),
    }


def window(at: int, **changed: pa.Array) -> FeatureCounts:
    counts = FeatureCounts(NAMES, "click", numbers=["count"])
    clicks = np.random.default_rng([at, 1]).integers(0, 2, ROWS)
    counts.update(pa.record_batch({**columns(at), **changed, "click": clicks}))
    return counts


@pytest.fixture(scope="module")
def reference() -> Reference:
    sparse = pa.array([7] * (ROWS // 20) + [None] * (ROWS - ROWS // 20), pa.int64())
    return fit_reference([window(at, **({"sparse": sparse} if at == 3 else {})) for at in range(30)])


def test_hours_counters_and_ids_of_rows_follow_the_time(reference: Reference) -> None:
    assert timely(reference.features) == ["count", "hour", "row"]
    assert reference.features["hour"].unseen_share is None
    assert {"hour", "count", "row"}.isdisjoint(reference.shares)
    assert "count" not in reference.numbers


def test_their_values_are_not_checked_in_later_windows(reference: Reference) -> None:
    for at in (30, 40, 90):
        assert findings(window(at), reference) == []


def test_their_missing_values_and_numbers_of_values_are(reference: Reference) -> None:
    missing = pa.array([None] * (ROWS // 2) + [4] * (ROWS - ROWS // 2), pa.int64())
    (found,) = findings(window(31, hour=missing), reference)
    assert (found.rule, found.subject) == ("feature_nulls", "hour")
    (found,) = findings(window(31, row=pa.array([3] * ROWS, pa.int64())), reference)
    assert (found.rule, found.subject) == ("feature_cardinality", "row")


def test_of_few_windows_none_is_called_so() -> None:
    assert timely(fit_reference([window(at) for at in range(5)]).features) == []
    assert timely(fit_reference([window(0)]).features) == []


def test_a_stored_reference_knows_them(reference: Reference, tmp_path: Path) -> None:
    assert timely(Reference.load(reference.save(tmp_path)).features) == ["count", "hour", "row"]


MINUTES_US, HOUR_US, DAY_US = 300_000_000, 3_600_000_000, 86_400_000_000
#: Twenty minutes past nine.
START_US = 1_700_006_400_000_000 + 9 * HOUR_US + 4 * MINUTES_US


def clocked(shown: Callable[[int], int | str], windows: int = 14, length_us: int = MINUTES_US) -> Reference:
    """A reference of windows that show one value each, of a start; the ninth begins with the hour."""
    starts = [START_US + at * MINUTES_US for at in range(windows)]
    if length_us != MINUTES_US:
        starts = [START_US // HOUR_US * HOUR_US + at * length_us for at in range(windows)]
    counts = []
    for start_us in starts:
        own = FeatureCounts(["x"], "click")
        own.update(pa.record_batch({"x": [shown(start_us)] * 300, "click": [0, 1, 0] * 100}))
        counts.append(own)
    return fit_reference(counts, length_us, starts)


def test_what_changes_at_whole_hours_alone_and_never_back_is_a_clock() -> None:
    assert timely(clocked(lambda start_us: start_us // HOUR_US % 24).features) == ["x"]
    # One window later, or back again, or never: no clock.
    assert timely(clocked(lambda start_us: (start_us - MINUTES_US) // HOUR_US % 24).features) == []
    assert timely(clocked(lambda start_us: start_us // HOUR_US % 2, windows=28).features) == []
    assert timely(clocked(lambda _: 7).features) == []


def test_of_windows_of_whole_hours_a_single_change_is_no_clock() -> None:
    assert timely(clocked(lambda start_us: int(start_us > START_US + 9 * HOUR_US), length_us=HOUR_US).features) == []


def test_dates_and_times_since_the_epoch_are_read_before_they_change() -> None:
    date = clocked(lambda start_us: datetime.fromtimestamp(start_us / 1e6, UTC).strftime("%Y-%m-%d"))
    assert timely(date.features) == ["x"]
    assert timely(clocked(lambda start_us: start_us // DAY_US).features) == ["x"]
    assert timely(clocked(lambda _: "2023-10-01").features) == []


def test_they_are_told_in_a_line() -> None:
    assert told(["hour"]) == "hour follows the time: its values are not checked"
    assert told(["hour", "row"]) == "hour, row follow the time: their values are not checked"

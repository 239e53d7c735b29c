"""Event times of files: the same moment in every notation, and what is no time."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.schemas.units import moment_us, parse_moment_us
from sparsewatch.transforms.codecs.events import file_times_us

MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
US = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("written", "time_format"),
    [
        (pa.array([1_700_000_000, None]), "epoch_s"),
        (pa.array([1_700_000_000.0, None]), "epoch_s"),
        (pa.array(["1700000000", None]), "epoch_s"),
        (pa.array(["1700000000.0", None]), "epoch_s"),
        (pa.array([" 1700000000000 ", None], pa.large_string()), "epoch_ms"),
        (pa.array([1_700_000_000_000_000, None]), "epoch_us"),
        (pa.array([MOMENT, None], pa.timestamp("s", "UTC")), "epoch_ms"),
        (pa.array([MOMENT, None], pa.timestamp("ns", "UTC")), "iso8601"),
        (pa.array(["2023-11-14T22:13:20Z", None]), "iso8601"),
        (pa.array(["2023-11-14 22:13:20", None]), "epoch_ms"),
        (pa.array(["2023-11-15T00:13:20+02:00", None]), "epoch_s"),
    ],
)
def test_the_same_moment_in_every_writing(written: Any, time_format: TimeFormat) -> None:
    times, usable = file_times_us(written, time_format)
    assert (times[0], usable.tolist()) == (US, [True, False])


def test_days_begin_at_midnight() -> None:
    times, usable = file_times_us(pa.array([date(1970, 1, 2), None]), "epoch_ms")
    assert (times[0], usable.tolist()) == (86_400_000_000, [True, False])


def test_texts_that_are_no_times_are_not_usable_and_a_column_of_them_is_refused() -> None:
    times, usable = file_times_us(pa.array(["17", "soon", "", "-1", None, "2" * 18]), "epoch_s")
    assert usable.tolist() == [True, False, False, False, False, False]
    assert times[usable] == np.array([17_000_000])
    with pytest.raises(SchemaError, match="event times in the format epoch_ms, got 'yesterday'"):
        file_times_us(pa.array([None, "yesterday"]), "epoch_ms")
    with pytest.raises(SchemaError, match="event times in the format epoch_ms, got list"):
        file_times_us(pa.array([[1]]), "epoch_ms")


def test_a_moment_is_the_same_in_every_zone() -> None:
    there = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert moment_us(MOMENT) == moment_us(there) == parse_moment_us("2023-11-14T22:13:20") == US

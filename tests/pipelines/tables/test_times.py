"""Event times of files: which reading their values have, and what is refused because it has two."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sparsewatch.pipelines.publish.event_files import TimeRule, open_events, read_events
from sparsewatch.pipelines.tables.times import Written, find_written
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.jobs import TimeFormat

START = datetime(2026, 1, 5, 13, 4, 5, tzinfo=UTC)
STEP = timedelta(days=9, hours=1, seconds=7)
MOMENTS = [START + i * STEP for i in range(30)]
US = [int((m - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) for m in MOMENTS]


def found(values: list[Any], expected: TimeFormat = "epoch_ms", asked: str | None = None) -> Written:
    half = len(values) // 2
    return find_written("x.csv", map(pa.array, (values[:half], values[half:])), "t", expected, asked)


def read(values: list[Any], expected: TimeFormat = "epoch_ms", asked: str | None = None) -> list[int | None]:
    times: list[int | None] = found(values, expected, asked).every(pa.array(values), "x.csv").to_list()
    return times


@pytest.mark.parametrize(
    "pattern",
    ["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S"],
)
def test_dates_in_another_order_are_read_where_all_values_agree(pattern: str) -> None:
    texts = [moment.strftime(pattern) for moment in MOMENTS]
    assert read(texts) == US
    [remark] = found(texts).remarks
    assert "x.csv: column 't': all of its times follow %" in remark


def test_a_date_of_two_readings_is_refused_with_both() -> None:
    texts = ["01/02/2026 10:00", "03/04/2026 11:00"]
    expected = r"'01/02/2026 10:00' has two readings; add .* '%d/%m/%Y %H:%M' or --input-time-format '%m/%d/%Y %H:%M'"
    with pytest.raises(ConfigError, match=expected):
        found(texts)
    assert read(texts, asked="%d/%m/%Y %H:%M")[0] == 1_769_940_000_000_000
    # A later value settles it for the whole column, and one that contradicts ends it.
    assert read([*texts, "13/04/2026 11:00"])[0] == 1_769_940_000_000_000
    with pytest.raises(SchemaError, match="dates of one order, got '04/13/2026 11:00' and '13/04/2026 11:00'; --input"):
        found([*texts, "13/04/2026 11:00", "04/13/2026 11:00"])
    with pytest.raises(SchemaError, match="got '01/02/26'; --input-time-format names their format"):
        found(["01/02/26", "13/02/26"])


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("number", "form"),
    [
        (14102100, "%y%m%d%H"),
        (20260105, "%Y%m%d"),
        (20260105130405, "%Y%m%d%H%M%S"),
        (1_767_618_245, "epoch_s"),
        (1_767_618_245_000_000, "epoch_us"),
        (1_767_618_245_000_000_000, "epoch_ns"),
    ],
)
def test_numbers_that_lie_decades_off_are_refused_with_what_they_may_be(as_text: bool, number: int, form: str) -> None:
    values = [str(number) if as_text else number] * 4
    with pytest.raises(ConfigError, match=rf"{number}.* .* 20\d\d-.* --input-time-format '{form}'"):
        found(values)
    [year] = {np.datetime64(us, "us").astype(object).year for us in read(values, asked=form)}
    assert year == (2014 if form == "%y%m%d%H" else 2026)


def test_the_unit_that_is_expected_is_read_without_a_word() -> None:
    formats: list[tuple[TimeFormat, int]] = [("epoch_s", 1_000_000), ("epoch_ms", 1_000), ("epoch_us", 1)]
    for form, unit in formats:
        for numbers in ([us // unit for us in US], [str(us // unit) for us in US]):
            assert read(numbers, form) == [us // unit * unit for us in US]
            assert found(numbers, form).remarks == ()
    assert read([f"{us / 1e6:.6f}" for us in US], "epoch_s") == US
    assert read([us / 1e6 for us in US], "epoch_s") == US
    assert read(["2026-01-05T13:04:05Z", None], "epoch_s") == [US[0], None]


def test_numbers_without_another_reading_are_told() -> None:
    [remark] = found([5, 6, 7, 8]).remarks
    assert "event times lie in 1970: is the column written as epoch_ms?" in remark
    [remark] = found([datetime(1970, 1, 2, tzinfo=UTC)] * 2).remarks
    assert "lie in 1970" in remark


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_a_time_that_cannot_be_read_ends_publish_before_the_first_event(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    frame = pl.DataFrame({"t": [f"2026-01-05T13:04:{i % 60:02}Z" for i in range(50_000)] + ["soon"]})
    getattr(frame, {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}[ending])(path)
    rule = TimeRule(column="t")
    with pytest.raises(SchemaError, match=rf"x.{ending}: column 't': expected times as epoch_ms, got 'soon'"):
        open_events(path, rule=rule)
    batch = next(read_events(open_events(path, rule=rule, limit=3), rule))
    assert batch["t"].to_list()[:2] == [1_767_618_240_000, 1_767_618_241_000]

"""Charts and sparklines, in the coordinates of their pictures."""

import re

import numpy as np
import pytest

from sparsewatch.pipelines.web_console.drawings import (
    HEIGHT,
    LEFT,
    SPARK_HEIGHT,
    SPARK_WIDTH,
    WIDTH,
    chart,
    means,
    sparkline,
)
from sparsewatch.pipelines.web_console.history import Series, series
from sparsewatch.schemas.units import HOUR_US


def hours(values: list[float | None]) -> Series:
    return series([(at * HOUR_US, value, True) for at, value in enumerate(values)])


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", path)]


def test_a_line_is_inside_of_its_picture_and_higher_where_the_value_is() -> None:
    values = np.random.default_rng(1).normal(0.0, 1e6, 300).tolist()
    drawn = chart(hours(values), 300 * HOUR_US, threshold=2e6, baseline=0.0, shade_us=(9 * HOUR_US, 400 * HOUR_US))
    found = points(drawn.line)
    assert len(found) == 300
    assert all(LEFT <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in found)
    assert np.corrcoef([y for _, y in found], values)[0, 1] < -0.999
    assert drawn.threshold is not None
    assert drawn.baseline is not None
    assert 0 < drawn.threshold < drawn.baseline < HEIGHT
    assert drawn.shade is not None
    assert sum(drawn.shade) <= WIDTH


def test_a_line_is_broken_where_windows_state_no_value() -> None:
    drawn = chart(hours([1.0, 2.0, None, 4.0, 5.0]), 5 * HOUR_US)
    assert drawn.line.count("M") == 2
    assert len(points(drawn.line)) == 4


def test_a_share_is_never_drawn_as_more_than_all() -> None:
    drawn = chart(hours([0.0, 1.0]), 2 * HOUR_US, is_share=True)
    assert (drawn.highest, drawn.lowest) == ("100 %", "0 %")


@pytest.mark.parametrize("values", [[None], [0.0], [float("inf")], [3.0] * 9, [-1e300, 1e300]])
def test_odd_values_make_a_picture_too(values: list[float | None]) -> None:
    drawn = chart(hours(values), len(values) * HOUR_US)
    assert "nan" not in drawn.line
    assert "inf" not in drawn.line


def test_many_windows_are_drawn_as_means_that_a_slow_sum_gives_too() -> None:
    rng = np.random.default_rng(2)
    values = [None if rng.random() < 0.3 else float(rng.normal()) for _ in range(1_003)]
    found = means(hours(values), 7)
    groups = [[value for value in values[at : at + 7] if value is not None] for at in range(0, 1_003, 7)]
    slow = np.array([sum(group) / len(group) if group else np.nan for group in groups])
    assert np.allclose(found.values, slow, equal_nan=True)
    assert found.starts_us.tolist() == [at * HOUR_US for at in range(0, 1_003, 7)]
    drawn = chart(hours(values), 1_003 * HOUR_US)
    assert drawn.windows_a_point == 3
    assert drawn.told.startswith("1003 windows")


def test_a_sparkline_fills_its_picture() -> None:
    found = points(sparkline(np.array([0.0, 1.0, np.nan, 0.5])))
    assert len(found) == 3
    assert all(0 <= x <= SPARK_WIDTH and 0 <= y <= SPARK_HEIGHT for x, y in found)
    assert sparkline(np.array([1.0])) == ""

import io

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of
from sparsewatch.pipelines.wafer_explain.pictures import draw_density, draw_wafer
from sparsewatch.schemas.errors import ConfigError


def wafers(x: list[list[float]], y: list[list[float]], grid: tuple[int, int] = (0, 0)) -> WaferPoints:
    offsets = offsets_of(np.array([len(one) for one in x]))
    flat_x, flat_y = (np.array([at for one in axis for at in one], dtype=np.float32) for axis in (x, y))
    return WaferPoints(offsets, flat_x, flat_y, np.array([grid] * len(x)), np.zeros(len(x), dtype=np.int64))


def pixels(png: bytes) -> NDArray[np.float32]:
    assert png.startswith(b"\x89PNG")
    return np.asarray(imread(io.BytesIO(png))[..., :3])


def at(picture: NDArray[np.float32], x: float, y: float) -> NDArray[np.float32]:
    """Colour at a place in radii: the map is 3.6 inches of 2.06 radii, its middle 2 inches right and 2.2 down."""
    pixels_an_inch = picture.shape[1] / 4
    column = int((2 + x * 3.6 / 2.06) * pixels_an_inch)
    row = int((2.2 - y * 3.6 / 2.06) * pixels_an_inch)
    return np.asarray(picture[row, column])


DIES = ([[-0.25, 0.25, 0.25]], [[-0.25, -0.25, 0.25]])


def test_dies_have_the_colour_of_their_heat_and_the_notch_is_below() -> None:
    picture = pixels(draw_wafer(wafers(*DIES, grid=(4, 4)), np.array([1.0, -1.0, 0.0])))
    (for_red, _, for_blue), (against_red, _, against_blue) = at(picture, -0.25, -0.25), at(picture, 0.25, -0.25)
    assert for_red > for_blue + 0.2
    assert against_blue > against_red + 0.2
    neutral = at(picture, 0.25, 0.25)
    assert np.ptp(neutral) < 0.1
    # No failing die there.
    assert (at(picture, -0.25, 0.25) > neutral).all()


def test_a_dot_is_drawn_where_its_point_lies() -> None:
    picture = pixels(draw_wafer(wafers([[0.5]], [[0.3]])))
    assert at(picture, 0.5, 0.3).max() < 0.5
    assert at(picture, -0.5, 0.3).min() > 0.9
    assert at(picture, 0.5, -0.3).min() > 0.9


def test_points_about_each_other_are_hotter_together() -> None:
    """A crowd of little heat each, and one point of a little more."""
    rng = np.random.default_rng(0)
    x, y = (0.5 + 0.01 * rng.standard_normal(100) for _ in range(2))
    points = wafers([[*x, -0.5]], [[*y, -0.5]])
    picture = pixels(draw_wafer(points, np.append(np.full(100, 1.0), 2.0)))
    assert at(picture, 0.5, 0.5).sum() < at(picture, -0.5, -0.5).sum()


def test_very_many_points_are_drawn_as_cells() -> None:
    rng = np.random.default_rng(0)
    radius, angle = np.sqrt(rng.random(30_000)), rng.uniform(0, 2 * np.pi, 30_000)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    points = wafers([x.tolist()], [y.tolist()])
    picture = pixels(draw_wafer(points, np.where(x > 0, 1.0, -1.0)))
    right, left = (
        np.mean([at(picture, sign * 0.5, y) for y in np.linspace(-0.5, 0.5, 50)], axis=0) for sign in (1, -1)
    )
    assert right[0] > right[2]
    assert left[2] > left[0]


def test_the_same_wafer_gives_the_same_bytes_whatever_its_title_holds() -> None:
    points, title = wafers(*DIES), "W$1_{x}$ \x1b[31m <b> " + "long " * 40
    assert draw_wafer(points, np.zeros(3), title) == draw_wafer(points, np.zeros(3), title)
    assert draw_wafer(points, title="a") != draw_wafer(points, title="b")


def test_a_wafer_without_defects_is_drawn_empty() -> None:
    picture = pixels(draw_wafer(wafers([[]], [[]]), np.zeros(0)))
    assert at(picture, 0.1, 0.1).min() > 0.9


def test_a_density_is_dark_where_defects_of_all_wafers_lie() -> None:
    x, y = [[0.5, 0.5], [0.5]], [[0.5, 0.5], [-0.5]]
    picture = pixels(draw_density(wafers(x, y)))
    dense, other, none = (at(picture, *place).sum() for place in ((0.5, 0.5), (0.5, -0.5), (-0.5, 0)))
    # Each wafer counts the same, however many defects it has.
    assert dense == pytest.approx(other, abs=0.1)
    assert dense < none - 0.5


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected one wafer and heat of its points, got 1 with \(3,\), \(2,\)"):
        draw_wafer(wafers(*DIES), np.zeros(2))
    with pytest.raises(ConfigError, match="got 2 with"):
        draw_wafer(wafers([[0.0], [0.1]], [[0.0], [0.1]]))

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points, validate_wafers
from sparsewatch.detectors.wafers.drawn import FINE_PATTERNS, PATTERNS, make_wafers
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import WAFER_COLUMNS

CLEAN = (0.0, 0.0)


def points_of(pattern: str, wafers: int = 30) -> WaferPoints:
    rng = np.random.default_rng(0)
    return read_points(make_wafers([pattern] * wafers, rng, defects=400, background=CLEAN))


def radii(points: WaferPoints) -> np.ndarray:
    return np.hypot(points.x, points.y)


@pytest.mark.parametrize("pattern", PATTERNS | FINE_PATTERNS)
def test_every_pattern_makes_valid_wafers_inside_the_disc(pattern: str) -> None:
    rows = make_wafers([pattern] * 5, np.random.default_rng(0), defects=(0, 300))
    assert rows.schema == WAFER_COLUMNS
    assert validate_wafers(rows) == []
    points = read_points(rows)
    assert points.outside.sum() == 0
    assert points.defects.tolist() == pa.compute.list_value_length(rows["x_um"]).to_pylist()


def test_defects_are_as_many_as_asked_for() -> None:
    rng = np.random.default_rng(0)
    assert set(read_points(make_wafers(["grid"] * 20, rng, defects=70)).defects) == {70}
    spread = read_points(make_wafers(["grid"] * 200, rng, defects=(10, 20))).defects
    assert (spread.min(), spread.max()) == (10, 20)


def test_normal_defects_are_even_over_the_disc() -> None:
    inner = (radii(points_of("normal")) < np.sqrt(0.5)).mean()
    assert inner == pytest.approx(0.5, abs=0.02)


def test_patterns_lie_where_their_names_say() -> None:
    assert np.median(radii(points_of("center"))) < 0.3
    donut = radii(points_of("donut"))
    assert 0.3 < np.median(donut) < 0.6
    assert (donut < 0.1).mean() < 0.02
    assert radii(points_of("edge_ring")).min() > 0.89
    assert radii(points_of("edge_local")).min() > 0.84


@pytest.mark.parametrize(
    ("pattern", "lowest", "highest"),
    [("edge_ring", 0.0, 0.1), ("edge_local", 0.8, 1.0), ("half_moon", 0.5, 1.0)],
)
def test_a_ring_is_closed_and_a_part_of_the_edge_is_not(pattern: str, lowest: float, highest: float) -> None:
    points = points_of(pattern)
    unit = np.exp(1j * np.arctan2(points.y, points.x)).reshape(30, 400)
    resultant = np.abs(unit.mean(axis=1))
    assert lowest <= resultant.min()
    assert resultant.max() <= highest


def test_a_scratch_is_long_and_thin() -> None:
    points = points_of("scratch")
    for x, y in zip(points.x.reshape(30, 400), points.y.reshape(30, 400), strict=True):
        # Points of a thin curve have close neighbours although the curve is long.
        gap = np.abs(np.subtract.outer(x, x)) + np.abs(np.subtract.outer(y, y))
        np.fill_diagonal(gap, np.inf)
        assert np.median(gap.min(axis=1)) < 0.01
        assert max(np.ptp(x), np.ptp(y)) > 0.25


def test_a_grid_repeats_at_one_pitch() -> None:
    points = points_of("grid", wafers=5)
    for x in points.x.reshape(5, 400):
        columns = np.sort(x)
        jumps = np.flatnonzero(np.diff(columns) > 0.05)
        centres = [run.mean() for run in np.split(columns, jumps + 1)]
        pitch = np.diff(centres)
        # Nodes beyond the rim are drawn in, so the outermost columns lie closer.
        assert np.ptp(pitch[1:-1]) < 0.02


def binned(points: WaferPoints, bins: int) -> np.ndarray:
    """Defects by bin, of shape (wafers, bins, bins)."""
    counts = np.zeros((len(points), bins, bins))
    row, column = (((at + 1) / 2 * bins).astype(int) for at in (points.y, points.x))
    np.add.at(counts, (points.wafer, row, column), 1)
    return counts


def nearest(points: WaferPoints) -> np.ndarray:
    """Distance of each defect to the nearest other one of its wafer."""
    gaps = []
    for wafer in range(len(points)):
        own = slice(*points.offsets[wafer : wafer + 2])
        gap = np.hypot(np.subtract.outer(*[points.x[own]] * 2), np.subtract.outer(*[points.y[own]] * 2))
        np.fill_diagonal(gap, np.inf)
        gaps.append(gap.min(axis=1))
    return np.concatenate(gaps)


TWINS = [("thin_scratch", "broad_scratch"), ("fine_grid", "even_field"), ("close_pairs", "loose_pairs")]


@pytest.mark.parametrize(("fine", "other"), TWINS)
def test_twins_fill_the_bins_of_a_coarse_map_alike(fine: str, other: str) -> None:
    filled = []
    for name in (fine, other):
        rows = make_wafers([name] * 200, np.random.default_rng(0), defects=(300, 600))
        counts = binned(read_points(rows), 64)
        filled.append(np.stack([(counts == 1).sum(axis=(1, 2)), (counts > 1).sum(axis=(1, 2))], axis=1))
    # What differs is small beside what differs from wafer to wafer of a kind.
    difference = np.abs(filled[0].mean(axis=0) - filled[1].mean(axis=0))
    assert (difference <= 0.5 * np.minimum(filled[0].std(axis=0), filled[1].std(axis=0))).all()


@pytest.mark.parametrize(("fine", "other"), TWINS)
def test_twins_differ_within_a_bin(fine: str, other: str) -> None:
    close, apart = (np.mean(nearest(points_of(name)) < 0.0004) for name in (fine, other))
    assert close > 2 * apart
    assert close > 0.1


def test_pairs_lie_at_their_distance() -> None:
    assert np.quantile(nearest(points_of("close_pairs")), 0.98) < 0.0004
    loose = nearest(points_of("loose_pairs"))
    assert 0.0009 < np.median(loose) < 0.0021


def test_a_thin_scratch_is_far_thinner_than_a_broad_one() -> None:
    aside = {}
    for name in ("thin_scratch", "broad_scratch"):
        residuals = []
        points = points_of(name)
        for x, y in zip(points.x.reshape(30, 400), points.y.reshape(30, 400), strict=True):
            # Along the longer axis the arc is smooth; what is left is the width, and at most twice it for the slope.
            centred = np.stack([x - x.mean(), y - y.mean()], axis=1).astype(np.float64)
            axes = np.linalg.svd(centred, full_matrices=False)[2]
            along, across = (centred @ axes.T).T
            residuals.append(np.std(across - np.polyval(np.polyfit(along, across, 8), along)))
        aside[name] = np.median(residuals)
    assert aside["thin_scratch"] < 0.0003
    assert 0.0006 < aside["broad_scratch"] < 0.002


def test_background_is_strewn_over_the_wafer() -> None:
    rng = np.random.default_rng(0)
    rows = make_wafers(["edge_ring"] * 50, rng, defects=200, background=(0.5, 0.5))
    # Half the points are even over the disc, four fifths of those nearer than 0.89.
    assert (radii(read_points(rows)) < 0.89).mean() == pytest.approx(0.5 * 0.89**2, abs=0.03)


def test_wafers_are_numbered_and_25_make_a_lot() -> None:
    rows = make_wafers(["normal"] * 60, np.random.default_rng(0), defects=1, first=10)
    assert rows["wafer_id"][0].as_py() == "W000010"
    assert rows["lot"].value_counts().field("counts").to_pylist() == [15, 25, 20]


def test_a_seed_repeats_and_another_differs() -> None:
    names = list(PATTERNS)
    a, b, c = (make_wafers(names, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a.equals(b)
    assert not a.equals(c)


def test_wrong_requests_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="no pattern spiral: expected normal, center"):
        make_wafers(["spiral"], rng)
    with pytest.raises(ConfigError, match="expected rising ranges"):
        make_wafers(["grid"], rng, defects=(5, 2))
    with pytest.raises(ConfigError, match="expected rising ranges"):
        make_wafers(["grid"], rng, background=(0.5, 1.5))


def test_no_wafers_make_an_empty_batch() -> None:
    assert make_wafers([], np.random.default_rng(0)).num_rows == 0

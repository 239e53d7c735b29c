"""Maps hold what the wafers show, the budget holds, and every scorer takes the outputs of the network."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.dense_cnn import Progress, dense_sizes, encode_dense, to_maps, train_dense
from sparsewatch.detectors.open_set.baselines.scorers import SCORERS
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of, read_points
from sparsewatch.detectors.sparse_net.statistics import STATISTICS
from sparsewatch.detectors.sparse_net.train import Labelled
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.schemas.errors import ConfigError

CLASSES = ("center", "edge_ring", "normal")


def labelled(n: int, seed: int) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    rows = make_wafers([CLASSES[i] for i in labels], rng, defects=(20, 40))
    return Labelled(read_points(rows), labels)


def listed(*wafers: list[tuple[float, float]]) -> WaferPoints:
    at = np.array([point for wafer in wafers for point in wafer], dtype=np.float32).reshape(-1, 2)
    zeros = np.zeros((len(wafers), 2), dtype=np.int64)
    return WaferPoints(offsets_of(np.array([len(wafer) for wafer in wafers])), at[:, 0], at[:, 1], zeros, zeros[:, 0])


def mapped(dies: NDArray[np.int64]) -> WaferPoints:
    """One wafer whose failing dies are 1."""
    row, column = np.nonzero(dies)
    x, y = (2 * column + 1) / dies.shape[1] - 1, (2 * row + 1) / dies.shape[0] - 1
    none = np.zeros(1, dtype=np.int64)
    return WaferPoints(
        offsets_of(np.array([len(row)])), x.astype(np.float32), y.astype(np.float32), np.array([dies.shape]), none
    )


def ticking(step: float) -> Callable[[], float]:
    """A clock that goes on by `step` with each look."""
    times = iter(np.arange(100_000) * step)
    return lambda: float(next(times))


def test_a_list_of_defects_is_counted_by_bin() -> None:
    maps = to_maps(listed([(-0.9, -0.4), (-0.8, -0.3), (0.1, 0.1)], []), 4)
    expected = np.zeros((2, 4, 4))
    expected[0, 1, 0], expected[0, 2, 2] = np.log(3), np.log(2)
    np.testing.assert_allclose(maps[:, 0], expected, rtol=1e-6)


def test_the_second_plane_is_the_disc() -> None:
    disc = to_maps(listed([]), 64)[0, 1]
    assert disc.mean() == pytest.approx(np.pi / 4, abs=0.01)
    assert (disc[0, 0], disc[32, 0], disc[32, 32]) == (0, 1, 1)


@pytest.mark.parametrize("shape", [(5, 7), (16, 3), (16, 16)])
def test_a_map_of_few_dies_fills_the_bins_of_each_die(shape: tuple[int, int]) -> None:
    dies = np.random.default_rng(0).integers(2, size=shape)
    shown = to_maps(mapped(dies), 16)[0, 0]
    for i in range(16):
        for j in range(16):
            row, column = int((i + 0.5) * shape[0] / 16), int((j + 0.5) * shape[1] / 16)
            assert shown[i, j] == dies[row, column]


def test_a_map_of_many_dies_gives_the_share_that_fails() -> None:
    dies = np.random.default_rng(0).integers(2, size=(32, 64))
    shares = dies.reshape(16, 2, 16, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(to_maps(mapped(dies), 16)[0, 0], shares, rtol=1e-6)


def test_lists_and_maps_share_a_batch() -> None:
    dies = np.random.default_rng(0).integers(2, size=(5, 5))
    batch = listed([(0.1, 0.1)]).joined(mapped(dies)).joined(listed([]))
    parts = [listed([(0.1, 0.1)]), mapped(dies), listed([])]
    np.testing.assert_array_equal(to_maps(batch, 16), np.concatenate([to_maps(part, 16) for part in parts]))


def test_blocks_halve_down_to_eight_bins() -> None:
    assert dense_sizes(64, 3).sides == (32, 16, 8)
    assert dense_sizes(256, 3).channels == (8, 8, 16, 32, 48, 64)
    with pytest.raises(ConfigError, match="side from 16 bins, got 8"):
        dense_sizes(8, 3)


def test_it_learns_and_every_scorer_takes_its_encodings() -> None:
    train, test = labelled(240, 0), labelled(60, 2)
    net = train_dense(train, labelled(60, 1), 3, cpu_seconds=1.0, side=16, seed=0, clock=ticking(0.012))
    seen, fresh = encode_dense(net, train.points), encode_dense(net, test.points)
    assert (fresh.logits.argmax(axis=1) == test.labels).mean() > 0.9
    assert fresh.logits.shape == (60, 3)
    assert fresh.statistics.shape == (60, STATISTICS)
    assert [level.shape for level in fresh.levels] == [(60, 96), (60, 128)]
    assert np.isfinite(fresh.outlier).all()
    for name, fit in SCORERS.items():
        scores = fit(seen, train.labels, 3, 0).score(fresh)
        assert scores.shape == (60,), name
        assert np.isfinite(scores).all(), name


def test_encodings_do_not_depend_on_the_batches() -> None:
    train = labelled(90, 0)
    net = train_dense(train, train, 3, cpu_seconds=1.0, side=16, seed=0, clock=ticking(0.2))
    whole = encode_dense(net, train.points)
    for i in (0, 63, 64, 89):
        alone = encode_dense(net, train.points.take(np.array([i])))
        np.testing.assert_allclose(alone.latent[0], whole.latent[i], atol=1e-4)
        np.testing.assert_array_equal(alone.occupied[0], whole.occupied[i])
    assert len(encode_dense(net, train.points.take(np.zeros(0, dtype=np.int64)))) == 0


def test_training_ends_with_its_budget_and_repeats_by_its_seed() -> None:
    train = labelled(90, 0)

    def logits(seed: int, seconds: float) -> tuple[NDArray[np.float32], list[Progress]]:
        progress: list[Progress] = []
        net = train_dense(
            train, train, 3, cpu_seconds=seconds, side=16, seed=seed, report=progress.append, clock=ticking(1.0)
        )
        return encode_dense(net, train.points).logits, progress

    short, progress = logits(0, 3.0)
    assert [step.epoch for step in progress] == [1]
    longer, more = logits(0, 30.0)
    assert len(more) > 3
    assert more[-1].cpu_seconds <= 34.0
    np.testing.assert_array_equal(short, logits(0, 3.0)[0])
    assert not np.array_equal(short, longer)
    assert not np.array_equal(short, logits(1, 3.0)[0])


def test_several_patterns_may_occur_at_once() -> None:
    train = labelled(30, 0)
    both = Labelled(train.points, np.eye(3, dtype=np.int64)[train.labels])
    net = train_dense(both, both, 3, cpu_seconds=1.0, side=16, seed=0, clock=ticking(0.3))
    encoded = encode_dense(net, train.points)
    assert encoded.several
    assert encoded.probabilities.shape == (30, 3)


def test_wrong_requests_are_refused() -> None:
    train = labelled(30, 0)
    with pytest.raises(ConfigError, match="cpu_seconds above 0, got 0"):
        train_dense(train, train, 3, cpu_seconds=0, seed=0)
    with pytest.raises(ConfigError, match=r"got none of \[3\]"):
        train_dense(train, train, 4, cpu_seconds=1, seed=0)

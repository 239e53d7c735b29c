import contextlib

import numpy as np
import pytest
import torch

from detectors.sparse_net.encode import Encodings, encode, spread
from detectors.sparse_net.events import WaferPoints, offsets_of, read_points
from detectors.sparse_net.net import NetConfig, WaferNet
from detectors.sparse_net.train import Epoch, Labelled, TrainConfig, macro_f1, train_net
from detectors.torch_threads import torch_threads
from detectors.wafer_patterns import make_wafers
from schemas.errors import ConfigError

CLASSES = ("center", "edge_ring", "normal")
SIZES = NetConfig.for_grid(64, classes=3)


def labelled(n: int, seed: int) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    rows = make_wafers([CLASSES[i] for i in labels], rng, defects=(20, 40))
    return Labelled(read_points(rows), labels)


def test_a_few_epochs_tell_three_patterns_apart() -> None:
    epochs: list[Epoch] = []

    def report(epoch: Epoch) -> bool:
        epochs.append(epoch)
        return True

    config = TrainConfig(epochs=6, batch_wafers=32)
    net = train_net(SIZES, config, labelled(400, 0), labelled(100, 1), 64, report)
    fresh = labelled(200, 2)
    assert macro_f1(fresh.labels, encode(net, fresh.points, 64).logits) > 0.9
    assert not net.training
    best = max(epoch.macro_f1 for epoch in epochs)
    held = labelled(100, 1)
    assert macro_f1(held.labels, encode(net, held.points, 64).logits) == pytest.approx(best)


def test_training_stops_after_its_patience() -> None:
    numbers: list[int] = []

    def report(epoch: Epoch) -> bool:
        numbers.append(epoch.number)
        return True

    # On shuffled labels the validation score wanders without getting better.
    shuffled = Labelled(labelled(90, 0).points, np.random.default_rng(1).integers(3, size=90))
    config = TrainConfig(epochs=40, patience=2, seed=1)
    train_net(SIZES, config, labelled(90, 0), shuffled, 64, report)
    assert len(numbers) < 40


def test_every_class_must_occur_in_training() -> None:
    wafers = labelled(30, 0)
    with pytest.raises(ConfigError, match=r"wafers of every class, got none of \[3\]"):
        train_net(NetConfig.for_grid(64, 4), TrainConfig(epochs=1), wafers, wafers, 64)


def test_macro_f1_is_the_plain_mean_over_the_classes_that_occur() -> None:
    labels = np.array([0, 0, 0, 1])
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    # Class 0: precision 1, recall 2/3; class 1: precision 1/2, recall 1.
    assert macro_f1(labels, logits) == pytest.approx((0.8 + 2 / 3) / 2)


def test_encodings_do_not_depend_on_the_batches() -> None:
    torch.manual_seed(0)
    net = WaferNet(SIZES)
    points = labelled(50, 3).points
    whole, split = encode(net, points, 64), encode(net, points, 64, batch_points=100)
    for name in ("latent", "logits", "occupied", "spread"):
        np.testing.assert_allclose(getattr(split, name), getattr(whole, name), rtol=1e-4, atol=1e-4, err_msg=name)


def test_probabilities_are_the_softmax_also_of_large_logits() -> None:
    logits = np.array([[0.0, np.log(3)], [1e4, 0.0]], dtype=np.float32)
    nothing = np.zeros((2, 1), dtype=np.float32)
    probabilities = Encodings(nothing, logits, nothing, nothing).probabilities
    np.testing.assert_allclose(probabilities, np.array([[0.25, 0.75], [1.0, 0.0]]), atol=1e-6)


def test_spread_is_that_of_each_wafers_radii() -> None:
    x = np.array([0.3, 0.0, 0.6], dtype=np.float32)
    y = np.array([0.4, 0.1, 0.8], dtype=np.float32)
    lengths = np.array([2, 0, 1])
    none = np.zeros(3, int)
    points = WaferPoints(offsets_of(lengths), x, y, np.zeros((3, 2), int), none)
    expected = np.array([[np.log(3), 0.3, 0.2], [0, 0, 0], [np.log(2), 1.0, 0]], dtype=np.float32)
    np.testing.assert_allclose(spread(points), expected, atol=1e-6)


def test_threads_are_as_before_afterwards_also_after_an_error() -> None:
    before = torch.get_num_threads()
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with contextlib.suppress(KeyError), torch_threads(1):
        raise KeyError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"threads": 0}, {"learning_rate": 0.0}, {"label_smoothing": 1.0}])
def test_ranges_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        TrainConfig(**bad)  # type: ignore[arg-type]

import contextlib
import json

import numpy as np
import pytest
import safetensors.numpy
import torch

from sparsewatch.detectors.sparse_net.checkpoint import Checkpoint
from sparsewatch.detectors.sparse_net.encode import Encodings, encode
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.outliers import random_outliers
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of, read_points
from sparsewatch.detectors.sparse_net.scores import macro_f1
from sparsewatch.detectors.sparse_net.train import Epoch, Labelled, TrainConfig, batches, train_net
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.schemas.errors import ConfigError, ModelError

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
    # The correction for how common classes are may raise it further.
    assert macro_f1(held.labels, encode(net, held.points, 64).logits) >= best - 1e-9


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


def test_a_training_that_was_stopped_goes_on_to_the_same_weights() -> None:
    wafers, held = labelled(120, 0), labelled(40, 1)
    sizes, config = NetConfig.for_grid(64, 3, outlier=True), TrainConfig(epochs=4, batch_wafers=32)
    saved: list[Checkpoint] = []
    whole = train_net(sizes, config, wafers, held, 64, keep=saved.append)
    assert [checkpoint.meta["epoch"] for checkpoint in saved] == [1, 2, 3, 4]
    tensors = safetensors.numpy.load(safetensors.numpy.save(saved[1].tensors))
    again = Checkpoint(tensors, json.loads(json.dumps(saved[1].meta)))
    numbers: list[int] = []

    def report(epoch: Epoch) -> bool:
        numbers.append(epoch.number)
        return True

    resumed = train_net(sizes, config, wafers, held, 64, report, resume=again)
    assert numbers == [3, 4]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_network_is_refused() -> None:
    saved: list[Checkpoint] = []
    wafers = labelled(60, 0)
    train_net(SIZES, TrainConfig(epochs=1), wafers, wafers, 64, keep=saved.append)
    other = NetConfig.for_grid(64, 3, outlier=True)
    with pytest.raises(ModelError, match="not one of this training"):
        train_net(other, TrainConfig(epochs=1), wafers, wafers, 64, resume=saved[0])


def test_a_wafer_too_large_to_share_a_batch_is_trained_on_all_the_same() -> None:
    rng = np.random.default_rng(0)
    rows = make_wafers(["normal"] * 9, rng, defects=(90, 100))
    wafers = Labelled(read_points(rows), np.arange(9))
    config = TrainConfig(batch_points=100)
    shown = [labels for _, labels in batches(wafers, config, rng)]
    assert sorted(np.concatenate(shown).tolist()) == list(range(9))
    assert min(map(len, shown)) >= 2
    alone = Labelled(read_points(rows.slice(0, 1)), np.ones((1, 2), dtype=np.int64))
    with pytest.raises(ConfigError, match="training does not go on: 0 batches"):
        train_net(NetConfig.for_grid(64, 2, several=True), TrainConfig(epochs=1), alone, alone, 64)


def test_every_class_must_occur_in_training() -> None:
    wafers = labelled(30, 0)
    with pytest.raises(ConfigError, match=r"wafers of every class, got none of \[3\]"):
        train_net(NetConfig.for_grid(64, 4), TrainConfig(epochs=1), wafers, wafers, 64)


def test_encodings_do_not_depend_on_the_batches() -> None:
    torch.manual_seed(0)
    net = WaferNet(SIZES)
    points = labelled(50, 3).points
    whole, split = encode(net, points, 64), encode(net, points, 64, batch_points=100)
    for name in ("latent", "logits", "occupied", "statistics"):
        np.testing.assert_allclose(getattr(split, name), getattr(whole, name), rtol=1e-4, atol=1e-4, err_msg=name)


def answers(logits: list[list[float]], outlier: float, *, several: bool = False) -> Encodings:
    outputs = np.array(logits, dtype=np.float32)
    nothing = np.zeros((len(outputs), 1), dtype=np.float32)
    strange = np.full(len(outputs), outlier, dtype=np.float32)
    return Encodings(nothing, outputs, nothing, nothing, (), strange, several)


def test_probabilities_are_the_softmax_also_of_large_logits() -> None:
    encoded = answers([[0.0, np.log(3)], [1e4, 0.0]], -np.inf)
    np.testing.assert_allclose(encoded.probabilities, np.array([[0.25, 0.75], [1.0, 0.0]]), atol=1e-6)
    np.testing.assert_allclose(encoded.doubt, [-np.log(0.75), 0], atol=1e-6)


def test_the_outlier_output_takes_its_share_of_the_probability() -> None:
    encoded = answers([[0.0, np.log(3)]], np.log(4))
    np.testing.assert_allclose(encoded.probabilities, [[1 / 8, 3 / 8]], rtol=1e-6)
    np.testing.assert_allclose(encoded.doubt, [-np.log(3 / 8)], rtol=1e-6)


def test_where_several_may_occur_each_class_has_a_probability_of_its_own() -> None:
    encoded = answers([[np.log(3), np.log(3), -np.log(3)]], 0.0, several=True)
    np.testing.assert_allclose(encoded.probabilities, [[0.75, 0.75, 0.25]], rtol=1e-6)
    # The answer "the first two, not the third, and no outlier".
    np.testing.assert_allclose(encoded.doubt, [-np.log(0.75**3 * 0.5)], rtol=1e-6)


def test_a_network_learns_parts_of_mixed_wafers() -> None:
    def mixed(n: int, seed: int) -> Labelled:
        rng = np.random.default_rng(seed)
        parts = [make_wafers([name] * n, rng, defects=30, background=(0, 0.1)) for name in ("center", "edge_ring")]
        hot = rng.integers(2, size=(n, 2))
        both = [read_points(rows) for rows in parts]
        shown = [np.flatnonzero(np.repeat(hot[:, i], both[i].defects)) for i in range(2)]
        wafer = np.concatenate([both[i].wafer[shown[i]] for i in range(2)])
        order = np.argsort(wafer, kind="stable")
        x, y = (np.concatenate([getattr(both[i], axis)[shown[i]] for i in range(2)])[order] for axis in "xy")
        grid = np.zeros((n, 2), dtype=np.int64)
        offsets = offsets_of(np.bincount(wafer, minlength=n))
        return Labelled(WaferPoints(offsets, x, y, grid, np.zeros(n, dtype=np.int64)), hot)

    sizes = NetConfig.for_grid(64, 2, several=True, outlier=True)
    net = train_net(sizes, TrainConfig(epochs=6, batch_wafers=32), mixed(300, 0), mixed(60, 1), 64)
    fresh = mixed(100, 2)
    encoded = encode(net, fresh.points, 64)
    assert ((encoded.logits > 0) == fresh.labels).all(axis=1).mean() > 0.9
    assert encoded.several


def test_synthetic_outliers_are_separated_from_the_classes() -> None:
    sizes = NetConfig.for_grid(64, 3, outlier=True)
    net = train_net(sizes, TrainConfig(epochs=6, batch_wafers=32), labelled(400, 0), labelled(100, 1), 64)
    strange = encode(net, random_outliers(np.zeros((100, 2), dtype=np.int64), np.random.default_rng(9)), 64)
    known = encode(net, labelled(100, 2).points, 64)
    assert np.median(strange.doubt) > np.quantile(known.doubt, 0.9)


def test_threads_are_as_before_afterwards_also_after_an_error() -> None:
    before = torch.get_num_threads()
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with contextlib.suppress(KeyError), torch_threads(1):
        raise KeyError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"threads": 0}, {"learning_rate": 0.0}, {"label_smoothing": 1.0}, {"outliers": 1.5}]
)
def test_ranges_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        TrainConfig(**bad)  # type: ignore[arg-type]

import numpy as np
import pytest
import torch

from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.grid import to_grid
from sparsewatch.detectors.sparse_net.net import Encoded, Level, NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of
from sparsewatch.schemas.errors import ConfigError


def points_of(lengths: list[int], own: list[tuple[int, int]] | None = None) -> WaferPoints:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.7, 0.7, (2, sum(lengths))).astype(np.float32)
    grid = np.array(own or [(0, 0)] * len(lengths), dtype=np.int64)
    return WaferPoints(offsets_of(np.array(lengths)), x, y, grid, np.zeros(len(lengths), int))


def net_for(side: int, seed: int = 0) -> WaferNet:
    torch.manual_seed(seed)
    return WaferNet(NetConfig.for_grid(side, classes=3)).eval()


@torch.inference_mode()
def encode(net: WaferNet, points: WaferPoints, grid: int) -> Encoded:
    return net(to_grid(to_sites(points, grid)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("side", [3, 4, 26, 35, 212, 1_000, 16_384, 20_480])
def test_levels_lead_from_any_side_to_a_handful_of_cells(side: int) -> None:
    config = NetConfig.for_grid(side, classes=3)
    assert (config.sides or (side,))[-1] <= 4
    assert len(config.sides) <= 8
    assert encode(WaferNet(config).eval(), points_of([5, 7]), side).logits.shape == (2, 3)


def test_a_wafer_says_the_same_alone_and_in_a_batch_of_other_sizes() -> None:
    net = net_for(35)
    points = points_of([30, 0, 90, 12], own=[(26, 31), (0, 0), (120, 99), (0, 0)])
    whole = encode(net, points, 64)
    for i in range(4):
        alone = encode(net, points.take(np.array([i])), 64)
        torch.testing.assert_close(alone.latent[0], whole.latent[i], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.logits[0], whole.logits[i], atol=1e-5, rtol=1e-5)


def test_a_batch_of_empty_wafers_has_finite_answers() -> None:
    encoded = encode(net_for(64), points_of([0, 0]), 64)
    assert torch.isfinite(encoded.logits).all()
    assert torch.equal(encoded.latent[0], encoded.latent[1])
    assert encoded.occupied.eq(0).all()


def test_one_level_follows_convolution_norm_and_relu_of_the_dense_image() -> None:
    torch.manual_seed(1)
    level = Level(2, 4, 2)
    grid = to_grid(to_sites(points_of([40, 60]), 16))
    features = torch.randn(grid.sites, 2)
    dense = features
    for convolution, norm in zip(level.convolutions, level.norms, strict=True):
        assert isinstance(norm, torch.nn.BatchNorm1d)
        assert isinstance(convolution.weight, torch.Tensor)
        image = torch.zeros(2, dense.shape[1], grid.height, grid.width)
        image[grid.wafer, :, grid.row, grid.column] = dense
        weight = convolution.weight.permute(0, 3, 1, 2)
        out = torch.nn.functional.conv2d(image, weight, padding=1)
        dense = out[grid.wafer, :, grid.row, grid.column]
        dense = (dense - dense.mean(0)) / (dense.var(0, unbiased=False) + norm.eps).sqrt()
        dense = dense.relu()
    torch.testing.assert_close(level(features, grid), dense, atol=1e-4, rtol=1e-4)


def test_evaluation_normalises_like_torchs_own_batch_norm() -> None:
    level = Level(3, 5, 1)
    norm = level.norms[0]
    assert isinstance(norm, torch.nn.BatchNorm1d)
    grid = to_grid(to_sites(points_of([80]), 16))
    level(torch.randn(grid.sites, 3), grid)
    level.eval()
    features = torch.randn(20, 5)
    theirs = torch.nn.functional.batch_norm(
        features, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )
    torch.testing.assert_close(norm(features), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": (4,)}, "channels, convolutions: expected those of 2 levels"),
        ({"sides": (4, 4), "channels": (1, 1, 1), "convolutions": (1, 1, 1)}, "sides: expected falling numbers"),
        ({"convolutions": (1, 0)}, "convolutions: expected a whole number of at least 1"),
        ({"read_levels": 3}, "read_levels: expected a whole number from 1 to 2"),
        ({"classes": 1}, "classes: expected a whole number of at least 2"),
    ],
)
def test_sizes_that_make_no_network_are_refused(changes: dict[str, object], message: str) -> None:
    plain = {
        "sides": (4,), "channels": (4, 4), "convolutions": (1, 1), "read_levels": 1, "classes": 2,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=message):
        NetConfig(**{**plain, **changes})  # type: ignore[arg-type]

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.engine import CONVOLUTIONS, VARIABLE, convolution_layer
from sparsewatch.detectors.sparse_net.gather import GatherConv2d
from sparsewatch.detectors.sparse_net.grid import to_grid
from sparsewatch.detectors.sparse_net.net import Encoded, NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points
from sparsewatch.detectors.wafers.drawn import PATTERNS, make_wafers
from sparsewatch.schemas.errors import ConfigError
from tests.kit.installed import REPO_ROOT

try:
    from sparsewatch.detectors.sparse_net.spconv_layer import SpconvConv2d
except ImportError:
    SpconvConv2d = None  # type: ignore[assignment, misc]

WITHOUT_SPCONV = pytest.mark.skipif(SpconvConv2d is None, reason="spconv is not installed here")
KINDS = [pytest.param(name, marks=WITHOUT_SPCONV if name == "spconv" else ()) for name in CONVOLUTIONS]
GRID = 512


def net_with(convolution: str, monkeypatch: pytest.MonkeyPatch) -> WaferNet:
    monkeypatch.setenv(VARIABLE, convolution)
    torch.manual_seed(0)
    return WaferNet(NetConfig.for_grid(GRID, classes=4)).eval()


def wafers(own: bool = False) -> WaferPoints:
    """One of each pattern; with `own`, every other one on a die grid of its own."""
    points = read_points(make_wafers(list(PATTERNS), np.random.default_rng(0), defects=(20, 200)))
    if not own:
        return points
    grids = np.zeros((len(points), 2), dtype=np.int64)
    grids[::2] = np.random.default_rng(1).integers(20, 90, grids[::2].shape)
    return WaferPoints(points.offsets, points.x, points.y, grids, points.outside)


@torch.inference_mode()
def encoded(net: WaferNet, points: WaferPoints) -> Encoded:
    return net(to_grid(to_sites(points, GRID)))  # type: ignore[no-any-return]


def test_gather_is_chosen_by_name() -> None:
    assert convolution_layer({VARIABLE: "gather"}) is GatherConv2d


@WITHOUT_SPCONV
def test_spconv_is_chosen_by_name_and_where_nothing_is_named() -> None:
    for environ in ({}, {VARIABLE: ""}, {VARIABLE: "spconv"}):
        assert convolution_layer(environ) is SpconvConv2d


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="SPARSEWATCH_CONVOLUTION: expected gather or spconv, got 'cudnn'"):
        convolution_layer({VARIABLE: "cudnn"})


def test_without_spconv_a_model_runs_on_gather_and_naming_spconv_says_so() -> None:
    program = """
        import sys
        sys.modules["spconv"] = None  # What import makes of a package that is not there.
        from sparsewatch.detectors.sparse_net.engine import convolution_layer
        from sparsewatch.detectors.sparse_net.net import Level
        from sparsewatch.detectors.wafers.model import WaferModel
        from sparsewatch.schemas.errors import ConfigError
        print(type(Level(2, 3, 1).convolutions[0]).__name__)
        try:
            convolution_layer({"SPARSEWATCH_CONVOLUTION": "spconv"})
        except ConfigError as error:
            print(error)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=False, env={"PATH": ""})
    assert done.returncode == 0, done.stderr
    kind, message = done.stdout.splitlines()
    assert kind == "GatherConv2d"
    assert message.startswith("SPARSEWATCH_CONVOLUTION: expected gather, as spconv is not installed here")


@WITHOUT_SPCONV
@pytest.mark.parametrize("own", [False, True])
def test_the_same_weights_say_the_same_on_either_convolution(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (net_with(name, monkeypatch) for name in CONVOLUTIONS)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    points = wafers(own)
    one, other = encoded(ours, points), encoded(theirs, points)
    torch.testing.assert_close(one.logits, other.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.latent, other.latent, atol=1e-5, rtol=1e-5)


@WITHOUT_SPCONV
def test_a_step_of_training_has_the_same_gradients_on_either_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (net_with(name, monkeypatch).train() for name in CONVOLUTIONS)
    theirs.load_state_dict(ours.state_dict())
    points = wafers()
    gradients = []
    for net in (ours, theirs):
        logits = net(to_grid(to_sites(points, GRID))).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.arange(len(points)) % 4)
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for one, other in zip(*gradients, strict=True):
        # Batch norm divides by small deviations: what the order of adding changes grows.
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("convolution", KINDS)
def test_wafers_of_many_sizes_say_the_same_one_by_one(convolution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, points = net_with(convolution, monkeypatch), wafers(own=True)
    whole = encoded(net, points)
    for i in range(len(points)):
        alone = encoded(net, points.take(np.array([i])))
        torch.testing.assert_close(alone.logits[0], whole.logits[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("convolution", KINDS)
def test_the_order_of_points_changes_no_digit(convolution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, points = net_with(convolution, monkeypatch), wafers().take(np.array([2]))
    order = np.random.default_rng(1).permutation(len(points.x))
    turned = WaferPoints(points.offsets, points.x[order], points.y[order], points.own_grid, points.outside)
    assert torch.equal(encoded(net, points).logits, encoded(net, turned).logits)

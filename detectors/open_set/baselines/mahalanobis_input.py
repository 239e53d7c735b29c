"""Input pre-processing for the Mahalanobis score: a small step of a wafer's features towards the nearest known class.

Lee et al., NeurIPS 2018, eq. (4): x - eps sign(gradient of the distance), then the score of the moved input, with its
own nearest class. It brings known inputs closer than novel inputs. It costs two passes forward and one back for each
layer.

A cell holds a defect or does not, so coordinates cannot move a little. The features of the active sites at native
resolution move (the channels that `net.PLACE` counts); the set of active sites stays the same.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsewatch.detectors.open_set.baselines.mahalanobis import Mahalanobis, TiedGaussians
from sparsewatch.detectors.sparse_net.data import split_wafers, to_sites
from sparsewatch.detectors.sparse_net.encode import BATCH_POINTS
from sparsewatch.detectors.sparse_net.grid import Grid, to_grid
from sparsewatch.detectors.sparse_net.net import PLACE, Encoded, WaferNet
from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.schemas.errors import ConfigError


def preprocessed_distances(
    net: WaferNet,
    points: WaferPoints,
    grid: int,
    fitted: Mahalanobis,
    epsilon: float,
    batch_points: int = BATCH_POINTS,
) -> NDArray[np.float64]:
    """Squared distance from the nearest class in each layer, after the step; for `Mahalanobis.together`.

    The standardisation of `fitted` is of unmoved wafers: pass these distances of known wafers to
    `fitted.standardised_on`.

    Args:
        net: the network that the layers were fitted on; left in evaluation mode, its weights unchanged.
        points: wafers.
        grid: cells a side for wafers without a grid of their own.
        fitted: the layers.
        epsilon: length of the step in each site feature, from 0; features are about 1 in size.
        batch_points: points of a batch; a batch holds the activations of all levels for the backward pass.

    Returns:
        float64 of shape (wafers, layers).

    Raises:
        ConfigError: epsilon below 0 or not finite.
    """
    if not 0 <= epsilon < np.inf:
        raise ConfigError(f"expected a finite epsilon from 0, got {epsilon}")
    net.eval()
    device = next(net.parameters()).device
    rows = [np.zeros((0, len(fitted.layers)))]
    for wafers in split_wafers(points, batch_points):
        cells = to_grid(to_sites(points.take(wafers), grid), device)
        columns = [_moved_distance(net, cells, layer, i, epsilon) for i, layer in enumerate(fitted.layers)]
        rows.append(torch.stack(columns, dim=1).cpu().numpy())
    return np.concatenate(rows)


def encode_shifted(net: WaferNet, grid: Grid, shift: Tensor) -> Encoded:
    """Output of the network for a batch with `shift` added to its site features.

    Args:
        net: the network, in the mode it is in.
        grid: the batch.
        shift: of shape (sites, PLACE), added to the input of the first level.
    """

    def add(_: torch.nn.Module, given: tuple[Tensor, Grid]) -> tuple[Tensor, Grid]:
        return given[0] + shift, given[1]

    handle = net.levels[0].register_forward_pre_hook(add)
    try:
        encoded: Encoded = net(grid)
    finally:
        handle.remove()
    return encoded


def _moved_distance(net: WaferNet, grid: Grid, layer: TiedGaussians, index: int, epsilon: float) -> Tensor:
    """Distance of each wafer in one layer after a step against that distance's gradient."""
    shift = torch.zeros(grid.sites, PLACE, device=grid.key.device, requires_grad=True)
    # Wafers do not affect each other in evaluation mode: the gradient of the sum is that of each wafer.
    near = _nearest(layer, encode_shifted(net, grid, shift), index).sum()
    (gradient,) = torch.autograd.grad(near, shift)
    with torch.no_grad():
        return _nearest(layer, encode_shifted(net, grid, -epsilon * gradient.sign()), index)


def _nearest(layer: TiedGaussians, encoded: Encoded, index: int) -> Tensor:
    """Squared distance from the nearest class in a layer, float64 of shape (wafers,); `mahalanobis.features_of`."""
    levels, active = encoded.levels, encoded.occupied[:, :1]
    features = encoded.latent if index == 0 else torch.cat([levels[index - 1], active], dim=1)
    # float32 would lose small distances in the covariances' narrow directions.
    whitening, means = (torch.from_numpy(a).to(features.device) for a in (layer.whitening, layer.means))
    apart = (features.double() @ whitening)[:, None] - means @ whitening
    return apart.square().sum(dim=2).min(dim=1).values

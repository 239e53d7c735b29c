"""The probabilistic autoencoder: a row in, mean and raw variance of every feature out.

Fully connected; ReLU after every layer but the last, the latent one included. Widths follow the authors' published
code of arXiv 2304.00709 (2023-04), which sizes them by the input alone.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn


def layer_widths(n_features: int) -> tuple[int, ...]:
    """Widths of all layers, input and output included.

    Halves are rounded to the even neighbour, as in the authors' code (Python's `round`). A single feature
    gets a latent layer of one, where that rule would leave none.

    >>> layer_widths(64)
    (64, 32, 16, 32, 128)

    Args:
        n_features: Features of a row, at least 1.

    Raises:
        ValueError: If `n_features` is below 1.
    """
    if n_features < 1:
        raise ValueError(f"expected at least one feature, got {n_features}")
    if n_features < 20:
        inner = [max(1, round(n_features / 2))]
    elif n_features < 100:
        half = round(n_features / 2)
        inner = [half, round(n_features / 4), half]
    else:
        half, quarter = round(n_features / 2), round(n_features / 4)
        latent = round(n_features / (8 if n_features < 200 else 16))
        inner = [half, quarter, latent, quarter, half]
    return (n_features, *inner, 2 * n_features)


class ProbabilisticAutoencoder(nn.Module):
    """Autoencoder whose output has two halves: mean and raw variance.

    Args:
        n_features: Features of a row.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features
        layers: list[nn.Module] = []
        for width, following in pairwise(layer_widths(n_features)):
            layers += [nn.Linear(width, following), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct `rows` of shape (n, n_features).

        Returns:
            Mean and raw variance, both (n, n_features); `score.variance` makes a variance of the latter.
        """
        mean, raw = torch.chunk(self.layers(rows), 2, dim=1)  # (n, 2d) -> (n, d), (n, d)
        return mean, raw

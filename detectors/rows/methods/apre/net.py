"""Autoencoders: from a row to its reconstruction, with a raw variance of every feature if probabilistic.

Fully connected; ReLU after every layer but the last, the latent layer included. Widths follow the authors' published
code of arXiv 2304.00709 (2023-04), which sizes them by the input alone.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn


def layer_widths(n_features: int, probabilistic: bool = True) -> tuple[int, ...]:
    """Widths of all layers, input and output included.

    Halves are rounded to the even neighbour, as in the authors' code (Python's `round`). A single feature
    gets a latent layer of width 1, where that rule would give 0.

    >>> layer_widths(64)
    (64, 32, 16, 32, 128)

    Args:
        n_features: Features of a row, at least 1.
        probabilistic: Whether the output holds a raw variance beside the mean.

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
    return (n_features, *inner, (1 + probabilistic) * n_features)


class Autoencoder(nn.Module):
    """Autoencoder, with a variance for each feature or without.

    Args:
        n_features: Features of a row.
        probabilistic: Whether the output has two halves, mean and raw variance, or is the mean alone.
    """

    def __init__(self, n_features: int, probabilistic: bool = True) -> None:
        super().__init__()
        self.n_features = n_features
        self.probabilistic = probabilistic
        layers: list[nn.Module] = []
        for width, following in pairwise(layer_widths(n_features, probabilistic)):
            layers += [nn.Linear(width, following), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Reconstruct `rows` of shape (n, n_features).

        Returns:
            Mean, and raw variance or None, both (n, n_features); `score.variance` makes a variance of the latter.
        """
        output = self.layers(rows)
        if not self.probabilistic:
            return output, None
        mean, raw = torch.chunk(output, 2, dim=1)  # (n, 2d) -> (n, d), (n, d)
        return mean, raw

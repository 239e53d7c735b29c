"""Which convolution the network runs on: spconv's, or ours in plain torch where there is no spconv.

Both have the same weights and give the same results to float32's last digits, so a model trained on either runs on the
other. Spconv comes with the package on Linux x86-64; for macOS and ARM it has no wheels. On a CPU it recognises and
trains about a tenth faster, on CUDA it picks the algorithm by the sizes.
"""

import os
from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from sparsewatch.detectors.sparse_net.gather import GatherConv2d
from sparsewatch.detectors.sparse_net.grid import Grid
from sparsewatch.schemas.errors import ConfigError

#: The environment variable that picks one of `CONVOLUTIONS`.
VARIABLE = "SPARSEWATCH_CONVOLUTION"
CONVOLUTIONS = ("gather", "spconv")


class Layer(Protocol):
    """A kind of submanifold 3 x 3 convolution without bias.

    Its `weight` has the shape (channels_out, 3, 3, channels_in); `forward(features, book)` convolves.
    """

    def __call__(self, channels_in: int, channels_out: int, /) -> nn.Module:
        """One convolution, its weights drawn from torch's default generator."""

    def book(self, grid: Grid, /) -> Any:
        """What all convolutions over the same sites share: the pairs of neighbours."""


def convolution_layer(environ: Mapping[str, str] = os.environ) -> Layer:
    """The convolution `SPARSEWATCH_CONVOLUTION` names; without it spconv's where that can be imported, else ours.

    Raises:
        ConfigError: The variable names no convolution, or spconv where there is none.
    """
    named = environ.get(VARIABLE, "")
    if named not in ("", *CONVOLUTIONS):
        raise ConfigError(f"{VARIABLE}: expected {' or '.join(CONVOLUTIONS)}, got {named!r}")
    if named == "gather":
        return GatherConv2d
    try:
        # Takes a second, and is not everywhere.
        from sparsewatch.detectors.sparse_net.spconv_layer import SpconvConv2d
    except ImportError as error:
        if named == "spconv":
            raise ConfigError(f"{VARIABLE}: expected gather, as spconv is not installed here ({error})") from error
        return GatherConv2d
    return SpconvConv2d

"""Submanifold 3 x 3 convolution by spconv; importing this module needs spconv.

On a CPU spconv's native algorithm gets our rule book: its own hash table takes longer than the convolution. On CUDA
spconv finds the neighbours and picks the algorithm.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

with warnings.catch_warnings():
    # Its release 2.3.6 decorates with torch.cuda.amp.custom_fwd and custom_bwd, deprecated since torch 2.4.
    warnings.filterwarnings("ignore", category=FutureWarning, message=r".*custom_(fwd|bwd)")
    # Its build helper asks locale.getdefaultlocale and importlib.resources.open_text.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import spconv.core

    if not torch.cuda.is_available():
        # At import it describes every CUDA kernel it might tune: 9 of 10 CPU seconds, for nothing without a GPU.
        spconv.core.ALL_NATIVE_PARAMS = spconv.core.ALL_IMPGEMM_PARAMS = []
    from spconv.core import ConvAlgo
    from spconv.pytorch import SparseConvTensor, SubMConv2d
    from spconv.pytorch.functional import indice_subm_conv
    from spconv.pytorch.ops import get_indice_pairs

from sparsewatch.detectors.sparse_net.grid import Grid, rule_book

__all__ = ["ConvAlgo", "SpconvConv2d", "get_indice_pairs"]

_KEY = "neighbours"


@dataclass(slots=True)
class SpconvBook:
    """The neighbours at a resolution, as spconv holds them."""

    grid: Grid
    #: Our rule book, on a CPU.
    pairs: tuple[Tensor, Tensor] | None
    #: Spconv's own, on CUDA: the first convolution finds the neighbours, and its result carries them to the next.
    sparse: Any


class SpconvConv2d(SubMConv2d):
    """One convolution without bias; `weight` has the shape (channels_out, 3, 3, channels_in)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        algorithm = None if torch.cuda.is_available() else ConvAlgo.Native
        super().__init__(channels_in, channels_out, 3, bias=False, indice_key=_KEY, algo=algorithm)

    @staticmethod
    def book(grid: Grid) -> SpconvBook:
        """What all convolutions over these sites share."""
        if not grid.key.is_cuda:
            return SpconvBook(grid, rule_book(grid), None)
        indices = torch.stack([grid.wafer, grid.row, grid.column], dim=1).int()
        sparse = SparseConvTensor(grid.count[:, None], indices, [grid.height, grid.width], grid.wafers)
        return SpconvBook(grid, None, sparse)

    def forward(self, features: Tensor, book: SpconvBook) -> Tensor:
        """Float32 of shape (sites, channels_in) to (sites, channels_out)."""
        if book.pairs is not None:
            out = indice_subm_conv(features, self.weight, *book.pairs, book.grid.sites, ConvAlgo.Native)
            return torch.as_tensor(out)
        book.sparse = super().forward(book.sparse.replace_feature(features))
        return torch.as_tensor(book.sparse.features)

"""What the network takes of spconv, imported without the deprecation warnings of its release 2.3.6."""

import warnings

import torch

with warnings.catch_warnings():
    # It decorates with torch.cuda.amp.custom_fwd and custom_bwd, deprecated since torch 2.4.
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

__all__ = [
    "ConvAlgo",
    "SparseConvTensor",
    "SubMConv2d",
    "get_indice_pairs",
    "indice_subm_conv",
]

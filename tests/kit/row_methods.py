"""Methods that score rows, fitted fast."""

import functools
from typing import Any

from sparsewatch.detectors.rows.methods.apre.train import TrainConfig
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.methods.scorer import Fit

#: Methods that train a network.
NETS = ("apre", "apre_mss", "autoencoder", "autoencoder_mss")


def quick_fit(method: str) -> Fit:
    """The method's fit, networks with few steps."""
    fit: Any = METHODS[method].fit
    chosen: Fit = functools.partial(fit, training=TrainConfig(steps=80)) if method in NETS else fit
    return chosen

"""All methods that score novelty, behind one interface, so that a benchmark compares them on the same encodings."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.baselines.latent_densities import fit_class_gaussians, fit_joint_gmm
from sparsewatch.detectors.open_set.baselines.mahalanobis import fit_mahalanobis, fit_mahalanobis_layers
from sparsewatch.detectors.open_set.baselines.neighbours import fit_neighbours
from sparsewatch.detectors.open_set.baselines.openmax import fit_openmax
from sparsewatch.detectors.open_set.baselines.softmax_scores import fit_energy, fit_max_softmax
from sparsewatch.detectors.sparse_net.encode import Encodings


class Scorer(Protocol):
    """A fitted method; scoring does not change it."""

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """Score of each wafer, float64 of shape (wafers,), finite; high is novel."""


#: Fits to encodings of known wafers, their classes 0 to K - 1, K and a seed. Raises ConfigError if a method needs more
#: wafers, SchemaError for labels that are not classes.
Fit = Callable[[Encodings, NDArray[np.int64], int, int], Scorer]

#: Methods by name; none sees a novel wafer.
SCORERS: dict[str, Fit] = {
    "max_softmax": fit_max_softmax,
    "energy": fit_energy,
    "openmax": fit_openmax,
    "mahalanobis": fit_mahalanobis,
    "mahalanobis_layers": fit_mahalanobis_layers,
    "knn": fit_neighbours,
    "class_gaussians": fit_class_gaussians,
    "joint_gmm": fit_joint_gmm,
}

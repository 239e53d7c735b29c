"""List of all methods that score rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sparsewatch.detectors.rows.methods.apre.scorer import fit_apre, fit_autoencoder, read_autoencoder
from sparsewatch.detectors.rows.methods.apre.shifted_scorer import fit_apre_mss, fit_autoencoder_mss, read_shifted
from sparsewatch.detectors.rows.methods.ecod_copod import fit_copod, fit_ecod, read_tails
from sparsewatch.detectors.rows.methods.ensemble import fit_ensemble, read_ensemble
from sparsewatch.detectors.rows.methods.histogram import fit_histogram, read_histogram
from sparsewatch.detectors.rows.methods.isolation_forest import fit_isolation_forest, read_isolation_forest
from sparsewatch.detectors.rows.methods.knn import fit_knn, read_knn
from sparsewatch.detectors.rows.methods.lof import fit_lof, read_lof
from sparsewatch.detectors.rows.methods.scorer import Fit, RowScorer, Tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to score rows."""

    #: One line for a user who has to choose.
    summary: str
    #: How numbers are best scaled for it, see `encode.EncoderConfig.scaling`.
    scaling: Literal["plain", "robust"]
    fit: Fit
    #: Tensors and JSON of `RowScorer.to_state` to the scorer; raises KeyError, TypeError, ValueError or RuntimeError
    #: where something is missing or odd.
    read: Callable[[Tensors, dict[str, Any]], RowScorer]
    #: Whether a fit takes so little time that a training may make several.
    is_quick: bool = True


METHODS: dict[str, Method] = {
    "ensemble": Method(
        summary="distances to small samples of rows at several scales, and rare values; best mean without labels",
        scaling="robust",
        fit=fit_ensemble,
        read=read_ensemble,
    ),
    "hbos": Method(
        summary="rare values, by a histogram of each feature",
        scaling="plain",
        fit=fit_histogram,
        read=read_histogram,
    ),
    "knn": Method(
        summary="distance to the tenth nearest row of the training data",
        scaling="plain",
        fit=fit_knn,
        read=read_knn,
    ),
    "lof": Method(
        summary="how much sparser its surroundings are than those of the rows around it",
        scaling="plain",
        fit=fit_lof,
        read=read_lof,
    ),
    "isolation_forest": Method(
        summary="how few random cuts isolate a row",
        scaling="plain",
        fit=fit_isolation_forest,
        read=read_isolation_forest,
    ),
    "ecod": Method(
        summary="how far out each number lies, in one tail or the other; blind to odd combinations",
        scaling="plain",
        fit=fit_ecod,
        read=read_tails,
    ),
    "copod": Method(
        summary="as ecod, with the tail chosen feature by feature",
        scaling="plain",
        fit=fit_copod,
        read=read_tails,
    ),
    "apre": Method(
        summary="probabilistic autoencoder, weighted negative log-likelihood",
        scaling="plain",
        fit=fit_apre,
        read=read_autoencoder,
        is_quick=False,
    ),
    "apre_mss": Method(
        summary="apre that compares with the row shifted towards its neighbours, if a guard agrees",
        scaling="plain",
        fit=fit_apre_mss,
        read=read_shifted,
        is_quick=False,
    ),
    "autoencoder": Method(
        summary="plain autoencoder, squared reconstruction error",
        scaling="plain",
        fit=fit_autoencoder,
        read=read_autoencoder,
        is_quick=False,
    ),
    "autoencoder_mss": Method(
        summary="autoencoder that compares with the row shifted towards its neighbours, if a guard agrees",
        scaling="plain",
        fit=fit_autoencoder_mss,
        read=read_shifted,
        is_quick=False,
    ),
}

#: Default method.
DEFAULT = "ensemble"

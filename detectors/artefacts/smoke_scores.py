"""Smoke scores: example inputs in a model's artefact, with the scores the model gave them when it was written.

A digest shows that the bytes are those that were written. Only scores show that they still mean the same here, with
this processor, these libraries and this code.

    smoke.input.<name>    an input of the model
    smoke.score.<name>    the scores it gave, float64
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.artefacts.artefact import Artefact
from sparsewatch.schemas.errors import ModelError

#: Largest difference from a score s that counts as rounding: `TOLERANCE * (1 + |s|)`. Other processors and
#: libraries add float32 in another order.
TOLERANCE = 1e-4

_INPUT = "smoke.input."
_SCORE = "smoke.score."

Arrays = Mapping[str, NDArray[Any]]
#: Inputs of an artefact to scores, under the same names whenever it is called.
Score = Callable[[dict[str, NDArray[Any]]], Arrays]


def smoke_tensors(inputs: Arrays, score: Score) -> dict[str, NDArray[Any]]:
    """Tensors for an artefact: the inputs, and the scores that `score` gives them now."""
    given = {name: np.asarray(values) for name, values in inputs.items()}
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in score(given).items()}
    return _prefixed(_INPUT, given) | _prefixed(_SCORE, scores)


def check_smoke(artefact: Artefact, score: Score) -> None:
    """Score an artefact's inputs again and compare. An artefact without smoke scores passes.

    Args:
        artefact: as it was read.
        score: the model made of it.

    Raises:
        ModelError: scores differ; the message names each with the largest difference.
    """
    expected = _with_prefix(_SCORE, artefact.tensors)
    if not expected:
        return
    scores = score(_with_prefix(_INPUT, artefact.tensors))
    differences = (_difference(name, stored, scores.get(name)) for name, stored in sorted(expected.items()))
    if faults := [difference for difference in differences if difference]:
        raise ModelError(f"smoke scores of {artefact.id} differ from those it was written with: {'; '.join(faults)}")


def _difference(name: str, expected: NDArray[Any], got: NDArray[Any] | None) -> str:
    """What is wrong with one score; empty if nothing is."""
    if got is None or got.shape != expected.shape:
        return f"{name} has shape {None if got is None else got.shape}, expected {expected.shape}"
    off = np.abs(got - expected)
    # Not above, so that a NaN counts as off.
    wrong = ~(off <= TOLERANCE * (1 + np.abs(expected)))
    if not wrong.any():
        return ""
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    return f"{name} of input {worst} is {got.flat[worst]:.7g}, expected {expected.flat[worst]:.7g}"


def _prefixed(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {prefix + name: values for name, values in arrays.items()}


def _with_prefix(prefix: str, tensors: Arrays) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsewatch.detectors.artefacts.artefact import (
    TOLERANCE,
    Artefact,
    check_smoke,
    load_artefact,
    save_artefact,
    smoke_tensors,
)
from sparsewatch.schemas.errors import ModelError

INPUTS = {"x": np.arange(4, dtype=np.float32)}


def double(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"score": given["x"] * 2, "sum": given["x"].cumsum()}


def saved(folder: Path, tensors: dict[str, Any]) -> Artefact:
    return load_artefact(save_artefact(folder / "m", kind="k", tensors=tensors, meta={}), "k")


def test_the_same_model_passes_from_its_file(tmp_path: Path) -> None:
    artefact = saved(tmp_path, smoke_tensors(INPUTS, double))
    assert sorted(artefact.tensors) == ["smoke.input.x", "smoke.score.score", "smoke.score.sum"]
    check_smoke(artefact, double)


def test_an_artefact_without_smoke_scores_passes(tmp_path: Path) -> None:
    check_smoke(saved(tmp_path, INPUTS), double)


@pytest.mark.parametrize(("off", "passes"), [(0.5, True), (2.0, False), (np.nan, False)])
def test_rounding_passes_and_more_is_refused_by_name(tmp_path: Path, off: float, passes: bool) -> None:
    artefact = saved(tmp_path, smoke_tensors(INPUTS, double))

    def other(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        scores = {name: values.astype(np.float64) for name, values in double(given).items()}
        scores["score"][2] += off * TOLERANCE * 5
        return scores

    if passes:
        check_smoke(artefact, other)
    else:
        with pytest.raises(ModelError, match=r"smoke scores of m/0001 differ .*: score of input 2 is .* expected 4$"):
            check_smoke(artefact, other)


def test_each_score_that_is_missing_or_of_another_shape_is_named(tmp_path: Path) -> None:
    artefact = saved(tmp_path, smoke_tensors(INPUTS, double))
    with pytest.raises(ModelError, match=r"score has shape None, expected \(4,\); sum has shape \(2,\)"):
        check_smoke(artefact, lambda given: {"sum": given["x"][:2]})

"""Bytes that earlier releases stored are read, or refused by name: a golden file for each format and each model."""

import numpy as np
import pytest

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.testing import golden
from tests.kit import stored_formats, stored_models
from tests.kit.stored_formats import GOLDEN, Stored
from tests.kit.stored_models import MODELS

EACH_FORMAT = pytest.mark.parametrize("stored", stored_formats.STORED, ids=lambda stored: stored.file)
EACH_MODEL = pytest.mark.parametrize("name", stored_models.STORED)
LARGEST_BYTES = 100_000


@EACH_FORMAT
def test_stored_bytes_say_what_they_said(stored: Stored) -> None:
    assert stored.decode((GOLDEN / stored.file).read_bytes()) == stored.decode(stored.encode())


@EACH_FORMAT
def test_equal_states_give_the_bytes_that_are_stored(stored: Stored) -> None:
    if stored.exact:
        golden(GOLDEN / stored.file, stored.encode())


@EACH_MODEL
def test_stored_models_score_as_they_did(name: str) -> None:
    # Loading compares the scores of drawn inputs with those that are stored.
    assert stored_models.load(MODELS / name) is not None


def test_stored_row_models_judge_rows() -> None:
    for name in METHODS:
        model = RowModel.load(MODELS / f"rows-{name}")
        scores = model.score(stored_models.rows().combine_chunks().to_batches()[0])
        assert model.method == name
        assert np.isfinite(scores).all()


def test_stored_references_know_the_values_they_were_fitted_to() -> None:
    for name, max_values in (("reference", 64), ("reference-beyond-the-cap", 8)):
        stored, fitted = Reference.load(MODELS / name), fit_reference(stored_models.windows(max_values))
        assert stored.hash_limits == fitted.hash_limits
        assert {n: v.to_list() for n, v in stored.known_values.items()} == {
            n: v.to_list() for n, v in fitted.known_values.items()
        }


def test_golden_files_are_small_and_each_is_of_a_format() -> None:
    files = {path for path in GOLDEN.rglob("*") if path.is_file()}
    assert max(path.stat().st_size for path in files) < LARGEST_BYTES
    assert {path.name for path in files if path.parent == GOLDEN} == {one.file for one in stored_formats.STORED}
    assert {path.parents[1].name for path in files if path.parent != GOLDEN} == set(stored_models.STORED)

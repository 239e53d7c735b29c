"""A model of lists and a model of maps: neither judges wafers of the other kind, and each says of which it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.wafers.inputs import fitting, inputs_of, stored_inputs
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.schemas.wafers import MISFIT
from tests.detectors.sparse_net.test_points import MAP, POINTS, batch, event
from tests.kit.wafer_models import fresh_wafers, tiny_model

EMPTY_MAP = {**MAP, "map": [1] * 6}
BOTH = batch(event(**POINTS), event(**MAP), event(**EMPTY_MAP))


def test_wafers_say_how_they_are_given() -> None:
    points = read_points(BOTH)
    assert inputs_of(points) == "lists+maps"
    assert inputs_of(points.take(np.arange(0, 1))) == "lists"
    assert inputs_of(points.take(np.arange(1, 3))) == "maps"
    assert inputs_of(points.take(np.arange(2, 3))) == ""
    assert fitting(points, "lists").tolist() == [True, False, False]
    assert fitting(points, "maps").tolist() == [False, True, True]
    assert fitting(points, "lists+maps").all()
    assert fitting(points, "").all()


def test_a_model_judges_only_wafers_given_as_those_it_knows() -> None:
    model = tiny_model()
    assert model.inputs == "lists"
    verdicts = model.recognise(BOTH).to_pylist()
    assert [verdict["verdict"] == MISFIT for verdict in verdicts] == [False, True, False]
    assert verdicts[1]["p_value"] == 1
    assert verdicts[2]["verdict"] == "normal"
    of_maps = replace(model, inputs="maps").recognise(fresh_wafers("center", 5))
    assert set(of_maps["verdict"].to_pylist()) == {MISFIT}


def test_a_stored_model_says_what_it_knows(tmp_path: Path) -> None:
    folder = replace(tiny_model(), inputs="maps").save(tmp_path / "m", metrics={}, training={})
    assert WaferModel.load(folder).inputs == "maps"


@pytest.mark.parametrize(("grid", "asked", "inputs"), [(26, 0, "maps"), (16_384, 0, "lists"), (128, 128, "")])
def test_a_model_of_an_earlier_release_is_known_by_its_grid(grid: int, asked: int, inputs: str) -> None:
    assert stored_inputs({"training": {"config": {"grid": asked}}, "grid": grid}) == inputs
    assert stored_inputs({"training": {}, "grid": grid}) == ""

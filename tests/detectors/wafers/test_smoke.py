from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsewatch.detectors.artefacts.artefact import TOLERANCE, load_artefact, save_artefact
from sparsewatch.detectors.wafers.drawn import PATTERNS
from sparsewatch.detectors.wafers.model import KIND, WaferModel
from sparsewatch.detectors.wafers.smoke import check_wafer_smoke, smoke_of
from sparsewatch.schemas.errors import ModelError
from tests.kit.wafer_models import tiny_model


def test_a_saved_model_loads_with_the_scores_it_was_written_with(tmp_path: Path) -> None:
    path = tiny_model().save(tmp_path / "wafer", metrics={}, training={})
    artefact = load_artefact(path, KIND)
    for score in ("novelty", "probability"):
        values = artefact.tensors[f"smoke.score.{score}"]
        assert len(values) == len(PATTERNS)
        assert len(np.unique(values)) == len(values)
    check_wafer_smoke(WaferModel.load(path).recognise, artefact)


def test_weights_that_differ_are_refused_though_every_digest_agrees(tmp_path: Path) -> None:
    path = tiny_model().save(tmp_path / "wafer", metrics={}, training={})
    artefact = load_artefact(path, KIND)
    changed = dict(artefact.tensors)
    name = next(n for n, t in changed.items() if n.startswith("net.") and t.ndim > 1)
    changed[name] = changed[name] * np.float32(1.05)
    save_artefact(tmp_path / "wafer", kind=KIND, tensors=changed, meta=artefact.meta)
    with pytest.raises(ModelError, match=r"smoke scores of wafer/0002 differ .*novelty of input \d .* expected"):
        WaferModel.load(tmp_path / "wafer")


def test_a_moved_threshold_keeps_the_scores() -> None:
    model = tiny_model()
    before, after = smoke_of(model.recognise), smoke_of(replace(model).with_false_novel_rate(0.3).recognise)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_rounding_stays_within_the_tolerance() -> None:
    """Weights that are rounded at random in their last bit stand for another processor."""
    model = tiny_model()
    rng = np.random.default_rng(0)
    state = {
        name: w * torch.from_numpy(1 + rng.choice([-1, 1], w.shape).astype(np.float32) * np.float32(6e-8))
        if w.is_floating_point()
        else w
        for name, w in model.net.state_dict().items()
    }
    net = type(model.net)(model.net.config)
    net.load_state_dict(state)
    before, after = smoke_of(model.recognise), smoke_of(replace(model, net=net.eval()).recognise)
    for name in ("smoke.score.novelty", "smoke.score.probability"):
        off = np.abs(after[name] - before[name]) / (1 + np.abs(before[name]))
        assert off.max() < TOLERANCE / 3

import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.artefacts.artefact import load_artefact
from sparsewatch.detectors.sparse_net.checkpoint import Checkpoint
from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.sparse_net.train import Epoch
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.model import KIND, WaferModel
from sparsewatch.pipelines.train.checkpoint_file import CheckpointFile
from sparsewatch.pipelines.train.wafer import train_wafer
from sparsewatch.pipelines.wafer_files.labelled import read_wafer_npz
from sparsewatch.schemas.errors import ConfigError, SchemaError

CLASSES = ("center", "edge_ring", "none")
SIDE = 24


@pytest.fixture(scope="module")
def die_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Die maps of three known patterns and one more, as an npz file."""
    rng = np.random.default_rng(0)
    names = np.array([*CLASSES, "half_moon"])
    labels = rng.integers(4, size=400)
    patterns = [{"none": "normal"}.get(n, n) for n in names[labels].tolist()]
    points = read_points(make_wafers(patterns, rng, defects=(40, 60)))
    maps = np.ones((400, SIDE, SIDE), dtype=np.uint8)
    row, column = (((at + 1) / 2 * SIDE).astype(int) for at in (points.y, points.x))
    maps[points.wafer, row, column] = 2
    path = tmp_path_factory.mktemp("maps") / "maps.npz"
    np.savez(
        path,
        maps_flat=maps.reshape(-1),
        offsets=np.arange(401) * SIDE * SIDE,
        shapes=np.full((400, 2), SIDE),
        labels=labels,
        class_names=names,
    )
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(train_wafer, [str(a) for a in arguments], env={"COLUMNS": "120"})


def test_die_maps_become_a_model_that_recognises_them(die_maps: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "wafer"
    options = ("--hold-out", "half_moon", "--epochs", 25, "--false-novel-rate", 0.05)
    result = run(die_maps, "--out", out, *options)
    assert result.exit_code == 0, result.output
    artefact = load_artefact(out, KIND)
    metrics = artefact.meta["metrics"]
    assert f"macro-F1 {metrics['macro_f1']:.3f}" in result.output
    assert f"AUROC {metrics['auroc_withheld']['half_moon']:.3f}" in result.output
    assert metrics["macro_f1"] > 0.9
    assert artefact.meta["training"]["config"]["hold_out"] == ["half_moon"]
    assert len(artefact.meta["training"]["sha256"]) == 64

    model = WaferModel.load(out)
    assert (model.classes, model.normal, model.grid) == (CLASSES, "none", SIDE)
    wafers = read_wafer_npz(die_maps)
    answers = model.recognise(wafers.rows)
    truth = np.array(wafers.labels)
    known = np.isin(truth, CLASSES)
    assert (np.array(answers["pattern"].to_pylist()) == truth)[known].mean() > 0.9
    verdicts = np.array(answers["verdict"].to_pylist())
    assert set(verdicts[truth == "none"]) <= {"normal", "novel", "known"}
    assert (verdicts[truth == "none"] == "normal").mean() > 0.8


def test_point_lists_in_parquet_become_a_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["center", "edge_ring"], 300).tolist()
    table = pa.Table.from_batches([make_wafers(labels, rng, defects=30)])
    pq.write_table(table.append_column("label", pa.array(labels)), tmp_path / "w.parquet")
    options = ("--epochs", 2, "--grid", 16_384, "--false-novel-rate", 0.1)
    result = run(tmp_path / "w.parquet", "--out", tmp_path / "m", *options)
    assert result.exit_code == 0, result.output
    model = WaferModel.load(tmp_path / "m")
    assert model.grid == 16_384
    assert model.normal is None


def test_a_spent_budget_still_leaves_a_model(die_maps: Path, tmp_path: Path) -> None:
    options = ("--epochs", 1_000, "--time-budget", 0, "--false-novel-rate", 0.05)
    result = run(die_maps, "--out", tmp_path / "m", *options)
    assert result.exit_code == 0, result.output
    assert WaferModel.load(tmp_path / "m").classes == (*CLASSES[:2], "half_moon", "none")


def test_wrong_requests_end_with_their_reason(die_maps: Path, tmp_path: Path) -> None:
    missing = run(tmp_path / "none.npz")
    assert isinstance(missing.exception, SchemaError)
    unknown = run(die_maps, "--hold-out", "moon")
    assert isinstance(unknown.exception, ConfigError)
    assert "cannot hold out moon" in str(unknown.exception)
    for option, given in (("--epochs", 0), ("--false-novel-rate", 1)):
        outside = run(die_maps, option, given)
        assert isinstance(outside.exception, ConfigError)
        assert f"{option}: expected" in str(outside.exception)


def test_an_interrupted_training_goes_on_and_says_so(
    die_maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = ("--epochs", 3, "--false-novel-rate", 0.05)
    assert run(die_maps, "--out", whole, *options).exit_code == 0

    def interrupted(epoch: Epoch) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sparsewatch.pipelines.train.wafer._progress", lambda *_: contextlib.nullcontext(interrupted))
        stopped = run(die_maps, "--out", broken, *options)
    assert stopped.exit_code != 0
    assert "stopped after epoch 1 of 3; the same command resumes" in stopped.output
    assert not (broken / "0001").exists()
    result = run(die_maps, "--out", broken, *options)
    assert "resuming an interrupted training after epoch 1" in result.output
    for name, tensor in load_artefact(whole, KIND).tensors.items():
        np.testing.assert_array_equal(load_artefact(broken, KIND).tensors[name], tensor, err_msg=name)
    assert not (broken / ".training").exists()
    assert "resuming" not in run(die_maps, "--out", broken, *options, "--no-promote").output
    assert (broken / "latest").read_text().strip() == "0001"


def test_a_checkpoint_cut_short_is_passed_over(tmp_path: Path) -> None:
    file = CheckpointFile.of(tmp_path, {"seed": 1})
    assert file.read() is None
    file.write(Checkpoint({"a": np.arange(3)}, {"epoch": 2}))
    kept = file.read()
    assert kept is not None
    assert kept.meta == {"epoch": 2}
    file.path.write_bytes(file.path.read_bytes()[:-4])
    assert file.read() is None

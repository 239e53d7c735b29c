import functools
import logging
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.artefacts.artefact import WEIGHTS, load_artefact, save_artefact
from sparsewatch.detectors.artefacts.versions import LATEST, MANIFEST, promote, rollback
from sparsewatch.detectors.wafers.model import KIND, WaferModel
from sparsewatch.pipelines.job import model_in_use
from sparsewatch.pipelines.job.model_in_use import FollowedModel, ModelInUse
from sparsewatch.pipelines.wafer.job import LoadForJob, RecogniseBlock
from sparsewatch.schemas.block import META, Block, Span
from sparsewatch.schemas.errors import ConfigError, ModelError
from tests.kit.wafer_models import KNOWN, fresh_wafers, tiny_model


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Loads:
    """Loads tiny artefacts; `number` is what tells them apart."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, version: Path) -> float:
        self.paths.append(version.name)
        return float(load_artefact(version, "k").tensors["number"].item())


def save(folder: Path, number: float, *, promote: bool = True) -> Path:
    return save_artefact(folder, kind="k", tensors={"number": np.array(number)}, meta={}, promote=promote)


def damage(version: Path) -> None:
    path = version / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "m", 1.0)
    return tmp_path / "m"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loads() -> Loads:
    return Loads()


@pytest.fixture
def live(folder: Path, clock: Clock, loads: Loads) -> FollowedModel[float]:
    return FollowedModel(folder, loads, clock=clock, every_s=3)


def later(live: FollowedModel[float], clock: Clock) -> float:
    clock.now += 3
    return live.current()


def test_a_new_version_takes_over_when_it_is_time_to_look(
    folder: Path, live: FollowedModel[float], clock: Clock, loads: Loads
) -> None:
    save(folder, 2.0)
    assert live.current() == 1
    clock.now = 2.9
    assert live.current() == 1
    clock.now = 3
    assert [live.current() for _ in range(3)] == [2] * 3
    assert loads.paths == ["0001", "0002"]


def test_a_run_that_begins_uses_the_version_that_is_named_then(folder: Path, loads: Loads) -> None:
    """Seen: of two runs in one process the second went on with the version of the first for some seconds."""
    model = ModelInUse.at(str(folder), loads)
    assert (model.check(), model.now(), model.shadow()) == (1, 1, None)
    save(folder, 2.0)
    save(folder, 3.0, promote=False)
    assert model.now() == 1
    assert (model.check(), model.now()) == (2, 2)
    assert loads.paths == ["0001", "0002"]


def test_it_goes_back_with_a_rollback_and_waits_for_no_version_that_is_not_latest(
    folder: Path, live: FollowedModel[float], clock: Clock
) -> None:
    save(folder, 2.0)
    assert later(live, clock) == 2
    rollback(folder, lambda _: None)
    assert later(live, clock) == 1
    save(folder, 3.0, promote=False)
    assert later(live, clock) == 1
    promote(folder, "0003", lambda _: None)
    assert later(live, clock) == 3


def test_a_damaged_version_is_refused_once_with_its_reason_and_the_old_one_stays(
    folder: Path, live: FollowedModel[float], clock: Clock, loads: Loads, caplog: pytest.LogCaptureFixture
) -> None:
    damage(save(folder, 2.0))
    assert [later(live, clock) for _ in range(4)] == [1] * 4
    assert live.refusals == 1
    assert loads.paths == ["0001", "0002"]
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "0002 is refused, 0001 stays" in record.getMessage()
    assert "weights.safetensors is damaged: SHA-256" in record.getMessage()
    save(folder, 3.0)
    assert later(live, clock) == 3


def test_a_refused_version_whose_files_change_is_looked_at_again(
    folder: Path, live: FollowedModel[float], clock: Clock
) -> None:
    """As where a version is copied into place file by file, its manifest first."""
    whole = save(folder.parent / "elsewhere", 2.0)
    (folder / "0002").mkdir()
    shutil.copy(whole / MANIFEST, folder / "0002")
    (folder / LATEST).write_text("0002\n")
    assert later(live, clock) == 1
    shutil.copy(whole / WEIGHTS, folder / "0002")
    assert later(live, clock) == 2
    assert live.refusals == 1


def test_a_version_that_is_still_written_aside_is_not_taken(
    folder: Path, live: FollowedModel[float], clock: Clock
) -> None:
    whole = save(folder.parent / "elsewhere", 2.0)
    shutil.copytree(whole, folder / ".new-abc")
    (folder / LATEST).unlink()
    assert later(live, clock) == 1
    assert live.refusals == 0


def test_a_version_named_by_its_own_folder_is_never_exchanged(folder: Path, clock: Clock, loads: Loads) -> None:
    live = FollowedModel(folder / "0001", loads, clock=clock)
    save(folder, 2.0)
    clock.now = 1e6
    assert live.current() == 1


@pytest.mark.parametrize("content", ["", "0009\n", "../m/0001\n"])
def test_a_latest_that_leads_nowhere_changes_nothing(
    folder: Path, live: FollowedModel[float], clock: Clock, content: str
) -> None:
    (folder / LATEST).write_text(content)
    assert [later(live, clock) for _ in range(3)] == [1] * 3
    assert live.refusals == 1


def test_a_first_version_that_cannot_be_loaded_is_an_error(folder: Path, loads: Loads) -> None:
    damage(folder / "0001")
    with pytest.raises(ModelError, match="is damaged"):
        FollowedModel(folder, loads)


def test_others_go_on_with_the_old_model_while_one_loads(folder: Path, clock: Clock) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def load(version: Path) -> str:
        if version.name == "0002":
            loading.set()
            assert go_on.wait(30)
        return version.name

    live = FollowedModel(folder, load, clock=clock, every_s=3)
    save(folder, 2.0)
    clock.now = 3
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(live.current()))
    thread.start()
    assert loading.wait(30)
    clock.now = 100
    assert live.current() == "0001"
    go_on.set()
    thread.join(30)
    assert got == ["0002"]
    assert live.current() == "0002"


@pytest.fixture
def wafer_folder(tmp_path: Path) -> Path:
    tiny_model().save(tmp_path / "wafer", metrics={}, training={})
    return tmp_path / "wafer"


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is another hour, so that each block looks at `latest`."""
    clock = Clock()

    def tick() -> float:
        clock.now += 3600
        return clock.now

    made = functools.cache(lambda model: FollowedModel(model.path, model.version, clock=tick))
    monkeypatch.setattr(model_in_use, "followed", made)


def block(wafers: int = 8) -> Block:
    rows = fresh_wafers("center", wafers)
    columns = [rows[name] for name in rows.schema.names]
    columns += [
        pa.array(np.zeros(wafers), META[0].type),
        pa.array(np.arange(wafers), META[1].type),
        *(pa.array(np.zeros(wafers), field.type) for field in META[2:]),
    ]
    return Block((Span("t", 0, 0, wafers),), pa.RecordBatch.from_arrays(columns, schema=_with_meta(rows.schema)))


def _with_meta(schema: pa.Schema) -> pa.Schema:
    return pa.schema([*schema, *META])


def models_of(recognise: RecogniseBlock) -> set[tuple[str, float]]:
    return {(result.model, round(result.false_novel_rate, 3)) for result in recognise(block()).results}


@pytest.mark.usefixtures("ticking")
def test_each_block_is_judged_by_one_model_that_its_results_name(wafer_folder: Path) -> None:
    recognise = pickle.loads(pickle.dumps(RecogniseBlock(ModelInUse(str(wafer_folder), LoadForJob(None, ("center",))))))
    assert models_of(recognise) == {("wafer/0001", 0.05)}
    tiny_model().with_false_novel_rate(0.1).save(wafer_folder, metrics={}, training={})
    assert models_of(recognise) == {("wafer/0002", 0.1)}


@pytest.mark.usefixtures("ticking")
def test_a_model_whose_smoke_scores_differ_is_not_taken(wafer_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    recognise = RecogniseBlock(ModelInUse(str(wafer_folder), LoadForJob(None, ())))
    assert models_of(recognise) == {("wafer/0001", 0.05)}
    artefact = load_artefact(wafer_folder, KIND)
    moved = {**artefact.tensors, "smoke.score.novelty": artefact.tensors["smoke.score.novelty"] + 1}
    save_artefact(wafer_folder, kind=KIND, tensors=moved, meta=artefact.meta)
    assert models_of(recognise) == {("wafer/0001", 0.05)}
    assert "smoke scores of wafer/0002 differ" in caplog.text


@pytest.mark.usefixtures("ticking")
def test_a_model_that_lacks_what_the_job_asks_is_not_taken(
    wafer_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recognise = RecogniseBlock(ModelInUse(str(wafer_folder), LoadForJob(0.2, ("center",))))
    assert [model for model, _ in models_of(recognise)] == ["wafer/0001"]
    artefact = load_artefact(wafer_folder, KIND)
    renamed = {**artefact.meta, "outputs": ["middle", *KNOWN[1:]]}
    save_artefact(wafer_folder, kind=KIND, tensors=artefact.tensors, meta=renamed)
    assert [model for model, _ in models_of(recognise)] == ["wafer/0001"]
    assert "expected patterns of the model ('middle', 'edge_ring', 'normal'), got ['center']" in caplog.text


def test_what_a_job_asks_is_checked_when_it_loads(wafer_folder: Path) -> None:
    version = wafer_folder / "0001"
    with pytest.raises(ConfigError, match=r"expected_rates: expected patterns of the model .*got \['donut'\]"):
        LoadForJob(None, ("center", "donut"))(version)
    model = ModelInUse(str(version), LoadForJob(0.2, ("center",))).check()
    assert 0.05 < model.false_novel_rate <= 0.2
    assert ModelInUse(str(version), LoadForJob(0.2, ("center",))).check() is model
    assert WaferModel.load(version).false_novel_rate == LoadForJob(None, ())(version).false_novel_rate

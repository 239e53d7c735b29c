import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.artefacts.artefact import WEIGHTS, load_artefact, save_artefact
from sparsewatch.detectors.artefacts.versions import LATEST, mark_candidate
from sparsewatch.detectors.wafers.model import KIND
from sparsewatch.pipelines.cli import cli
from sparsewatch.schemas.errors import ModelError
from tests.kit.wafer_models import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three sound versions of one wafer model."""
    path = tmp_path / "wafer"
    tiny_model().save(path, metrics={"macro_f1": 0.8765, "confusion": [[1]], "accuracy": 0.5}, training={})
    artefact = load_artefact(path, KIND)
    for _ in range(2):
        save_artefact(path, kind=KIND, tensors=artefact.tensors, meta=artefact.meta)
    return path


def models(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["models", *map(str, arguments)])


def told(*arguments: object) -> str:
    answer = models(*arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


def latest(folder: Path) -> str:
    return (folder / LATEST).read_text().strip()


def damage(version: Path) -> None:
    path = version / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def differing_scores(folder: Path) -> None:
    """A version 0004 that scores other than it says, promoted by nobody."""
    artefact = load_artefact(folder, KIND)
    moved = {**artefact.tensors, "smoke.score.novelty": artefact.tensors["smoke.score.novelty"] * 1.01}
    save_artefact(folder, kind=KIND, tensors=moved, meta=artefact.meta, promote=False)


def test_a_list_says_what_there_is_and_which_is_taken(folder: Path) -> None:
    (folder / "0002" / "manifest.json").write_text("{")
    said = told("list", folder)
    rows = {line.split("│")[1].strip(): line for line in said.splitlines() if "│ 000" in line}
    assert sorted(rows) == ["0001", "0002", "0003"]
    assert "accuracy 0.5, macro_f1 0.876" in rows["0001"]
    assert load_artefact(folder / "0001", KIND).digest[:12] in rows["0001"]
    assert "latest" in rows["0003"]
    assert "latest" not in rows["0001"]
    assert "not readable" in rows["0002"]
    assert "saved: 0002 -> 0003" in said


def test_a_list_as_json_is_a_line_for_each_version(folder: Path) -> None:
    (folder / "0002" / "manifest.json").write_text("{")
    mark_candidate(folder, "0001", lambda _: None)
    answer = models("list", folder, "--json")
    first, second, third = (json.loads(line) for line in answer.stdout.splitlines())
    assert (first["version"], first["status"], first["kind"]) == ("0001", "candidate", "wafer")
    assert first["metrics"] == {"macro_f1": 0.8765, "confusion": [[1]], "accuracy": 0.5}
    assert first["digest"] == load_artefact(folder / "0001", KIND).digest
    written = datetime.fromisoformat(first["written"])
    assert abs((datetime.now(UTC) - written).total_seconds()) < 600
    assert (second["version"], second["status"]) == ("0002", None)
    assert "manifest.json" in second["error"]
    assert third["status"] == "latest"
    assert "saved: 0002 -> 0003" in answer.stderr


def test_a_metric_from_elsewhere_is_no_markup(folder: Path) -> None:
    artefact = load_artefact(folder, KIND)
    save_artefact(folder, kind=KIND, tensors=artefact.tensors, meta={"metrics": {"[red]\x1b[2J": 1.0}})
    assert r"[red]\x1b[2J 1" in told("list", folder)


def test_a_list_marks_the_candidate_of_a_shadow_run_until_a_promotion_ends_it(folder: Path) -> None:
    mark_candidate(folder, "0001", lambda _: None)
    row = next(line for line in told("list", folder).splitlines() if "│ 0001" in line)
    assert "candidate" in row
    told("promote", folder, "0001")
    assert "candidate" not in told("list", folder)


def test_sound_versions_verify(folder: Path) -> None:
    assert told("verify", folder).count(": sound") == 3
    assert told("verify", folder / "0002") == f"{folder / '0002'}: sound\n"


def test_what_differs_is_named_and_ends_with_exit_code_1(folder: Path) -> None:
    damage(folder / "0001")
    (folder / "0002").rename(folder / "0009")
    differing_scores(folder)
    answer = models("verify", folder)
    assert answer.exit_code == 1
    assert f"{folder / '0001'}: differs\n  {folder / '0001' / WEIGHTS} is damaged: SHA-256" in answer.output
    assert f"{folder / '0003'}: sound" in answer.output
    assert "its folder is 0009, its manifest says version 0002" in answer.output
    assert "smoke scores of wafer/0010 differ from those it was written with: novelty of input" in answer.output


def test_kinds_that_nothing_loads_are_said_so(tmp_path: Path) -> None:
    save_artefact(tmp_path / "m", kind="other", tensors={"t": np.zeros(1)}, meta={})
    answer = models("verify", tmp_path / "m")
    assert answer.exit_code == 1
    assert "expected a model of kind wafer, rows or reference" in answer.output


def test_promotion_and_rollbacks_move_latest(folder: Path) -> None:
    assert "promoted: 0003 -> 0001" in told("promote", folder, "0001")
    assert told("promote", folder, "0001") == "0001 is the latest already\n"
    assert "rolled back: 0001 -> 0003" in told("rollback", folder)
    assert "rolled back: 0003 -> 0002" in told("rollback", folder)
    assert latest(folder) == "0002"
    assert told("list", folder).count("rolled back:") == 2


def test_what_does_not_verify_is_not_promoted_nor_rolled_back_to(folder: Path) -> None:
    differing_scores(folder)
    damage(folder / "0002")
    for arguments, says in (
        (("promote", folder, "0004"), "0004 does not verify: smoke scores"),
        (("promote", folder, "0002"), "0002 does not verify: .*is damaged"),
        (("promote", folder, "0007"), "no version '0007'"),
        (("rollback", folder), "0002 does not verify"),
    ):
        with pytest.raises(ModelError, match=says):
            CliRunner().invoke(cli, ["models", *map(str, arguments)], catch_exceptions=False)
    assert latest(folder) == "0003"


def test_a_wafer_model_may_wait_for_its_promotion(folder: Path) -> None:
    tiny_model().save(folder, metrics={}, training={}, promote=False)
    assert latest(folder) == "0003"
    assert "promoted: 0003 -> 0004" in told("promote", folder, "0004")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    for command in ("list", "verify"):
        with pytest.raises(ModelError, match="no model in"):
            CliRunner().invoke(cli, ["models", command, str(tmp_path)], catch_exceptions=False)


def test_help_teaches() -> None:
    assert "sparsewatch models rollback models/wafer" in told("--help")

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.artefacts.artefact import save_artefact
from sparsewatch.detectors.artefacts.versions import (
    CANDIDATE,
    HISTORY,
    LATEST,
    before_latest,
    candidate,
    clear_candidate,
    history,
    latest,
    mark_candidate,
    move_latest,
    promote,
    resolve_version,
    rollback,
    versions,
)
from sparsewatch.schemas.errors import ModelError


def holds(version: Path) -> None:
    """Every version verifies."""


def refuses(version: Path) -> None:
    raise ModelError(f"{version.name} is damaged")


def save(folder: Path, *, promote: bool = True) -> str:
    return save_artefact(folder, kind="k", tensors={"t": np.zeros(2)}, meta={}, promote=promote).name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Versions 0001 to 0003, saved in this order."""
    for _ in range(3):
        save(tmp_path / "m")
    return tmp_path / "m"


def test_the_history_says_when_from_what_to_what_and_why(folder: Path) -> None:
    before = datetime.now(UTC).timestamp() - 60
    promote(folder, "0001", holds)
    rollback(folder, holds)
    moves = [(move.before, move.after, move.why) for move in history(folder)]
    assert moves == [
        (None, "0001", "saved"),
        ("0001", "0002", "saved"),
        ("0002", "0003", "saved"),
        ("0003", "0001", "promoted"),
        ("0001", "0003", "rolled back"),
    ]
    times = [move.at.timestamp() for move in history(folder)]
    assert times == sorted(times)
    assert before < times[0] < before + 120
    line = (folder / HISTORY).read_text().splitlines()[1]
    assert '"from":"0001","to":"0002","why":"saved"' in line


def test_a_version_that_waits_is_no_latest_until_it_is_promoted(folder: Path) -> None:
    waiting = save(folder, promote=False)
    assert (waiting, latest(folder)) == ("0004", "0003")
    move = promote(folder, waiting, holds)
    assert move is not None
    assert (move.before, latest(folder)) == ("0003", "0004")
    assert promote(folder, waiting, holds) is None
    assert len(history(folder)) == 4


def test_what_does_not_verify_is_not_promoted(folder: Path) -> None:
    with pytest.raises(ModelError, match="0001 is damaged"):
        promote(folder, "0001", refuses)
    with pytest.raises(ModelError, match=r"no version '0009' in .*it has 0001, 0002, 0003"):
        promote(folder, "0009", holds)
    with pytest.raises(ModelError, match="expected a version of"):
        promote(folder, "../m/0001", holds)
    assert (latest(folder), len(history(folder))) == ("0003", 3)


def test_rollbacks_go_back_further_each_time_and_end(folder: Path) -> None:
    assert [rollback(folder, holds).after for _ in range(2)] == ["0002", "0001"]
    with pytest.raises(ModelError, match="names no version that was latest before"):
        rollback(folder, holds)
    assert latest(folder) == "0001"


def test_a_rollback_to_what_does_not_verify_or_is_gone_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="0002 is damaged"):
        rollback(folder, refuses)
    (folder / "0002").rename(folder.parent / "elsewhere")
    with pytest.raises(ModelError, match="no version '0002'"):
        rollback(folder, holds)
    assert latest(folder) == "0003"


def test_a_rollback_from_a_latest_written_by_hand_goes_to_what_was_recorded_last(folder: Path) -> None:
    (folder / LATEST).write_text("0001\n")
    assert rollback(folder, holds).after == "0003"
    assert rollback(folder, holds).after == "0002"


def test_a_folder_without_a_history_has_nothing_to_go_back_to(folder: Path) -> None:
    (folder / HISTORY).unlink()
    with pytest.raises(ModelError, match="cannot roll back"):
        rollback(folder, holds)
    promote(folder, "0001", holds)
    assert rollback(folder, holds).after == "0003"


@given(st.lists(st.sampled_from(["a", "b", "c", "back"]), max_size=12))
def test_a_history_goes_back_like_a_stack(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, stack = Path(name), list[str]()
        for step in steps:
            if step == "back":
                if len(stack) < 2:
                    continue
                stack.pop()
                move_latest(folder, stack[-1], "rolled back")
            elif stack[-1:] != [step]:
                stack.append(step)
                move_latest(folder, step, "promoted")
            assert latest(folder) == stack[-1]
            assert before_latest(folder) == (stack[-2] if len(stack) > 1 else None)


def test_what_is_still_being_written_is_no_version(folder: Path) -> None:
    half = folder / ".new-abc"
    half.mkdir()
    (half / "manifest.json").write_bytes((folder / "0003" / "manifest.json").read_bytes())
    assert versions(folder) == ["0001", "0002", "0003"]
    (folder / LATEST).unlink()
    assert resolve_version(folder).name == "0003"


@pytest.mark.parametrize("content", ["", "../x", "a b", "\xff"])
def test_a_latest_that_names_no_version_is_refused(folder: Path, content: str) -> None:
    (folder / LATEST).write_text(content)
    with pytest.raises(ModelError, match=r"latest: expected a version of"):
        resolve_version(folder)


def test_a_torn_history_is_refused_by_name(folder: Path) -> None:
    path = folder / HISTORY
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match=r"history\.jsonl is no history"):
        rollback(folder, holds)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    folder.chmod(0o555)
    with pytest.raises(ModelError, match="cannot write"):
        promote(folder, "0001", holds)


def test_a_candidate_is_named_beside_the_latest_and_moves_nothing(folder: Path) -> None:
    assert candidate(folder) is None
    mark_candidate(folder, "0002", holds)
    mark_candidate(folder, "0001", holds)
    assert (candidate(folder), latest(folder), len(history(folder))) == ("0001", "0003", 3)
    clear_candidate(folder)
    clear_candidate(folder)
    assert candidate(folder) is None
    assert versions(folder) == ["0001", "0002", "0003"]


def test_what_does_not_verify_is_no_candidate(folder: Path) -> None:
    with pytest.raises(ModelError, match="0002 is damaged"):
        mark_candidate(folder, "0002", refuses)
    with pytest.raises(ModelError, match="no version '0009'"):
        mark_candidate(folder, "0009", holds)
    assert candidate(folder) is None


def test_a_latest_that_is_moved_by_choice_ends_the_shadow_run(folder: Path) -> None:
    mark_candidate(folder, "0001", holds)
    promote(folder, "0001", holds)
    assert candidate(folder) is None
    mark_candidate(folder, "0002", holds)
    rollback(folder, holds)
    assert candidate(folder) is None


def test_a_shadow_run_outlives_a_promotion_that_is_refused(folder: Path) -> None:
    mark_candidate(folder, "0001", holds)
    with pytest.raises(ModelError, match="is damaged"):
        promote(folder, "0001", refuses)
    assert candidate(folder) == "0001"


@pytest.mark.parametrize("content", ["", "../x", "candidate"])
def test_a_candidate_file_that_names_no_version_is_refused(folder: Path, content: str) -> None:
    (folder / CANDIDATE).write_text(content)
    with pytest.raises(ModelError, match=r"candidate: expected a version of"):
        candidate(folder)

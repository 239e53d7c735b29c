import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs import as_they_end, digest, file_digest, read_figures, write_figures


def halved(number: int) -> float:
    if number < 0:
        raise ValueError(number)
    return number / 2


def test_runs_are_measured_in_processes_and_may_call_for_others() -> None:
    ended = as_they_end(halved, [8, 3], 2, then=lambda run, half: [int(half)] if run % 2 == 0 else [])
    assert {run: future.result() for run, future in ended} == {8: 4.0, 3: 1.5, 4: 2.0, 2: 1.0, 1: 0.5}


def test_a_failure_is_that_of_its_run_alone() -> None:
    ended = dict(as_they_end(halved, [-1, 2], 1, then=lambda run, half: [6] if run == 2 else []))
    assert isinstance(ended[-1].exception(), ValueError)
    assert (ended[2].result(), ended[6].result()) == (1.0, 3.0)


def test_figures_are_found_again_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    assert read_figures(path, dict[str, Any]) is None
    write_figures(path, {"auc": 0.5})
    assert read_figures(path, dict[str, Any]) == {"auc": 0.5}
    assert [other.name for other in path.parent.iterdir()] == ["a.json"]
    assert json.loads(path.read_text()) == {"auc": 0.5}


@pytest.mark.parametrize("other", [({"a": 2}, "x"), ({"a": 1}, "y"), ({"a": 1},)])
def test_a_digest_changes_with_all_it_is_about(other: tuple[Any, ...]) -> None:
    assert digest({"a": 1}, "x") != digest(*other)
    # Figures of earlier days lie under it.
    assert digest({"b": 1, "a": [2]}, "x") == digest({"a": [2], "b": 1}, "x") == "72d16c50c743"


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert file_digest(tmp_path / "a").startswith("e3b0c44298fc1c14")

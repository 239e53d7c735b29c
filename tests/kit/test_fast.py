"""What is fast is found by itself, and a test that only looks fast fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.fast import LOADS_TORCH
from tests.kit.imports import module_name, reaches
from tests.kit.installed import REPO_ROOT


@pytest.mark.parametrize(
    ("module", "answer"),
    [
        ("tests.detectors.sparse_net.test_train", True),
        ("sparsewatch.detectors.wafers.model", True),
        ("tests.kit.fast", False),
        ("tests.conftest", False),
        ("sparsewatch.pipelines.cli", False),
        ("sparsewatch.schemas.jobs", False),
        ("torch.nn", True),
        ("torchlike", False),
    ],
)
def test_what_loads_torch_is_read_from_the_imports(module: str, answer: bool) -> None:
    assert reaches(module, LOADS_TORCH) == answer


def test_a_file_has_the_name_it_is_imported_by() -> None:
    assert module_name(REPO_ROOT / "sparsewatch" / "schemas" / "jobs.py") == "sparsewatch.schemas.jobs"
    assert module_name(REPO_ROOT / "sparsewatch" / "schemas" / "__init__.py") == "sparsewatch.schemas"


_FILE = """
import pytest

def test_that_loads_torch_while_it_runs():
    import torch

@pytest.mark.torch
def test_that_says_so():
    import torch

def test_that_needs_nothing():
    pass
"""


def test_a_fast_test_that_loads_torch_fails(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(_FILE)
    options = ["-p", "tests.kit.fast", "-p", "no:cacheprovider", "--fast", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "a fast test imports torch: mark it with `@pytest.mark.torch`" in done.stdout
    assert "1 failed, 1 passed, 1 deselected" in done.stdout

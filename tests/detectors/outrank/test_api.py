"""What `sparsewatch.detectors.outrank` offers, and that taking some of it costs no more than that."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import sparsewatch.detectors.outrank as outrank
from tests.kit.installed import REPO_ROOT

NAMES: list[str] = vars(outrank)["__all__"]
HEAVY = ("sklearn", "torch", "apache_beam", "matplotlib")


def typed_names() -> dict[str, str]:
    """Names and their modules as a type checker reads them."""
    tree = ast.parse(Path(outrank.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {str(alias.asname): str(node.module) for node in imports for alias in node.names}


def test_what_is_named_is_what_a_type_checker_reads() -> None:
    assert sorted(set(NAMES)) == NAMES
    assert sorted(typed_names()) == NAMES
    assert set(NAMES) <= set(dir(outrank))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_importable_from_where_it_says_and_is_documented(name: str) -> None:
    found = getattr(outrank, name)
    assert found is getattr(import_module(typed_names()[name]), name)
    assert not isinstance(found, ModuleType), "a module of this name would hide it"
    if callable(found):
        assert found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'sparsewatch\.detectors\.outrank' has no attribute 'rank'"):
        _ = outrank.rank  # type: ignore[attr-defined]


def test_every_name_is_on_the_page() -> None:
    page = (REPO_ROOT / "docs" / "ranking.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in page] == []


@pytest.mark.long
@pytest.mark.parametrize(
    "statement",
    [
        "import sparsewatch.detectors.outrank",
        "from sparsewatch.detectors.outrank import rank_features, rank_codes, score, pairwise_scores",
        "import sparsewatch.detectors.outrank.ranking",
        "import sparsewatch.detectors.outrank.heuristics",
        "import sparsewatch.detectors.counts.feature_counts",
    ],
)
def test_an_import_brings_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

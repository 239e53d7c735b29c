"""Public names of a package, each loaded when it is first used: importing the package costs nothing.

A package lists its names once, as imports `from module import name as name` under `if TYPE_CHECKING:`, which is what
type checkers and editors read. Here the same lines are read from its source; the `else:` takes what they give:

    if TYPE_CHECKING:
        from package.module import name as name
    else:
        __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_names(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package needs to load its names late: `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: Name of the package.
        file: Its `__init__.py`.
    """
    homes = _homes(Path(file).read_text(encoding="utf-8"))
    names = vars(sys.modules[package])

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        names[name] = getattr(import_module(homes[name]), name)
        return names[name]

    return load, lambda: sorted({*names, *homes}), sorted(homes)


def _homes(source: str) -> dict[str, str]:
    """The module of each name that is imported under `if TYPE_CHECKING:`."""
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If) and _is_type_checking(node.test)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"

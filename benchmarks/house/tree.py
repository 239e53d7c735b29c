"""The modules of a checkout, what they import, and the circles they stand in.

Modules are named without the prefix `sparsewatch.`, so that a checkout from before it had that prefix measures alike.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

#: The folders of what is installed.
PACKAGES = ("schemas", "detectors", "transforms", "pipelines")
_PREFIX = "sparsewatch."

Graph = Mapping[str, set[str]]


@dataclass(frozen=True)
class Tree:
    """A checkout.

    Args:
        root: Its folder.
    """

    root: Path

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Files of the packages by module name, `__init__` under the name of its package."""
        paths = [path for package in PACKAGES for path in sorted((self.root / package).rglob("*.py"))]
        return {_module_name(path.relative_to(self.root)): path for path in paths}

    @cached_property
    def parsed(self) -> dict[str, ast.Module]:
        """Syntax trees by module name."""
        return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.modules.items()}

    def top_files(self, package: str) -> list[str]:
        """Files at the top of a package, without its `__init__`."""
        return sorted(path.name for path in (self.root / package).glob("*.py") if path.stem != "__init__")

    def imports(self) -> dict[str, set[str]]:
        """For each module those it imports, anywhere in its file.

        Imports inside functions and under `if TYPE_CHECKING` count too: a reader follows them all. What is imported by
        a name held in a string does not.
        """
        return {name: self._imported(name, tree) for name, tree in self.parsed.items()}

    def _imported(self, name: str, tree: ast.Module) -> set[str]:
        found = {target for node in ast.walk(tree) for target in _targets(node)}
        # `from package import module` and `from module import thing` look alike; longest known name wins.
        known = {target if target in self.modules else target.rpartition(".")[0] for target in found}
        return (known & self.modules.keys()) - {name}


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _targets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.removeprefix(_PREFIX) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
        module = node.module + "."
        yield from (f"{module}{alias.name}".removeprefix(_PREFIX) for alias in node.names)


def room(module: str) -> str:
    """The room of a module: a folder of a package, or a file at a package's top."""
    return ".".join(module.split(".")[:2])


def rooms(graph: Graph) -> dict[str, set[str]]:
    """The graph of rooms of a graph of modules."""
    folded: dict[str, set[str]] = {}
    for name, targets in graph.items():
        folded.setdefault(room(name), set()).update(room(target) for target in targets)
    return folded


def circles(graph: Graph) -> list[list[str]]:
    """Groups of two and more nodes, each of which reaches all others of its group; sorted."""
    names = sorted(graph.keys() | {target for targets in graph.values() for target in targets})
    place = {name: at for at, name in enumerate(names)}
    arrows = [(place[name], place[target]) for name, targets in graph.items() for target in targets]
    starts, ends = zip(*arrows, strict=True) if arrows else ((), ())
    matrix = csr_array((np.ones(len(arrows)), (starts, ends)), shape=(len(names), len(names)))
    _, labels = connected_components(matrix, connection="strong")
    return _groups(names, labels.tolist())


def _groups(names: Iterable[str], labels: Iterable[int]) -> list[list[str]]:
    groups: dict[int, list[str]] = {}
    for name, label in zip(names, labels, strict=True):
        groups.setdefault(label, []).append(name)
    return sorted(group for group in groups.values() if len(group) > 1)

"""Which modules come with a module when it is imported, read from the text: nothing is run for it."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.kit.installed import REPO_ROOT


def module_name(file: Path) -> str:
    """Dotted name of a Python file of the repository.

    Args:
        file: Its path, below the repository's root as it is imported: by the links of `sparsewatch/`.
    """
    parts = file.relative_to(REPO_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def reaches(module: str, wanted: frozenset[str]) -> bool:
    """Whether the import of a module imports one of `wanted`, or a module below it.

    What a function imports when it is called does not count, nor what others' packages import of themselves.

    Args:
        module: Dotted name.
        wanted: Dotted names, such as `torch`.
    """
    seen, pending = {module}, [module]
    while pending:
        name = pending.pop()
        if name in wanted:
            return True
        new = _imports(name) - seen
        seen |= new
        pending += new
    return False


@cache
def _imports(module: str) -> frozenset[str]:
    """Names that a module of the repository imports; of others' modules none, as their files are not read."""
    file = _file(module)
    if file is None:
        return frozenset(_parents(module))
    tree = ast.parse(file.read_bytes())
    return frozenset({*_parents(module), *(name for full in _named(tree) for name in (full, *_parents(full)))})


def _file(module: str) -> Path | None:
    place = REPO_ROOT.joinpath(*module.split("."))
    return next((f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None)


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _named(node: ast.AST) -> Iterator[str]:
    """Names in the import statements that run with the module; `from a import b` gives `a.b`, be it module or not."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.expr():
                pass
            case ast.If(ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                pass
            case _:
                yield from _named(child)

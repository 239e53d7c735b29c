"""Rules of the findings that a module makes, read from its text."""

import ast
from collections.abc import Iterator
from pathlib import Path


def rules_of(path: Path) -> set[str]:
    """Rules named where a `Finding` is made, or the method `finding` is called that makes it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [value for call in calls for value in _rules_given(call)]
    names = {node.id for value in given for node in ast.walk(value) if isinstance(node, ast.Name)}
    return {text for value in given for text in _texts(value)} | {
        text for name, value in _assigned(tree) if name in names for text in _texts(value)
    }


def _rules_given(call: ast.Call) -> list[ast.expr]:
    if isinstance(call.func, ast.Name) and call.func.id == "Finding":
        return [keyword.value for keyword in call.keywords if keyword.arg == "rule"]
    return call.args[:1] if isinstance(call.func, ast.Attribute) and call.func.attr == "finding" else []


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Names that a module assigns to, with their values; those of a tuple one by one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
                yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))


def _texts(value: ast.expr) -> Iterator[str]:
    for node in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value

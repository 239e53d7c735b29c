"""Runs of lines that stand in two places, letter for letter once white space and comments are gone."""

import ast
import io
import tokenize
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

#: Fewest lines of a run.
RUN = 6

#: A file's name and a position among its lines of code.
_Place = tuple[str, int]
_Lines = Mapping[str, list[str]]
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def repeated_runs(paths: Iterable[Path]) -> dict[tuple[str, ...], set[str]]:
    """Runs of at least `RUN` lines of code that two places share, longest first, with the files that hold them.

    Lines are compared by their tokens. Imports and docstrings are no code here: the first are alike by nature.
    """
    lines = {str(path): code_lines(path.read_text(encoding="utf-8")) for path in paths}
    runs: dict[tuple[str, ...], set[str]] = {}
    for first, second in _pairs(lines):
        runs.setdefault(_run(lines, first, second), set()).update((first[0], second[0]))
    return dict(sorted(runs.items(), key=lambda found: (-len(found[0]), found[0])))


def code_lines(text: str) -> list[str]:
    """Lines of code, each as its tokens with a space between."""
    skipped = _skipped_lines(ast.parse(text))
    lines: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _LAYOUT and token.start[0] not in skipped:
            lines.setdefault(token.start[0], []).append(token.string)
    return [" ".join(lines[number]) for number in sorted(lines)]


def _skipped_lines(tree: ast.Module) -> set[int]:
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    skipped = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node)]
    return {line for node in skipped for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _pairs(lines: _Lines) -> list[tuple[_Place, _Place]]:
    """Pairs of places where a shared run begins."""
    windows: dict[tuple[str, ...], list[_Place]] = {}
    for name, code in lines.items():
        for at in range(len(code) - RUN + 1):
            windows.setdefault(tuple(code[at : at + RUN]), []).append((name, at))
    pairs = (pair for places in windows.values() for pair in combinations(places, 2))
    return [pair for pair in pairs if _begins(lines, *pair)]


def _begins(lines: _Lines, first: _Place, second: _Place) -> bool:
    (name, at), (other, there) = first, second
    if name == other and there - at < RUN:
        return False
    return not (at and there and lines[name][at - 1] == lines[other][there - 1])


def _run(lines: _Lines, first: _Place, second: _Place) -> tuple[str, ...]:
    (name, at), (other, there) = first, second
    shared: list[str] = []
    for line, its_twin in zip(lines[name][at:], lines[other][there:], strict=False):
        if line != its_twin:
            break
        shared.append(line)
    return tuple(shared)

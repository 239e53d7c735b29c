"""Places that ask what kind a job is."""

import ast
from collections.abc import Iterator

from benchmarks.house.tree import Tree


def places_that_ask(tree: Tree) -> list[str]:
    """Places, as `module:line`, that ask the kind of a job.

    Such are `isinstance` and `case` with the class of a job, a comparison with the class or with its `kind`, and a
    table by kinds. Classes of jobs are those declared with `tag=`, which msgspec reads from the key `kind`.
    """
    jobs = dict(declared for parsed in tree.parsed.values() for declared in _declared_jobs(parsed))
    return sorted(
        f"{name}:{node.lineno}"
        for name, parsed in tree.parsed.items()
        for node in ast.walk(parsed)
        if isinstance(node, ast.expr | ast.pattern) and _asks(node, set(jobs), set(jobs.values()))
    )


def _declared_jobs(parsed: ast.Module) -> Iterator[tuple[str, str]]:
    """Names of classes of jobs, each with its kind."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.ClassDef) and node.name.endswith("Job"):
            for keyword in node.keywords:
                if keyword.arg == "tag" and isinstance(keyword.value, ast.Constant):
                    yield node.name, str(keyword.value.value)


def _asks(node: ast.expr | ast.pattern, classes: set[str], kinds: set[str]) -> bool:
    match node:
        case ast.Call(func=ast.Name("isinstance"), args=[_, wanted]):
            return bool(_names(wanted) & classes)
        case ast.MatchClass(cls=wanted):
            return bool(_names(wanted) & classes)
        case ast.Compare(left=left, comparators=others):
            sides = [left, *others]
            return any(ast.unparse(side).endswith("job.kind") or _names(side) & classes for side in sides)
        case ast.Dict(keys=keys):
            return len(keys) > 1 and all(_is_kind(key, classes, kinds) for key in keys)
    return False


def _is_kind(key: ast.expr | None, classes: set[str], kinds: set[str]) -> bool:
    match key:
        case ast.Constant(value=value):
            return value in kinds
        case ast.Name(id=name):
            return name in classes
    return False


def _names(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}

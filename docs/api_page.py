"""Writes docs/api.md from the code: every public name with its signature and the first paragraph of its docstring.

`python -m docs.api_page`, or `make docs-api`.
"""

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

PAGE = Path(__file__).with_name("api.md")
#: Packages whose names are on the page; `sparsewatch.detectors.outrank` has a page of its own, docs/ranking.md.
PACKAGES = ("sparsewatch", "sparsewatch.testing")
#: Headings of the page, by the beginnings of the modules whose names stand below them.
_GROUPS = {
    "Rows": ("sparsewatch.detectors.rows.",),
    "Wafers": ("sparsewatch.detectors.wafers.", "sparsewatch.pipelines.wafer_explain."),
    "Clicks": ("sparsewatch.detectors.clicks.", "sparsewatch.detectors.counts.", "sparsewatch.detectors.outrank."),
    "Apache Beam": ("sparsewatch.transforms.inference.", "sparsewatch.transforms.rank_features"),
    "Jobs": ("sparsewatch.pipelines.job.", "sparsewatch.pipelines.run."),
    "Windows of a job": (
        "sparsewatch.transforms.window.",
        "sparsewatch.schemas.alerts",
        "sparsewatch.schemas.alerts",
    ),
    "Errors": ("sparsewatch.schemas.errors",),
    "Tests": ("sparsewatch.testing.",),
}
_HEAD = """# Public names

Written by `make docs-api` from the code; `help(name)` says the rest. Public are the names on this page, those of
`sparsewatch.detectors.outrank` ([ranking.md](ranking.md#from-python)), and `sparsewatch.__version__`. Other modules may
change with any release.
"""


def page() -> str:
    """The page as the code is now."""
    names = dict(_names())
    groups: dict[str, list[str]] = {group: [] for group in _GROUPS}
    for name, thing in names.items():
        groups[_group(thing)].append(name)
    sections = [f"## {group}\n\n" + "\n".join(_entry(n, names[n]) for n in groups[group]) for group in _GROUPS]
    return "\n".join([_HEAD, *sections])


def _names() -> Iterator[tuple[str, Any]]:
    for package in PACKAGES:
        module: ModuleType = importlib.import_module(package)
        for name in vars(module)["__all__"]:
            if name != "__version__":
                yield f"{package}.{name}", getattr(module, name)


def _group(thing: Any) -> str:
    return next(group for group, homes in _GROUPS.items() if thing.__module__.startswith(homes))


def _entry(name: str, thing: Any) -> str:
    package, _, last = name.rpartition(".")
    first = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    if isinstance(thing, type) and issubclass(thing, Exception):
        return f"### {last}\n\n{first}\n"
    call = last + (_made(thing) if isinstance(thing, type) else _arguments(_node(thing), vars(_module(thing))))
    methods = f"\nMethods: {_methods(thing)}.\n" if _methods(thing) else ""
    return f"### {last}\n\n```python\nfrom {package} import {last}\n\n{call}\n```\n\n{first}\n{methods}"


def _made(thing: type) -> str:
    """How one gets an object of a class: by loading it, where that is offered, else by calling the class.

    Arguments are as they are written: what `inspect` makes of types differs between versions of Python.
    """
    body = {node.name: node for node in _node(thing).body if isinstance(node, ast.FunctionDef)}
    found = body.get("load") or body.get("__init__")
    if found is None:
        return _wrapped([_field(node) for node in _node(thing).body if isinstance(node, ast.AnnAssign)], "")
    del found.args.args[0]
    start = ".load" if found.name == "load" else ""
    return start + _arguments(found, vars(_module(thing)))


def _field(node: ast.AnnAssign) -> str:
    """A field of a dataclass; one that is made anew for each object is shown as the call that makes it."""
    factory = next((k.value for k in getattr(node.value, "keywords", ()) if k.arg == "default_factory"), None)
    made = node.value if factory is None else ast.Call(factory, [], [])
    return ast.unparse(ast.AnnAssign(node.target, node.annotation, made, node.simple))


def _methods(thing: Any) -> str:
    """Public methods of ours, those that are inherited among them; Beam calls those of its own classes by itself."""
    shown = isinstance(thing, type) and not thing.__module__.startswith("sparsewatch.transforms.")
    found = inspect.getmembers(thing, inspect.isroutine) if shown else []
    ours = [name for name, method in found if str(getattr(method, "__module__", "")).startswith("sparsewatch")]
    return ", ".join(f"`{name}`" for name in ours if not name.startswith("_"))


def _arguments(node: ast.FunctionDef, space: Mapping[str, Any]) -> str:
    arguments = node.args
    n_required = len(arguments.args) - len(arguments.defaults)
    parts = [_argument(a, None, space) for a in arguments.args[:n_required]]
    parts += [_argument(a, d, space) for a, d in zip(arguments.args[n_required:], arguments.defaults, strict=True)]
    if arguments.kwonlyargs:
        parts.append("*")
    parts += [_argument(a, d, space) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    parts += [f"**{ast.unparse(arguments.kwarg)}"] if arguments.kwarg else []
    returns = ast.unparse(node.returns) if node.returns is not None else "None"
    return _wrapped(parts, "" if node.name in ("__init__", "load") else f" -> {returns}")


def _argument(argument: ast.arg, default: ast.expr | None, space: Mapping[str, Any]) -> str:
    if default is None:
        return ast.unparse(argument)
    text = ast.unparse(default)
    named = isinstance(default, ast.Name | ast.Attribute)
    value = repr(attrgetter(text)(SimpleNamespace(**space))) if named else text
    return f"{ast.unparse(argument)} = {value}"


def _module(thing: Any) -> ModuleType:
    return sys.modules[thing.__module__]


def _wrapped(parts: list[str], returns: str) -> str:
    line = f"({', '.join(parts)}){returns}"
    return line if len(line) < 90 else "(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def _node(thing: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

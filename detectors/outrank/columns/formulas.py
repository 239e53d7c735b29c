"""A small language of formulas over one numeric column X, such as `round(log(X + 1) * 100, 0)`.

Numbers, X, `pi`, `e` and `nan`; `+ - * / **` and a sign; comparisons of two sides; the functions of `FUNCTIONS`, by
position. Everything is 64-bit floats; true is 1, false is 0. A formula is read by Python's own grammar and its tree is
walked against this list: nothing is ever evaluated as Python.

A missing value (NaN) stays missing: a comparison with it is missing, and so is `where` on a missing condition.
Statistics of the column (`mean`, `percentile` ...) leave missing values out. Only `isnan` and its like see them.
"""

import ast
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.errors import ConfigError

Floats = NDArray[np.float64]

#: Characters of a formula.
MAX_LENGTH = 500

#: A part of a formula: from X, shape (n_rows,), to a column of this shape or to one number, which is shape ().
_Part = Callable[[Floats], Any]


class Formula(NamedTuple):
    """A formula ready to be computed."""

    text: str
    #: Whether a row's value depends on other rows, so that the formula needs the whole column at once.
    whole_column: bool
    part: _Part

    def values(self, X: Floats) -> Floats:
        """The formula's value for each row.

        Args:
            X: Numbers, NaN where missing, shape (n_rows,). Not changed.

        Returns:
            Shape (n_rows,); NaN where X is missing or the formula is undefined, infinite where it overflows.
        """
        if not X.size:
            return np.empty(0)
        with np.errstate(all="ignore"):
            # Adding zero makes -0.0 equal to 0.0.
            return np.broadcast_to(np.asarray(self.part(X), np.float64), X.shape) + 0.0


def _missing_with(function: Callable[..., Any]) -> Callable[..., Any]:
    """A comparison that is missing where a side is."""

    def compare(a: Any, b: Any) -> Any:
        return np.where(np.isnan(a) | np.isnan(b), np.nan, function(a, b))

    return compare


def _number(test: Callable[[Any], Any]) -> Callable[..., Any]:
    """A test as 0 or 1."""
    return lambda x: np.asarray(test(x), np.float64)


def _where(condition: Any, a: Any, b: Any) -> Any:
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, a, b))


def _round(x: Any, digits: Any = 0.0) -> Any:
    return np.round(x, _whole_number("round", digits))


def _round32(x: Any, digits: Any) -> Any:
    """Rounded as a 32-bit float."""
    return np.round(np.asarray(x, np.float32), _whole_number("round32", digits)).astype(np.float64)


def _whole_number(function: str, x: Any) -> int:
    if np.ndim(x) or x != np.floor(x) or abs(x) > 20:
        raise ConfigError(f"formula: {function} expected digits from -20 to 20, got {x}")
    return int(x)


def _percentile(x: Any, q: Any) -> Any:
    if np.ndim(q) or not 0 <= q <= 100:
        raise ConfigError(f"formula: percentile expected a number from 0 to 100, got {q}")
    return _statistic(lambda x: np.percentile(x, q))(x)


def _statistic(function: Callable[[Floats], Any]) -> Callable[..., Any]:
    """A number from the values that are not missing; missing if all are."""

    def compute(x: Any) -> Any:
        present = np.ravel(x)[~np.isnan(np.ravel(x))]
        return np.float64(function(present)) if present.size else np.float64(np.nan)

    return compute


def _running(ufunc: np.ufunc, neutral: float) -> Callable[..., Any]:
    """Sum or product of the values so far; missing where the value is."""

    def compute(x: Any) -> Any:
        return np.where(np.isnan(x), np.nan, ufunc.accumulate(np.where(np.isnan(x), neutral, np.atleast_1d(x))))

    return compute


def _empirical_cdf(x: Any) -> Any:
    """Share of the values at most as great, of those that are not missing."""
    ordered = np.sort(np.ravel(x)[~np.isnan(np.ravel(x))])
    return np.where(np.isnan(x), np.nan, np.searchsorted(ordered, x, side="right") / max(ordered.size, 1))


class _Function(NamedTuple):
    compute: Callable[..., Any]
    n_arguments: tuple[int, ...] = (1,)
    whole_column: bool = False


_ELEMENTWISE = (
    *(np.sqrt, np.cbrt, np.square, np.exp, np.exp2, np.expm1, np.log, np.log1p, np.log2, np.log10),
    *(np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh),
    *(np.arctanh, np.sinc, np.sign, np.floor, np.ceil),
)

#: Every function, by name.
FUNCTIONS: dict[str, _Function] = {
    **{function.__name__: _Function(function) for function in _ELEMENTWISE},
    "abs": _Function(np.abs),
    **{test.__name__: _Function(_number(test)) for test in (np.isnan, np.isinf, np.isfinite)},
    **{f.__name__: _Function(_statistic(f), whole_column=True) for f in (np.mean, np.median, np.std, np.var)},
    "min": _Function(_statistic(np.min), whole_column=True),
    "max": _Function(_statistic(np.max), whole_column=True),
    "round": _Function(_round, (1, 2)),
    "round32": _Function(_round32, (2,)),
    "clip": _Function(np.clip, (3,)),
    "maximum": _Function(np.maximum, (2,)),
    "minimum": _Function(np.minimum, (2,)),
    "where": _Function(_where, (3,)),
    "percentile": _Function(_percentile, (2,), whole_column=True),
    "cumsum": _Function(_running(np.add, 0.0), whole_column=True),
    "cumprod": _Function(_running(np.multiply, 1.0), whole_column=True),
    "diff": _Function(lambda x: np.diff(np.atleast_1d(x), prepend=0), whole_column=True),
    "reverse": _Function(lambda x: np.atleast_1d(x)[::-1], whole_column=True),
    "sort": _Function(lambda x: np.sort(np.atleast_1d(x)), whole_column=True),
    "argsort": _Function(lambda x: np.argsort(np.atleast_1d(x), kind="stable"), whole_column=True),
    "empirical_cdf": _Function(_empirical_cdf, whole_column=True),
}

_CONSTANTS = {"pi": np.float64(np.pi), "e": np.float64(np.e), "nan": np.float64(np.nan)}

_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Lt: _missing_with(np.less),
    ast.LtE: _missing_with(np.less_equal),
    ast.Gt: _missing_with(np.greater),
    ast.GtE: _missing_with(np.greater_equal),
    ast.Eq: _missing_with(np.equal),
    ast.NotEq: _missing_with(np.not_equal),
}


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises:
        ConfigError: If it is not of this language; the message names the part.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"formula: expected at most {MAX_LENGTH} characters, got {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        formula = Formula(text, _needs_whole_column(tree), _part(tree, text))
        # Faults that only computing shows, such as digits that are no number, show now.
        formula.values(np.ones(1))
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise ConfigError(f"formula {text!r}: expected an expression over X, {error}") from error
    return formula


def _needs_whole_column(tree: ast.expr) -> bool:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return any(function.whole_column for name, function in FUNCTIONS.items() if name in names)


def _part(node: ast.expr, text: str) -> _Part:
    """The function that computes one node of the tree."""
    match node:
        case ast.Constant(value=bool() | str() | bytes() | complex()):
            pass
        case ast.Constant(value=int() | float() as number):
            constant = np.float64(number)
            return lambda _: constant
        case ast.Name(id="X"):
            return lambda X: X
        case ast.Name(id=name) if name in _CONSTANTS:
            return lambda _: _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _applied(_OPERATORS[type(op)], [operand], text)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return _applied(_OPERATORS[type(op)], [left, right], text)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _applied(_OPERATORS[type(op)], [left, right], text)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return _call(name, arguments, text)
    raise ConfigError(f"formula {text!r}: expected {_LANGUAGE}, got {ast.unparse(node)!r}")


def _call(name: str, arguments: list[ast.expr], text: str) -> _Part:
    function = FUNCTIONS[name]
    if len(arguments) not in function.n_arguments:
        expected = " or ".join(map(str, function.n_arguments))
        raise ConfigError(f"formula {text!r}: {name} expected {expected} arguments, got {len(arguments)}")
    return _applied(function.compute, arguments, text)


def _applied(function: Callable[..., Any], arguments: list[ast.expr], text: str) -> _Part:
    parts = [_part(argument, text) for argument in arguments]
    return lambda X: function(*[part(X) for part in parts])


_LANGUAGE = f"numbers, X, {', '.join(_CONSTANTS)}, + - * / **, one comparison, or {', '.join(sorted(FUNCTIONS))}"

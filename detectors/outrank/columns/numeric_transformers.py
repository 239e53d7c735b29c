"""Numeric features transformed by formulas: each column that is worth it as a feature of its own.

As in the public `outrank` (`--transformers`), with its names (`price_tr_sqrt`) and its rule of which columns stay. Two
things differ. The tool reads an empty cell as 0.0, which mixes it with true zeros; here it stays missing unless
`missing_as_zero` is set. And columns are chosen once, so that every block has the same ones. A formula that
`Formula.whole_column` marks depends on the rows it is given at once: a block, for a stream.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.outrank.columns.formulas import Floats, Formula, parse_formula
from sparsewatch.schemas.errors import SchemaError

#: The public tool's limits: a column stays while its most frequent value, the missing one among them, has less than
#: this share of the rows, and the missing one less than that.
MAX_TOP_SHARE = 0.80
MAX_MISSING_SHARE = 0.75


class Transform(NamedTuple):
    """A formula for a feature."""

    feature: str
    #: Name of the result: the feature's, then the formula's suffix.
    name: str
    formula: Formula


def transforms_of(features: Sequence[str], formulas: Mapping[str, str]) -> list[Transform]:
    """Every formula for every feature.

    Args:
        features: Numeric ones.
        formulas: Formulas by what they append to a feature's name, such as `preset_formulas` gives.

    Raises:
        ConfigError: If a formula is not of the language.
    """
    parsed = {suffix: parse_formula(formula) for suffix, formula in formulas.items()}
    return [Transform(feature, feature + suffix, formula) for feature in features for suffix, formula in parsed.items()]


def worth_keeping(values: Floats) -> bool:
    """Whether a column has more than one value and none that is nearly everywhere.

    Args:
        values: NaN where missing; all missing values count as one value, shape (n_rows,).
    """
    if not values.size:
        return False
    counts = pl.Series(values).value_counts()["count"]
    missing = int(np.count_nonzero(np.isnan(values)))
    top = int(counts.to_numpy().max())
    return len(counts) > 1 and top < MAX_TOP_SHARE * values.size and missing < MAX_MISSING_SHARE * values.size


def worthwhile_transforms(
    rows: pa.RecordBatch | pa.Table, transforms: Sequence[Transform], *, missing_as_zero: bool = False
) -> list[Transform]:
    """The transforms whose columns are worth keeping, judged by these rows.

    Raises:
        SchemaError: If a feature is missing or a value of it is not a number.
    """
    computed = _computed(rows, transforms, missing_as_zero=missing_as_zero)
    return [transform for transform, values in computed if worth_keeping(values)]


def transformed_columns(
    rows: pa.RecordBatch | pa.Table, transforms: Sequence[Transform], *, missing_as_zero: bool = False
) -> pa.RecordBatch:
    """The columns of some transforms: 64-bit floats, null where missing or undefined.

    Args:
        rows: The features' columns: numbers, or text of numbers.
        transforms: Formulas and their features.
        missing_as_zero: Whether missing values count as 0, as the public tool does.

    Raises:
        SchemaError: If a feature is missing or a value of it is not a number.
    """
    computed = _computed(rows, transforms, missing_as_zero=missing_as_zero)
    columns = [pa.array(values, from_pandas=True) for _, values in computed]
    return pa.RecordBatch.from_arrays(columns, names=[transform.name for transform in transforms])


def numbers(column: Any, name: str, *, missing_as_zero: bool = False) -> Floats:
    """A column as numbers.

    Args:
        column: An Arrow array of numbers, booleans or text. Double quotes and space around a number are left out.
        name: Feature, for the error.
        missing_as_zero: Whether null, NaN and empty text give 0.

    Returns:
        NaN where missing, shape (n_rows,).

    Raises:
        SchemaError: If a text is not a number, or the type is none of these.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = _parsed(column.cast(pa.large_string()), name)
    elif not _is_number(column.type):
        raise SchemaError(f"feature {name!r}: expected numbers or text of numbers, got {column.type}")
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    return np.where(np.isnan(values), 0.0, values) if missing_as_zero else values


def _is_number(arrow_type: Any) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(test(arrow_type) for test in tests)


def _parsed(text: Any, name: str) -> Any:
    bare = pc.utf8_trim_whitespace(pc.replace_substring(text, '"', ""))
    bare = pl.Series(pc.if_else(pc.equal(bare, ""), None, bare), dtype=pl.String)
    values = bare.cast(pl.Float64, strict=False)
    wrong = np.flatnonzero((values.is_null() & bare.is_not_null()).to_numpy())
    if wrong.size:
        raise SchemaError(f"feature {name!r}: expected numbers, got {bare[int(wrong[0])]!r} in row {wrong[0]}")
    return values.to_arrow()


def _computed(
    rows: pa.RecordBatch | pa.Table, transforms: Sequence[Transform], *, missing_as_zero: bool
) -> Iterator[tuple[Transform, Floats]]:
    """Each transform with its values, one at a time; each feature is read once."""
    features = {transform.feature for transform in transforms}
    if missing := features - set(rows.schema.names):
        raise SchemaError(f"transformers: expected columns {sorted(missing)}, got only {sorted(rows.schema.names)}")
    read = {name: numbers(rows.column(name), name, missing_as_zero=missing_as_zero) for name in features}
    for transform in transforms:
        yield transform, transform.formula.values(read[transform.feature])

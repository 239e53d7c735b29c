"""Sub-features: one feature cut by the values of another, as in the public `outrank` (`--subfeature_mapping`).

* `a->b`: for each value v of b a column `SUBFEATURE-a&v` that holds a's value and v, as "1ANDv", where b is v, and is
  missing elsewhere.
* `a<->b`: for each pair of values a column `SUBFEATURE|a|b-u&v` that is "1" where a is u and b is v, and "0" elsewhere.

The tool makes a column of every value, and of every pair whether it occurs or not: |a| |b| of them. Here the most
frequent are chosen once, from counts that add up over blocks; what never occurs would be constant and is left out.
Missing values get no column.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.outrank.columns.text_values import TextValues, most_frequent, text_values
from sparsewatch.schemas.errors import ConfigError, SchemaError

#: Most columns of a mapping.
MAX_COLUMNS = 100


class SubFeature(NamedTuple):
    """One mapping."""

    first: str
    second: str
    #: Whether it is `first<->second`.
    both: bool
    #: What the names of its columns start with; the values follow.
    prefix: str


def parse_sub_features(text: str) -> tuple[SubFeature, ...]:
    """Mappings of a setting such as "a->b;a<->c".

    Where one feature is mapped to several, `SUBFEATURE-a&v` could mean any of them (the tool keeps the last): then the
    columns are `SUBFEATURE-a&b=v`.

    Raises:
        ConfigError: If a mapping has neither form, a name is empty, both names are equal, or a mapping is given twice.
    """
    pairs = [_parse(mapping) for mapping in text.split(";")]
    if len(set(pairs)) != len(pairs):
        raise ConfigError(f"sub-features: expected each mapping once, got {text!r}")
    mapped = [first for first, _, both in pairs if not both]
    return tuple(SubFeature(*pair, _prefix(*pair, alone=mapped.count(pair[0]) == 1)) for pair in pairs)


def _parse(mapping: str) -> tuple[str, str, bool]:
    both = "<->" in mapping
    names = [name.strip() for name in mapping.split("<->" if both else "->")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ConfigError(f"sub-features: expected 'a->b' or 'a<->b' of two features, got {mapping!r}")
    return names[0], names[1], both


def _prefix(first: str, second: str, both: bool, *, alone: bool) -> str:
    if both:
        return f"SUBFEATURE|{first}|{second}-"
    return f"SUBFEATURE-{first}&" if alone else f"SUBFEATURE-{first}&{second}="


def sub_feature_counts(rows: pa.RecordBatch | pa.Table, mapping: SubFeature) -> pl.DataFrame:
    """Rows of each value of the second feature, or of each pair of values.

    Returns:
        Columns `first` (only for pairs), `second` and `rows`, in no order.

    Raises:
        SchemaError: If a column is missing or its type is not counted.
    """
    names = ("first", "second") if mapping.both else ("second",)
    columns = {name: text_values(rows, getattr(mapping, name)) for name in names}
    codes = pl.DataFrame({name: column.codes for name, column in columns.items()})
    counts = codes.filter(pl.all_horizontal(pl.all() >= 0)).group_by(names).agg(rows=pl.len().cast(pl.Int64))
    return counts.with_columns(columns[name].distinct.gather(counts[name]).alias(name) for name in names)


def frequent_columns(counts: Sequence[pl.DataFrame], max_columns: int = MAX_COLUMNS) -> list[tuple[str, ...]]:
    """The values, or pairs of values, of most rows, by descending rows; ties by value.

    Args:
        counts: What `sub_feature_counts` gave for each block, in any order.
        max_columns: How many at most.

    Raises:
        ConfigError: If `max_columns` is below 1.
    """
    return most_frequent(counts, max_columns, "columns of a sub-feature")


def sub_feature_columns(
    rows: pa.RecordBatch | pa.Table, mapping: SubFeature, chosen: Sequence[tuple[str, ...]]
) -> pa.RecordBatch:
    """The columns of a mapping.

    Args:
        rows: Columns of both features.
        mapping: One mapping.
        chosen: Values of the second feature, or pairs of values, such as `frequent_columns` gave.

    Raises:
        SchemaError: If a column is missing, its type is not counted, or two pairs of values give one name.
    """
    first, second = text_values(rows, mapping.first), text_values(rows, mapping.second)
    names = [mapping.prefix + "&".join(values) for values in chosen]
    if len(set(names)) != len(names):
        raise SchemaError(f"sub-feature {mapping.first}<->{mapping.second}: expected distinct names, got {names}")
    if mapping.both:
        columns = [_flags(_holds(first, u) & _holds(second, v)) for u, v in chosen]
    else:
        columns = [_joined(first, v, _holds(second, v)) for (v,) in chosen]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _holds(values: TextValues, value: str) -> Any:
    """Which rows hold a value."""
    place = values.distinct.index_of(value)
    return np.zeros(values.codes.shape, np.bool_) if place is None else values.codes == place


def _flags(mask: Any) -> Any:
    return pc.if_else(pa.array(mask), pa.scalar("1", pa.large_string()), pa.scalar("0", pa.large_string()))


def _joined(first: TextValues, value: str, where: Any) -> Any:
    """The first feature's value (empty if missing) and the second's, where the second has it, else null."""
    codes = pl.Series(first.codes[where])
    texts = first.distinct.gather(codes.set(codes < 0, None)).fill_null("") + f"AND{value}"
    places = np.zeros(where.shape, np.int64)
    places[where] = np.arange(codes.len())
    return texts.to_arrow(compat_level=pl.CompatLevel.oldest()).take(pa.array(places, mask=~where))

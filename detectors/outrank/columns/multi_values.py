"""Multi-value features taken apart: one column for each token, as in the public `outrank`.

A value such as "a,b-c" holds the tokens a, b and c. Column `MULTIEX-f-a` is "1" where feature f holds token a, else
missing. The tool makes a column of every token of its batch; here the most frequent ones are chosen once, from counts
that add up over blocks, so that every block has the same columns.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.outrank.columns.text_values import most_frequent, text_values
from sparsewatch.schemas.errors import ConfigError

#: Tokens of a feature that get a column.
MAX_TOKENS = 100
#: Tokens that mean nothing, by the public tool's default.
MISSING_TOKENS = ("", "{}")


def parse_multi_values(text: str) -> tuple[str, ...]:
    """Features named in a setting such as "f1;f2".

    Raises:
        ConfigError: If a name is empty or given twice.
    """
    features = tuple(name.strip() for name in text.split(";"))
    if not all(features) or len(set(features)) != len(features):
        raise ConfigError(f"multi-value features: expected distinct names between ';', got {text!r}")
    return features


def token_counts(
    rows: pa.RecordBatch | pa.Table, feature: str, missing: Collection[str] = MISSING_TOKENS
) -> pl.DataFrame:
    """In how many rows each token occurs.

    Args:
        rows: The feature's column: text, with tokens between ',' or '-'.
        feature: Its name.
        missing: Tokens to leave out.

    Returns:
        Columns token and rows, each token once, in no order.

    Raises:
        SchemaError: If there is no such column or its type is not counted.
    """
    values = text_values(rows, feature)
    held = _tokens(values.distinct).with_columns(rows=values.rows()).explode("token")
    return held.filter(~pl.col("token").is_in(list(missing))).group_by("token").agg(pl.col("rows").sum())


def frequent_tokens(counts: Sequence[pl.DataFrame], max_tokens: int = MAX_TOKENS) -> list[str]:
    """The tokens of most rows, by descending rows; ties by token.

    Args:
        counts: What `token_counts` gave for each block, in any order.
        max_tokens: How many at most.

    Raises:
        ConfigError: If `max_tokens` is below 1.
    """
    return [token for (token,) in most_frequent(counts, max_tokens, "tokens of a multi-value feature")]


def token_columns(rows: pa.RecordBatch | pa.Table, feature: str, tokens: Sequence[str]) -> pa.RecordBatch:
    """A column for each token: "1" where the feature holds it, else null.

    Args:
        rows: The feature's column.
        feature: Its name.
        tokens: Which tokens, such as `frequent_tokens` gave; distinct.

    Raises:
        SchemaError: If there is no such column or its type is not counted.
    """
    values = text_values(rows, feature)
    names = [f"MULTIEX-{feature}-{token}" for token in tokens]
    held = _tokens(values.distinct).with_row_index("value").explode("token")
    places = dict(held.group_by("token").agg("value").filter(pl.col("token").is_in(list(tokens))).iter_rows())
    columns = []
    for token in tokens:
        # Missing values have the code -1, the last place.
        holds = np.zeros(len(values.distinct) + 1, np.bool_)
        holds[places.get(token, [])] = True
        columns.append(_flags(holds[values.codes]))
    return pa.RecordBatch.from_arrays(columns, names=names)


def _flags(mask: NDArray[np.bool_]) -> Any:
    """The text 1 where the mask is set, else null."""
    return pa.array(np.where(mask, "1", ""), pa.large_string(), mask=~mask)


def _tokens(values: pl.Series) -> pl.DataFrame:
    """Distinct tokens of each value."""
    split = values.str.replace_all(",", "-", literal=True).str.split("-").list.unique()
    return split.alias("token").to_frame()

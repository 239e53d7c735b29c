"""Interactions: combinations of features as features of their own, as in the public `outrank` (`--interaction_order`).

The value of an interaction is a 64-bit hash of the tuple of its values: a number that is the same on every worker and
in every block, so `FeatureCounts` counts it as an integer. Among n distinct tuples two share a hash with a probability
of about n**2 / 2**65: 3e-8 for a million, 3e-4 for a hundred million. The tool hashes the concatenated text, in which
("1", "12") and ("11", "2") are one value.

Where all rows are in memory as codes, `sparsewatch.detectors.outrank.columns.codes.combine` is exact and has small
numbers: take that for scores within one block. Take hashes where values of several blocks or workers are counted
together.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.value_hashes import combine_hashes, hash_values
from sparsewatch.schemas.errors import ConfigError, SchemaError

#: Between the features in the name of an interaction, and of an interaction that is a relation of 3MR.
AND = " AND "
AND_REL = " AND_REL "


def interaction_name(features: Sequence[str], joiner: str = AND) -> str:
    """The name of an interaction, as in the public tool."""
    return joiner.join(features)


def interaction_names(features: Sequence[str], order: int, joiner: str = AND) -> Iterator[str]:
    """Names of all combinations of `order` features, one at a time, in the order of the features.

    Raises:
        ConfigError: If there are fewer features than `order`, or `order` is below 2.
    """
    if not 2 <= order <= len(features):
        raise ConfigError(f"interaction order: expected 2 to {len(features)}, the number of features, got {order}")
    return (interaction_name(combination, joiner) for combination in combinations(features, order))


def interaction_columns(
    rows: pa.RecordBatch | pa.Table, chosen: Iterable[Sequence[str]], joiner: str = AND
) -> pa.RecordBatch:
    """Columns of several interactions; each feature is hashed once, then each interaction mixes hashes.

    Values are integers of 64 bits, never null, and depend on the order of the features; the missing value is a value.

    Args:
        rows: The features' columns.
        chosen: Combinations of names, such as `CombinationSchedule.names` gives.
        joiner: `AND` or `AND_REL`.

    Raises:
        SchemaError: If a feature is missing or its type is not counted.
    """
    chosen = [tuple(combination) for combination in chosen]
    needed = sorted({name for combination in chosen for name in combination})
    if missing := [name for name in needed if name not in rows.schema.names]:
        raise SchemaError(f"interactions: expected columns {missing}, got only {sorted(rows.schema.names)}")
    hashes = {name: hash_values(rows.column(name), name) for name in needed}
    values = [_as_integers([hashes[name] for name in combination]) for combination in chosen]
    return pa.RecordBatch.from_arrays(values, names=[interaction_name(c, joiner) for c in chosen])


def _as_integers(hashes: Sequence[Any]) -> Any:
    return pa.array(combine_hashes(hashes).view(np.int64))

"""Columns made of columns before they are ranked, the same in every block.

The first block decides which tokens, values and formulas become a column, since a feature must be counted from its
first row on; with blocks of 65,536 rows that leaves out some rare values that the caps would admit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.outrank.columns.multi_values import (
    frequent_tokens,
    parse_multi_values,
    token_columns,
    token_counts,
)
from sparsewatch.detectors.outrank.columns.noise_controls import noise_controls
from sparsewatch.detectors.outrank.columns.numeric_transformers import (
    transformed_columns,
    transforms_of,
    worthwhile_transforms,
)
from sparsewatch.detectors.outrank.columns.sub_features import (
    SubFeature,
    frequent_columns,
    parse_sub_features,
    sub_feature_columns,
    sub_feature_counts,
)
from sparsewatch.detectors.outrank.columns.transformer_presets import preset_formulas
from sparsewatch.schemas.errors import ConfigError

#: Gives the columns of a block: the block and the number of its first row.
Maker = Callable[[pa.RecordBatch, int], pa.RecordBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Construction:
    """What is made."""

    #: Features to take apart: "f1;f2".
    explode: str = ""
    #: Mappings: "a->b;a<->c".
    sub_features: str = ""
    #: Presets of formulas for numeric columns: "minimal,fw-transformers".
    transformers: str = ""
    #: Numeric columns, for the transformers.
    numeric: tuple[str, ...] = ()
    noise_controls: bool = False
    seed: int = 0


class Constructor:
    """Adds the columns to each block.

    Args:
        construction: What is made.
        label: Column of the label.
        first: The first block, which decides which columns are made.

    Raises:
        ConfigError: If a setting names a missing column or an unknown preset.
        SchemaError: If a numeric column holds something else.
    """

    def __init__(self, construction: Construction, label: str, first: pa.RecordBatch) -> None:
        self._label = label
        self._rng = np.random.default_rng(construction.seed)
        self._makers = list(self._plan(construction, first))
        self._rows = 0

    def apply(self, block: pa.RecordBatch) -> pa.RecordBatch:
        """The block with what is made of it, its own columns first."""
        made = [make(block, self._rows) for make in self._makers]
        self._rows += block.num_rows
        arrays, names = list(block.columns), list(block.schema.names)
        for batch in made:
            arrays += batch.columns
            names += batch.schema.names
        return pa.RecordBatch.from_arrays(arrays, names=names) if made else block

    def _plan(self, construction: Construction, first: pa.RecordBatch) -> Iterator[Maker]:
        if construction.transformers:
            yield _transformer(construction, first)
        if construction.explode:
            yield from _exploders(construction.explode, first)
        if construction.sub_features:
            yield from _sub_features(construction.sub_features, first)
        if construction.noise_controls:
            yield lambda block, row: noise_controls(block, self._label, self._rng, first_row=row)


def _transformer(construction: Construction, first: pa.RecordBatch) -> Maker:
    if not construction.numeric:
        raise ConfigError(
            "--transformers: the input declares no numeric columns (float columns of Parquet, f32 or float of ob-vw "
            "and ob-csv do); name them with --numeric"
        )
    _expect(construction.numeric, first, "--numeric")
    formulas = preset_formulas(construction.transformers)
    chosen = worthwhile_transforms(first, transforms_of(construction.numeric, formulas))
    return lambda block, _: transformed_columns(block, chosen)


def _exploders(setting: str, first: pa.RecordBatch) -> Iterator[Maker]:
    features = parse_multi_values(setting)
    _expect(features, first, "--explode")
    for feature in features:
        tokens = frequent_tokens([token_counts(first, feature)])
        yield partial(_tokens_of, feature, tokens)


def _sub_features(setting: str, first: pa.RecordBatch) -> Iterator[Maker]:
    for mapping in parse_sub_features(setting):
        _expect((mapping.first, mapping.second), first, "--sub-features")
        chosen = frequent_columns([sub_feature_counts(first, mapping)])
        yield partial(_sub_features_of, mapping, chosen)


def _tokens_of(feature: str, tokens: list[str], block: pa.RecordBatch, _row: int) -> pa.RecordBatch:
    return token_columns(block, feature, tokens)


def _sub_features_of(
    mapping: SubFeature, chosen: list[tuple[str, ...]], block: pa.RecordBatch, _row: int
) -> pa.RecordBatch:
    return sub_feature_columns(block, mapping, chosen)


def _expect(names: Sequence[str], block: pa.RecordBatch, option: str) -> None:
    if missing := [name for name in names if name not in block.schema.names]:
        raise ConfigError(f"{option}: expected columns of the input, got {missing}; it has {block.schema.names}")

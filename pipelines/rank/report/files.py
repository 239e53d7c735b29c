"""A ranking as a file: JSON of the whole result, Parquet of the ranking, or a page to read."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature
from sparsewatch.pipelines.rank.report.page import page
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.report.files import save
from sparsewatch.schemas.errors import ConfigError

#: What `write_report` writes.
FORMATS = ("json", "parquet", "html")


def write_report(result: RankResult, path: Path, kind: str, *, matrix: bool = False) -> None:
    """Write a result to a file, replacing it.

    Args:
        result: What was found.
        path: Its folder is made if it is missing.
        kind: One of `FORMATS`.
        matrix: Whether JSON holds the score of each pair.

    Raises:
        ConfigError: If the format is unknown.
        SinkError: If the file cannot be written.
    """
    if kind not in FORMATS:
        raise ConfigError(f"format: expected one of {', '.join(FORMATS)}, got {kind!r}")
    if kind == "parquet":
        ranking_table(result.ranking).write_parquet(data := io.BytesIO())
        save(path, data.getvalue())
    else:
        save(path, to_json(result, matrix=matrix) if kind == "json" else page(result).encode())


def to_json(result: RankResult, *, matrix: bool = False) -> bytes:
    """The whole result as one JSON object, in the fields of `RankResult`; numbers that are not finite are null.

    Args:
        result: What was found.
        matrix: Whether `pairs` holds its matrix, as a list for each column. Without it matrices are null.
    """
    found = {name: getattr(result, name) for name in result.__struct_fields__}
    for name in ("pairs", "pair_scores"):
        if found[name] is not None:
            found[name] = found[name]._asdict() | ({} if matrix else {"matrix": None})
    return msgspec.json.encode(found, enc_hook=_plain)


def ranking_table(ranking: Sequence[ScoredFeature]) -> pl.DataFrame:
    """The ranking with a column for each field; null where a feature was scored without that field."""
    fields: dict[str, Any] = {name: _TYPES[name] for name in _FIELDS}
    rows = [[getattr(one, name, None) for name in fields] for one in ranking]
    return pl.DataFrame(rows, schema=fields, orient="row")


def _plain(x: object) -> object:
    if isinstance(x, np.ndarray | np.generic):
        return x.tolist()
    raise NotImplementedError(f"expected a value that JSON can hold, got {type(x).__name__}")


_FIELDS = RankedFeature.__struct_fields__
_TYPES: dict[str, Any] = dict.fromkeys(_FIELDS, pl.Float64) | {
    "feature": pl.String,
    "rank": pl.Int64,
    "cardinality": pl.Int64,
}

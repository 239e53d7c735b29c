"""A ranking under the file names of the public `outrank` 0.97.5, so that scripts written for it keep working.

Names, columns, separators and order are the same. Numbers are ours, which differ where the public tool's are wrong or
depend on its batches:

| file | difference |
|---|---|
| `pairwise_ranks.tsv` | scores over all rows instead of medians over batches; equal scores are ordered by name |
| `feature_singles.tsv` | names with a hyphen stay whole; all scores 0 give 0, not NaN |
| `feature_singles_aggregated.tsv` | parts whose names hold a hyphen stay whole |
| `3mr_ranks.tsv` | holds a feature in each line: since 0.97.5 the tool writes one feature and then blank lines |
| `memory.tsv` | of all rows, including the last batch; 8 bytes for a number read as a number; no line for the label |
| `numeric_feature_statistics.tsv` | a median, not that of batch means; distinct values of all rows, not the mean of \
batches; no rounding; columns whose values are numbers, declared or not |
| `value_repetitions.json` | counts do not stop at 30,000 values; without the missing value and the label |
| `combination_estimation_counts.json` | 1 for each pair that was scored, since it is scored once, over all rows |
| `rare_values.tsv`, `feature_sparsity_summary.tsv` | a value rare in one batch only is not rare; as many values of \
each column as its report holds |
| `timings.json` | our parts of the work, one batch |
| `arguments.json` | our settings, beside those that both tools have |
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import polars as pl

from sparsewatch.detectors.artefacts.atomic import write_file
from sparsewatch.detectors.outrank.column_report import ColumnReport
from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.detectors.outrank.pairs.three_mr import min_max
from sparsewatch.detectors.outrank.ranking import ScoredFeature
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.schemas.errors import ConfigError, SinkError

#: Between the names of a combination, and in those of transformed features.
_AND, _TRANSFORMED = " AND ", "_tr_"
#: The label's score with itself, by heuristics that are not in nats: their maximum.
_LABEL_SCORES = {"AMI": 1.0, "correlation-Pearson": 1.0, "Constant": 0.0}


class _Scored(NamedTuple):
    name: str
    #: With cardinality and coverage, if requested.
    shown: str
    score: float


def write_outrank_files(
    result: RankResult, folder: Path, *, pairs: PairScores | None = None, with_cardinality: bool = True
) -> list[Path]:
    """Write a result as the public tool would.

    Args:
        result: What was found. Rare values are written if its columns' reports hold examples.
        folder: Made if it is missing; files of these names are replaced.
        pairs: Scores of pairs of features in nats, for `pairwise_ranks.tsv`; without them it holds pairs with the
            label, as by default there.
        with_cardinality: Whether features are named `name-(cardinality; coverage in per cent)`.

    Returns:
        What was written.

    Raises:
        ConfigError: If pairs are in another unit.
        SinkError: If a file cannot be written.
    """
    if pairs is not None and pairs.measure == "redundancy":
        raise ConfigError(f"pairs: expected the measure 'score' or 'mutual_information', got {pairs.measure!r}")
    scored = [
        _Scored(one.feature, _shown(one.feature, one.cardinality, one.coverage, with_cardinality), one.score)
        for one in result.ranking
    ]
    label = _shown(result.label, result.label_values, 1.0, with_cardinality)
    scored = _with_label(scored, label, result)
    singles = _singles(result.heuristic, scored)
    texts = {
        "pairwise_ranks.tsv": _tsv(_pairwise(scored, label, pairs)),
        "feature_singles.tsv": _tsv(_singles_table(result.heuristic, singles)),
        "feature_singles_transformers_only_imp.tsv": _tsv(
            _singles_table(result.heuristic, [one for one in singles if _TRANSFORMED in one.shown])
        ),
        "memory.tsv": _tsv(_memory(result.columns)),
        "value_repetitions.json": json.dumps({one.feature: one.repetitions for one in result.columns}),
        "combination_estimation_counts.json": json.dumps(_scored_pairs(result, pairs)),
        "timings.json": json.dumps({part: {"0": spent} for part, spent in result.seconds.items()}),
        "arguments.json": json.dumps(_arguments(result, folder)),
    }
    texts |= {name: _tsv(table) for name, table in _on_occasion(result, singles).items() if table is not None}
    return _write(folder, texts)


def _on_occasion(result: RankResult, singles: Sequence[_Scored]) -> Mapping[str, pl.DataFrame | None]:
    """Tables that are written only if they have rows."""
    return {
        "feature_singles_aggregated.tsv": _aggregated(result.heuristic, singles),
        "3mr_ranks.tsv": _three_mr(result.ranking) if "3mr" in result.heuristic else None,
        "numeric_feature_statistics.tsv": _numeric(result.columns),
        "rare_values.tsv": _rare_values(result.columns),
        "feature_sparsity_summary.tsv": _sparsity(result.columns),
    }


def _write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_file(folder / name, text.encode())
    except OSError as error:
        raise SinkError(f"{folder}: expected to write reports there, got {error}") from error
    return [folder / name for name in texts]


def _tsv(table: pl.DataFrame) -> str:
    # An empty heading is written without quotes.
    return table.write_csv(separator="\t").removeprefix('""')


def _table(rows: Iterable[Sequence[Any]], **columns: Any) -> pl.DataFrame:
    return pl.DataFrame([*rows], schema=columns, orient="row")


def _shown(name: str, cardinality: int, coverage: float, with_cardinality: bool) -> str:
    return f"{name}-({cardinality}; {int(round(100 * coverage, 1))})" if with_cardinality else name


def _with_label(scored: Sequence[_Scored], label: str, result: RankResult) -> list[_Scored]:
    """The features, and the label as a feature where its score with itself is known."""
    nats = result.label_entropy if result.heuristic.startswith("MI") else None
    score = _LABEL_SCORES.get(result.heuristic, nats)
    return [*scored] if score is None else [*scored, _Scored(result.label, label, score)]


def _pairwise(scored: Sequence[_Scored], label: str, pairs: PairScores | None) -> pl.DataFrame:
    """Each pair in both directions, by ascending score."""
    rows = {(one.shown, label): one.score for one in scored}
    shown = {one.name: one.shown for one in scored}
    if pairs is not None:
        rows |= {
            (shown[a], shown[b]): float(pairs.matrix[i, j])
            for i, a in enumerate(pairs.names)
            for j, b in enumerate(pairs.names)
            if a in shown and b in shown
        }
    rows |= {(b, a): score for (a, b), score in rows.items()}
    table = _table(
        ((*names, score) for names, score in rows.items()), FeatureA=pl.String, FeatureB=pl.String, Score=pl.Float64
    )
    return table.sort("Score", "FeatureA", "FeatureB")


def _singles(heuristic: str, scored: Sequence[_Scored]) -> list[_Scored]:
    """Features by descending score, those of information moved and stretched to [0, 1], the label among them."""
    if "MI" in heuristic:
        scaled = min_max({one.name: one.score for one in scored})
        scored = [one._replace(score=scaled[one.name]) for one in scored]
    return sorted(scored, key=lambda one: (-one.score, one.name))


def _singles_table(heuristic: str, singles: Iterable[_Scored]) -> pl.DataFrame:
    return _table(
        ((one.shown, one.score) for one in singles), **{"Feature": pl.String, f"Score {heuristic}": pl.Float64}
    )


def _aggregated(heuristic: str, singles: Sequence[_Scored]) -> pl.DataFrame | None:
    """Median score of the combinations that a feature is part of."""
    combinations = [(one.name.split(_AND), one.score) for one in singles if _AND in one.name]
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for members, score in combinations:
        for member in members:
            scores[member].append(score)
    if not scores:
        return None
    order = max(len(members) for members, _ in combinations)
    return _table(
        ((member, median(found)) for member, found in scores.items()),
        **{"Feature": pl.String, f"Combined score (order: {order}, {heuristic})": pl.Float64},
    )


def _three_mr(ranking: Sequence[ScoredFeature]) -> pl.DataFrame:
    return _table(((one.feature, one.rank) for one in ranking), **{"Feature": pl.String, "3MR_Ranking": pl.Int64})


def _memory(columns: Sequence[ColumnReport]) -> pl.DataFrame:
    """Mean bytes of a row; the headings are empty and 0."""
    rows = ((one.feature, one.bytes_in_all / one.rows if one.rows else 0.0) for one in columns)
    return _table(rows, **{"": pl.String, "0": pl.Float64})


def _numeric(columns: Sequence[ColumnReport]) -> pl.DataFrame | None:
    rows = [
        (one.feature, one.numbers.minimum, one.numbers.maximum, one.numbers.median, one.cardinality)
        for one in columns
        if one.numbers
    ]
    numbers = dict.fromkeys(("Minimum", "Maximum", "Median"), pl.Float64)
    table = _table(rows, **{"Feature": pl.String, **numbers, "Num avg. unique (batch)": pl.Int64})
    return table if rows else None


def _rare_values(columns: Sequence[ColumnReport]) -> pl.DataFrame | None:
    rows = [(one.feature, str(rare.value), rare.rows) for one in columns for rare in one.rare.examples]
    return _table(rows, Namespace=pl.String, value=pl.String, Count=pl.Int64) if rows else None


def _sparsity(columns: Sequence[ColumnReport]) -> pl.DataFrame | None:
    """Share of rare values in per cent, ascending, of columns that have some."""
    if not any(one.rare.examples for one in columns):
        return None
    rows = [
        (round(100 * one.rare.share, 2), "numeric" if one.numbers else "nominal", one.feature)
        for one in columns
        if one.rare.values
    ]
    table = _table(rows, rare_proportion=pl.Float64, feature_type=pl.String, feature_name=pl.String)
    return table.sort("rare_proportion", "feature_name")


def _scored_pairs(result: RankResult, pairs: PairScores | None) -> dict[str, int]:
    """How often each pair was scored, by the text of both names; members of a combination are a pair, too."""
    names = [one.feature for one in result.ranking]
    found: set[tuple[str, ...]] = {(result.label, result.label), *((name, result.label) for name in names)}
    found |= {tuple(name.split(_AND)) for name in names if _AND in name}
    if pairs is not None:
        found |= {(a, b) for i, a in enumerate(pairs.names) for b in pairs.names[i:]}
    return {str(members): 1 for members in sorted(found)}


def _arguments(result: RankResult, folder: Path) -> dict[str, str]:
    """Our settings, and the public tool's names for the same settings."""
    return {
        "task": "all",
        "data_path": result.source,
        "heuristic": result.heuristic,
        "label_column": result.label,
        "output_folder": str(folder),
    } | result.arguments

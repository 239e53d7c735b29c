"""A ranking and reports on its columns, from one pass over an input."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from scipy.special import entr

from sparsewatch.detectors.clicks.ranking_checks import compare_at_equal_rows
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import NumberBins
from sparsewatch.detectors.outrank.column_report import ColumnReport, report_columns
from sparsewatch.detectors.outrank.columns.codes import combine, encode
from sparsewatch.detectors.outrank.feature_cost import feature_costs
from sparsewatch.detectors.outrank.heuristics import DEFAULT_HEURISTIC, score
from sparsewatch.detectors.outrank.information.mutual_information import entropy
from sparsewatch.detectors.outrank.leakage import LeakReport, suspect_leaks
from sparsewatch.detectors.outrank.pairs.pairwise import pairwise_scores
from sparsewatch.detectors.outrank.pairs.three_mr import min_max, rank_three_mr
from sparsewatch.detectors.outrank.pairs.twins import find_twins
from sparsewatch.detectors.outrank.rank_drift import compare_rankings
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature, in_order, rank_codes, rank_features
from sparsewatch.pipelines.rank.inputs import RankInput
from sparsewatch.pipelines.rank.labels import ManyLabelsError
from sparsewatch.pipelines.rank.one_pass import LABEL, TIME_US, Pass, RankSettings
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.rank.scores import Scored, combined, encode_table, score_columns
from sparsewatch.schemas.errors import ConfigError

#: Reason for which a row is rejected.
NO_LABEL = "no label"


class Ranked(NamedTuple):
    """A result and the counts it is computed from."""

    result: RankResult
    #: With a label of more than two values, counts of values alone: all labels are 0 then.
    counts: FeatureCounts


def rank_input(source: RankInput, settings: RankSettings, name: str, on_block: Callable[[], None]) -> Ranked:
    """Read an input and rank its columns.

    Args:
        source: The input; it is read twice if its label turns out to have more than two values late.
        settings: What is ranked.
        name: Of the input, for the result.
        on_block: Called after each block, for progress.

    Raises:
        ConfigError: If a column is missing, or the label has one value or far too many.
        SchemaError: If the input is damaged, or a column's type is not counted.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "read_and_count"):
        gathered = _gather(source, settings, on_block)
    counts, labels = gathered.counts, gathered.labels
    labels.expect_two_or_more()
    if counts is None:
        raise ConfigError(f"{name}: expected rows, got none")
    sample = _Sample.of(gathered, settings, counts.bins)
    with _timed(seconds, "rank"):
        ranking = _rank(gathered, counts, sample, settings)
    result = RankResult(
        source=name,
        label=settings.label,
        heuristic=settings.heuristic,
        rows=int(labels.rows.sum()),
        rejected=_rejected(source, gathered),
        sampled_rows=sample.rows if sample else None,
        label_entropy=entropy(labels.rows),
        label_values=len(labels.values),
        rarest_label_rows=int(labels.rows.min()),
        ranking=ranking,
        columns=[],
        seconds=seconds,
    )
    return Ranked(_with_findings(result, gathered, counts, sample, settings), counts)


def compare_inputs(now: Ranked, before: Ranked, alpha: float) -> RankResult:
    """The later result and what changed since the earlier one.

    Features are compared at equal numbers of rows; combinations, and all features of a label of more than two values,
    are compared as they are.

    Raises:
        ConfigError: If a ranking is by a score without a standard error.
    """
    rankings = []
    for result in (now.result, before.result):
        ranking = [one for one in result.ranking if isinstance(one, RankedFeature)]
        if len(ranking) < len(result.ranking):
            raise ConfigError(f"--against needs scores with a standard error: expected --heuristic {DEFAULT_HEURISTIC}")
        rankings.append(ranking)
    if {now.result.label_values, before.result.label_values} == {2}:
        own = [one for one in rankings[0] if one.feature in now.counts.features]
        drift = compare_at_equal_rows(now.counts, in_order(own), before.counts, alpha)
    else:
        drift = compare_rankings(rankings[0], rankings[1], alpha=alpha)
    return msgspec.structs.replace(now.result, drift=drift)


def _rejected(source: RankInput, gathered: Pass) -> dict[str, int]:
    counts = dict(source.rejected.counts)
    return counts | {NO_LABEL: gathered.without_label} if gathered.without_label else counts


def _gather(source: RankInput, settings: RankSettings, on_block: Callable[[], None]) -> Pass:
    """One pass, or a second one where a third value of the label appears after the first block."""
    for many_labels in (False, True):
        gathered = Pass(source, settings, many_labels=many_labels)
        try:
            for block in source.batches():
                gathered.add(block)
                on_block()
        except ManyLabelsError:
            continue
        break
    return gathered


class _Sample:
    """The sampled rows as codes."""

    def __init__(self, rows: pa.RecordBatch, features: Sequence[str], settings: RankSettings, bins: NumberBins) -> None:
        self.rows = rows.num_rows
        self.columns = encode_table(rows, features, bins=bins)
        self.label = encode(rows.column(settings.label))
        self.reference = list(encode_table(rows, settings.reference, bins=bins).values())
        self.missing = {name: rows.column(name).null_count for name in features}

    @classmethod
    def of(cls, gathered: Pass, settings: RankSettings, bins: NumberBins) -> "_Sample | None":
        if gathered.sample is None:
            return None
        return cls(gathered.sample.rows(), gathered.features, settings, bins)


def _rank(gathered: Pass, counts: FeatureCounts, sample: _Sample | None, s: RankSettings) -> list[Any]:
    if gathered.batches is not None:
        return _scored(gathered.batches.scores(), counts)
    if sample is None:
        return _by_counts(counts, s.heuristic)
    if s.heuristic == "MI-numba-3mr":
        return _by_three_mr(counts, sample, s)
    if s.heuristic == DEFAULT_HEURISTIC:
        combinations = dict(combined(sample.columns, s.combinations))
        if gathered.many_labels:
            columns = sample.columns | combinations
            return rank_codes(columns, sample.label, missing=sample.missing)
        return in_order([*rank_features(counts), *rank_codes(combinations, sample.label)])
    scores = score_columns(
        s.heuristic, sample.columns, sample.label, s.combinations, reference=sample.reference, seed=s.seed
    )
    if gathered.is_counted:
        scores |= {one.feature: Scored(one.score, one.cardinality) for one in _by_counts(counts, s.heuristic)}
    return _scored(scores, counts)


def _by_counts(counts: FeatureCounts, name: str) -> list[Any]:
    """Features by a heuristic that follows from their counts."""
    ranked = rank_features(counts)
    if name == DEFAULT_HEURISTIC:
        return ranked
    return _scored({one.feature: Scored(_counted(one, name, counts), one.cardinality) for one in ranked}, counts)


def _counted(feature: RankedFeature, name: str, counts: FeatureCounts) -> float:
    if name == "AMI":
        return _adjusted(feature, counts)
    return 0.0 if name == "Constant" else feature.mutual_information


def _adjusted(feature: RankedFeature, counts: FeatureCounts) -> float:
    """AMI: the score over the most it could be, the mean of both entropies less the expectation."""
    values = counts.marginals(feature.feature)
    shares = values.rows / counts.rows
    own = float(values.weights @ entr(shares))
    label = entropy(np.array([counts.clicks, counts.rows - counts.clicks]))
    most = (own + label) / 2 - feature.expected
    return feature.score / most if most > 0 else 0.0


def _scored(scores: Mapping[str, Scored], counts: FeatureCounts) -> list[ScoredFeature]:
    """A ranking of scores; missing parts are values of a combination, so its coverage is 1."""
    return in_order(
        [
            ScoredFeature(
                feature=name,
                rank=0,
                score=scored.score,
                cardinality=counts.cardinality(name) if name in counts.features else scored.n_values,
                coverage=1 - counts.nulls(name) / counts.rows if name in counts.features else 1.0,
            )
            for name, scored in scores.items()
        ]
    )


def _by_three_mr(counts: FeatureCounts, sample: _Sample, s: RankSettings) -> list[ScoredFeature]:
    """Features in the order of 3MR; a feature's score is that of the step that chose it.

    Relations are of the combinations of two features in the settings, none by default.
    """
    relevance = {name: score("MI", codes, sample.label) for name, codes in sample.columns.items()}
    pairs = pairwise_scores(sample.columns, measure="mutual_information")
    redundancy = {
        (a, b): float(pairs.matrix[i, j]) for i, a in enumerate(pairs.names) for j, b in enumerate(pairs.names) if i < j
    }
    relation = {
        members: score("MI", combine([sample.columns[name] for name in members]), sample.label)
        for members in s.combinations.of(list(sample.columns))
        if len(members) == 2
    }
    steps = rank_three_mr(min_max(relevance), min_max(redundancy), min_max(relation))
    scored = {one.feature: one for one in _scored({step.feature: Scored(step.score, 0) for step in steps}, counts)}
    return [msgspec.structs.replace(scored[step.feature], rank=rank) for rank, step in enumerate(steps, start=1)]


def _with_findings(
    result: RankResult, gathered: Pass, counts: FeatureCounts, sample: _Sample | None, s: RankSettings
) -> RankResult:
    """The result with the other findings that were requested."""
    found: dict[str, Any] = {}
    if s.reports:
        with _timed(result.seconds, "reports"):
            found["columns"] = _reports(counts, gathered.values, s.rare_examples)
            own = [feature for feature in result.ranking if feature.feature in gathered.sizes]
            found["costs"] = feature_costs(own, gathered.sizes)
    if s.pairs and sample is not None:
        with _timed(result.seconds, "pairs"):
            found["pairs"] = pairwise_scores(sample.columns)
            scores = {feature.feature: feature.score for feature in result.ranking}
            costs = {name: size.bytes / max(1, size.rows) for name, size in gathered.sizes.items()}
            found["twins"] = find_twins(found["pairs"], scores=scores, costs=costs or None)
    if s.pair_scores and sample is not None:
        with _timed(result.seconds, "pair_scores"):
            found["pair_scores"] = pairwise_scores(sample.columns, measure="score")
    if gathered.stretches is not None:
        with _timed(result.seconds, "leakage"):
            report = _leaks(gathered.stretches.rows(), counts.bins)
            found |= {"leaks": report.suspicions, "untold": report.untold}
    elif s.time_column is not None:
        found["untold"] = f"the label has {result.label_values} values, leakage is tested for two only"
    return msgspec.structs.replace(result, **found)


def _reports(counts: FeatureCounts, values: FeatureCounts | None, examples: int) -> list[ColumnReport]:
    """Reports of all columns, of numbers by value."""
    parts = [part for part in (counts, values) if part is not None]
    reports = {one.feature: one for part in parts for one in report_columns(part, examples=examples, top=5)}
    return list(reports.values())


def _leaks(rows: pa.RecordBatch, bins: NumberBins) -> LeakReport:
    features = [name for name in rows.schema.names if name not in (LABEL, TIME_US)]
    label, times = rows.column(LABEL).to_numpy(), rows.column(TIME_US).to_numpy()
    return suspect_leaks(encode_table(rows, features, bins=bins), label, times)


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start

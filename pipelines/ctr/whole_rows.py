"""Findings from whole rows of a window of clicks: combinations, twins, suspicions of leakage, costs, quantiles.

Counts of single features do not describe rows, so two samples are taken if a job asks for them: single rows for
combinations and twins, and whole stretches of time for leakage, which compares a row with its neighbours in time.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.detectors.clicks.ranking_checks import leak_findings
from sparsewatch.detectors.clicks.thresholds import RankingThresholds
from sparsewatch.detectors.counts.column_sketches import ColumnSketches
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import NumberBins
from sparsewatch.detectors.counts.row_sample import RowSample, stretch_identities
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE
from sparsewatch.detectors.outrank.columns.codes import Codes, encode
from sparsewatch.detectors.outrank.columns.pair_schedule import CombinationSchedule
from sparsewatch.detectors.outrank.feature_cost import (
    ColumnSize,
    FeatureCost,
    Sizes,
    add_sizes,
    column_sizes,
    feature_costs,
)
from sparsewatch.detectors.outrank.leakage import LeakReport, suspect_leaks
from sparsewatch.detectors.outrank.pairs.pairwise import PairScores, pairwise_scores
from sparsewatch.detectors.outrank.pairs.time_matched_rows import STRETCH_US
from sparsewatch.detectors.outrank.pairs.twins import Twins, dendrogram, find_twins
from sparsewatch.detectors.outrank.ranking import RankedFeature, in_order, rank_codes
from sparsewatch.pipelines.ctr.sampled_rows import places
from sparsewatch.pipelines.ctr.settings import RankingSettings
from sparsewatch.pipelines.rank.scores import Combinations, combined, encode_table
from sparsewatch.schemas import metrics
from sparsewatch.schemas.alerts import Finding, MetricSample
from sparsewatch.schemas.block import EVENT_TIME_US, Block
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.measure import Accumulated, Composite, Conclusion, Window

#: Combinations in a window's record, the best ones, and those scored at a time.
_LISTED_COMBINATIONS = 100
_SCORED_AT_A_TIME = 32
#: Values listed of a feature with too many to count exactly.
_NAMED_VALUES = 20
#: Features compared for twins, the best ranked: all pairs of them take seconds at 100,000 rows.
_TWIN_FEATURES = 128
#: Of these, features whose redundancy with one another is written down.
_MAPPED_FEATURES = 40
#: Rounds before windows of negative times meet those of positive ones.
_ROUNDS = 1 << 40


STORED = Format("sizes of columns")


class _Sizes(msgspec.Struct, frozen=True, array_like=True):
    sizes: dict[str, ColumnSize]


class SizesMeasure:
    """Bytes of columns, by value and in all.

    Args:
        features: The columns.
    """

    def __init__(self, features: Sequence[str]) -> None:
        self.sizes: Sizes = {}
        self._features = tuple(features)

    def add(self, block: Block) -> None:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        self.sizes = add_sizes([self.sizes, column_sizes(block.rows, self._features)])

    def merge_bytes(self, data: bytes) -> None:
        """See `sparsewatch.transforms.window.measure.PartMeasure`."""
        self.sizes = add_sizes([self.sizes, STORED.unpack(data, _Sizes).sizes])

    def to_bytes(self) -> bytes:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        return msgspec.msgpack.encode(_Sizes(self.sizes))


class RowSampleMeasure(Composite):
    """A sample of stretches of rows, sizes and quantiles of columns, as the job's settings ask.

    Mergeable as `RowSample` is, to the same bytes but for quantiles (see
    `sparsewatch.detectors.counts.column_sketches`).

    Args:
        features: Columns that are ranked.
        label: Column of clicks.
        settings: What is computed.
    """

    def __init__(self, features: Sequence[str], label: str, settings: RankingSettings) -> None:
        self.features = tuple(features)
        self.label = label
        rows, columns = settings.sample_rows, (*features, label, EVENT_TIME_US)
        self.stretches = Accumulated(RowSample(columns, rows), _add_stretches) if rows else None
        self.sizes = SizesMeasure(features) if settings.costs else None
        numbers = ColumnSketches(self.features) if settings.quantiles else None
        self.numbers = None if numbers is None else Accumulated(numbers, ColumnSketches.update)
        super().__init__(stretches=self.stretches, sizes=self.sizes, numbers=self.numbers)


def _add_stretches(sample: RowSample, rows: pa.RecordBatch) -> None:
    stretches = rows.column(EVENT_TIME_US).to_numpy() // STRETCH_US
    sample.update(rows, stretch_identities(stretches, *places(rows)))


def conclude_samples(
    measure: RowSampleMeasure,
    sample: RowSample | None,
    counts: FeatureCounts,
    ranking: Sequence[RankedFeature],
    settings: RankingSettings,
    thresholds: RankingThresholds,
    window: Window,
) -> Conclusion:
    """The conclusions from whole rows of a window.

    Args:
        measure: Of the window.
        sample: Single rows of the window, at least as many as the settings ask for.
        counts: Of the window.
        ranking: Its features, best first.
        settings: What is computed.
        thresholds: When findings alarm.
        window: The window.
    """
    summary: dict[str, Any] = {}
    if measure.sizes is not None and measure.sizes.sizes:
        summary["costs"] = feature_costs(ranking, measure.sizes.sizes)
    if measure.numbers is not None:
        numbers = measure.numbers.state
        summaries = {name: numbers.summary(name) for name in numbers.columns}
        summary["numbers"] = {name: one for name, one in summaries.items() if one is not None}
    if sample is None or measure.stretches is None:
        return Conclusion(summary=summary)
    length_us = window.end_us - window.start_us
    # The first rows of a larger sample are the sample of so many.
    rows = sample.rows().slice(0, settings.sample_rows)
    columns = encode_table(rows, measure.features, bins=counts.bins)
    if settings.interactions > 1:
        number = window.start_us // length_us % _ROUNDS
        summary["combinations"] = rank_combinations(columns, encode(rows.column(measure.label)), settings, number)
    summary["twins"] = _twins(columns, ranking, summary.get("costs"), thresholds.twins)
    report = _leaks(measure.stretches.state.rows(), measure.label, counts.bins, thresholds, length_us)
    summary["leakage"] = report
    if heavy := _heavy_values(counts, rows):
        summary["heavy_values"] = heavy
    findings = leak_findings(report)
    return Conclusion(summary=summary, findings=findings, metrics=_metrics(summary["twins"]["groups"], findings))


def _heavy_values(counts: FeatureCounts, rows: pa.RecordBatch) -> dict[str, Any]:
    """The most frequent values of features with too many to count exactly, with names from a sample of rows."""
    many = [name for name in counts.features if counts.hash_limit(name) < HASH_RANGE]
    return {name: counts.heavy_values(name, rows.column(name).unique()).head(_NAMED_VALUES).to_dicts() for name in many}


def rank_combinations(
    columns: Mapping[str, Codes], label: Codes, settings: RankingSettings, number: int
) -> dict[str, Any]:
    """Combinations of features, ranked like features, of the window whose turn is `number`."""
    orders = tuple(order for order in range(2, settings.interactions + 1) if order <= len(columns))
    most = max(1, settings.max_combinations // max(1, len(orders)))
    ranked: list[RankedFeature] = []
    for part in _parts(combined(columns, Combinations(orders=orders, most=most), number)):
        ranked += rank_codes(part, label)
    return {
        "rows": label.codes.size,
        "measured": len(ranked),
        "of": sum(CombinationSchedule(list(columns), order, most).n_combinations for order in orders),
        "ranking": in_order(ranked)[:_LISTED_COMBINATIONS],
    }


def _parts(columns: Iterator[tuple[str, Codes]]) -> Iterator[dict[str, Codes]]:
    """A few at a time: each holds a number a row."""
    while part := dict(itertools.islice(columns, _SCORED_AT_A_TIME)):
        yield part


def _twins(
    columns: Mapping[str, Codes],
    ranking: Sequence[RankedFeature],
    costs: Sequence[FeatureCost] | None,
    threshold: float,
) -> dict[str, Any]:
    best = {one.feature: one.score for one in ranking[:_TWIN_FEATURES]}
    pairs = pairwise_scores({name: columns[name] for name in best})
    bytes_a_row = None if costs is None else {one.feature: one.bytes_a_row for one in costs}
    groups = find_twins(pairs, scores=best, costs=bytes_a_row, threshold=threshold)
    rows = next(iter(columns.values())).codes.size
    return {"rows": rows, "features": len(best), "groups": groups, "map": _redundancy_map(pairs)}


def _redundancy_map(pairs: PairScores) -> dict[str, Any]:
    """Redundancy of each pair of the first features, in whole per cent: of each feature with those before it.

    The features are in the order of the tree's leaves, so that twins are beside each other.
    """
    first = pairs.matrix[:_MAPPED_FEATURES, :_MAPPED_FEATURES]
    leaves = dendrogram(PairScores(pairs.names[:_MAPPED_FEATURES], pairs.measure, first)).leaves
    order = [pairs.names.index(name) for name in leaves]
    percent = np.rint(100 * np.clip(first[np.ix_(order, order)], 0.0, 1.0)).astype(int)
    return {"features": leaves, "percent": [percent[at, :at].tolist() for at in range(len(leaves))]}


def _leaks(
    rows: pa.RecordBatch, label: str, bins: NumberBins, thresholds: RankingThresholds, length_us: int
) -> LeakReport:
    features = [name for name in rows.schema.names if name not in (label, EVENT_TIME_US)]
    return suspect_leaks(
        encode_table(rows, features, bins=bins),
        rows.column(label).to_numpy(),
        rows.column(EVENT_TIME_US).to_numpy(),
        thresholds.leak_settings(length_us),
    )


def _metrics(groups: Sequence[Twins], suspicions: Sequence[Finding]) -> list[MetricSample]:
    return [
        metrics.REDUNDANT_FEATURES.sample(sum(len(group.drop) for group in groups)),
        metrics.LEAKAGE_SUSPECTS.sample(len(suspicions)),
    ]

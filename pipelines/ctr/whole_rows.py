"""What the click-through job tells of a window's rows: combinations, twins, suspicions of leakage, costs, quantiles.

Counts of single features say nothing of rows, so two samples are kept where a job asks: single rows for combinations
and twins, and whole stretches of time for leakage, which compares a row with its neighbours in time.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from sparsewatch.detectors.clicks.ranking_checks import RankingThresholds, leak_findings
from sparsewatch.detectors.counts.column_sketches import ColumnSketches
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.hashed_tail import HASH_RANGE
from sparsewatch.detectors.counts.row_sample import RowSample, row_identities, stretch_identities
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
from sparsewatch.detectors.outrank.pairs.pairwise import pairwise_scores
from sparsewatch.detectors.outrank.pairs.time_matched_rows import STRETCH_US
from sparsewatch.detectors.outrank.pairs.twins import Twins, find_twins
from sparsewatch.detectors.outrank.ranking import RankedFeature, in_order, rank_codes
from sparsewatch.pipelines.ctr.settings import RankingSettings
from sparsewatch.pipelines.rank.scores import Combinations, combined, encode_table
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW, Block
from sparsewatch.schemas.metrics import MetricSample, gauge
from sparsewatch.schemas.stored import Format

#: Combinations in a window's record, the best ones, and those scored at a time.
_TOLD_COMBINATIONS = 100
_SCORED_AT_A_TIME = 32
#: Values told of a feature with too many to count one by one.
_TOLD_VALUES = 20
#: Features compared for twins, the best ranked: all pairs of so many take seconds at 100,000 rows.
_TWIN_FEATURES = 128
#: Rounds before windows of negative times meet those of positive ones.
_ROUNDS = 1 << 40


_STORED = Format("a measure of whole rows")


class _State(msgspec.Struct, frozen=True, array_like=True):
    rows: bytes | None = None
    stretches: bytes | None = None
    sizes: dict[str, ColumnSize] = {}
    numbers: bytes | None = None


def is_asked_for(settings: RankingSettings) -> bool:
    """Whether a job asks for anything that is told here."""
    return bool(settings.sample_rows or settings.costs or settings.quantiles)


class RowMeasure:
    """Samples of rows, sizes and quantiles of columns, as far as the job asks for them.

    Mergeable as `RowSample` is, to the same bytes but for quantiles (see
    `sparsewatch.detectors.counts.column_sketches`).

    Args:
        features: Columns that are ranked.
        label: Column of clicks.
        settings: What is asked for.
    """

    def __init__(self, features: Sequence[str], label: str, settings: RankingSettings) -> None:
        self.features = tuple(features)
        self.sizes: Sizes = {}
        self.rows: RowSample | None = None
        self.stretches: RowSample | None = None
        self.numbers = ColumnSketches(self.features) if settings.quantiles else None
        self._costs = settings.costs
        if settings.sample_rows:
            self.rows = RowSample((*features, label), settings.sample_rows)
            self.stretches = RowSample((*features, label, EVENT_TIME_US), settings.sample_rows)

    def add(self, block: Block) -> None:
        """Take a block into the samples."""
        rows = block.rows
        if self._costs:
            self.sizes = add_sizes([self.sizes, column_sizes(rows, self.features)])
        if self.numbers is not None:
            self.numbers.update(rows)
        if self.rows is None or self.stretches is None:
            return
        places = [rows.column(name).to_numpy() for name in (PARTITION, OFFSET, ROW)]
        self.rows.update(rows, row_identities(*places))
        stretches = rows.column(EVENT_TIME_US).to_numpy() // STRETCH_US
        self.stretches.update(rows, stretch_identities(stretches, *places))

    def merge_bytes(self, data: bytes) -> None:
        """Add a measure of the same settings that was made elsewhere."""
        state = _STORED.unpack(data, _State)
        self.sizes = add_sizes([self.sizes, state.sizes])
        if self.numbers is not None and state.numbers is not None:
            self.numbers.merge(ColumnSketches.from_bytes(state.numbers))
        for sample, other in ((self.rows, state.rows), (self.stretches, state.stretches)):
            if sample is not None and other is not None:
                sample.merge(RowSample.from_bytes(other))

    def to_bytes(self) -> bytes:
        """The state."""
        parts = (self.rows, self.stretches, self.numbers)
        rows, stretches, numbers = (None if one is None else one.to_bytes() for one in parts)
        return msgspec.msgpack.encode(_State(rows, stretches, self.sizes, numbers))


@dataclass(slots=True)
class Told:
    """Parts of a window's record, findings and metrics."""

    summary: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    metrics: list[MetricSample] = field(default_factory=list)


def tell_of_rows(
    measure: RowMeasure,
    ranking: Sequence[RankedFeature],
    label: str,
    settings: RankingSettings,
    thresholds: RankingThresholds,
    window_us: tuple[int, int],
) -> Told:
    """What whole rows tell of a window.

    Args:
        measure: Of the window.
        ranking: Its features, best first.
        label: Column of clicks.
        settings: What is asked for.
        thresholds: What alarms.
        window_us: Start and end.
    """
    told = Told()
    if measure.sizes:
        told.summary["costs"] = feature_costs(ranking, measure.sizes)
    if measure.numbers is not None:
        summaries = {name: measure.numbers.summary(name) for name in measure.numbers.columns}
        told.summary["numbers"] = {name: summary for name, summary in summaries.items() if summary is not None}
    if measure.rows is None or measure.stretches is None:
        return told
    length_us = window_us[1] - window_us[0]
    rows = measure.rows.rows()
    columns = encode_table(rows, measure.features)
    if settings.interactions > 1:
        number = window_us[0] // length_us % _ROUNDS
        told.summary["combinations"] = rank_combinations(columns, encode(rows.column(label)), settings, number)
    told.summary["twins"] = _twins(columns, ranking, told.summary.get("costs"), thresholds.twins)
    report = _leaks(measure.stretches.rows(), label, thresholds, length_us)
    told.summary["leakage"] = report
    told.findings = leak_findings(report)
    told.metrics = _metrics(told.summary["twins"]["groups"], told.findings)
    return told


def name_heavy_values(counts: FeatureCounts, measure: RowMeasure) -> dict[str, Any]:
    """The most frequent values of features with too many to count one by one, named by the sample of rows.

    Args:
        counts: Of the window.
        measure: Of the same window.
    """
    if measure.rows is None:
        return {}
    many = [name for name in counts.features if counts.hash_limit(name) < HASH_RANGE]
    rows = measure.rows.rows() if many else None
    heavy = {
        name: counts.heavy_values(name, rows.column(name).unique()).head(_TOLD_VALUES).to_dicts()
        for name in many
        if rows is not None
    }
    return {"heavy_values": heavy} if heavy else {}


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
        "ranking": in_order(ranked)[:_TOLD_COMBINATIONS],
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
    return {"rows": next(iter(columns.values())).codes.size, "features": len(best), "groups": groups}


def _leaks(rows: pa.RecordBatch, label: str, thresholds: RankingThresholds, length_us: int) -> LeakReport:
    features = [name for name in rows.schema.names if name not in (label, EVENT_TIME_US)]
    return suspect_leaks(
        encode_table(rows, features),
        rows.column(label).to_numpy(),
        rows.column(EVENT_TIME_US).to_numpy(),
        thresholds.leak_settings(length_us),
    )


def _metrics(groups: Sequence[Twins], suspicions: Sequence[Finding]) -> list[MetricSample]:
    return [
        gauge(
            "sparsewatch_redundant_features",
            "Features of the last closed window that have a twin worth keeping.",
            sum(len(group.drop) for group in groups),
        ),
        gauge(
            "sparsewatch_leakage_suspects",
            "Features of the last closed window that may be leaks.",
            len(suspicions),
        ),
    ]

"""What is ranked, and one pass over the rows that gathers what a ranking needs.

Scores that follow from counts of a label of two values use all rows. Scores that need whole rows (combinations,
redundancy, leakage, models, labels of many values) use a sample of rows, or all rows if there are no more than the
sample holds. Scores that depend on the order of rows are computed batch by batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.feature_counts import MAX_VALUES, FeatureCounts
from sparsewatch.detectors.counts.number_bins import NO_BINS, NumberBins, Numbers, is_number
from sparsewatch.detectors.counts.row_sample import RowSample, row_identities, stretch_identities
from sparsewatch.detectors.outrank.feature_cost import ColumnSize, add_sizes, column_sizes
from sparsewatch.detectors.outrank.heuristics import DEFAULT_HEURISTIC, heuristic
from sparsewatch.detectors.outrank.pairs.time_matched_rows import STRETCH_US
from sparsewatch.pipelines.rank.construct import Construction, Constructor
from sparsewatch.pipelines.rank.inputs import RankInput
from sparsewatch.pipelines.rank.labels import LabelValues
from sparsewatch.pipelines.rank.scores import BatchScores, Combinations
from sparsewatch.pipelines.rank.times import times_us
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Range, check_ranges

#: Most cells of a sample of rows, about 8 bytes each.
SAMPLE_CELLS = 16_000_000
LEAST_SAMPLE_ROWS = 1_024
SampleRows = Annotated[int, Range(at_least=LEAST_SAMPLE_ROWS)]
#: Our own columns beside the features: the label as 0 and 1, and event time in microseconds.
LABEL = "_label"
TIME_US = "_event_time_us"

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSettings:
    """What is ranked, and how.

    Raises:
        ConfigError: If a setting is wrong.
    """

    label: str
    heuristic: str = DEFAULT_HEURISTIC
    #: Columns to rank; all but the label if empty.
    features: tuple[str, ...] = ()
    combinations: Combinations = field(default_factory=Combinations)
    #: Columns that models see beside each feature.
    reference: tuple[str, ...] = ()
    #: How columns are made of columns before they are ranked.
    construction: Construction = field(default_factory=Construction)
    #: Distinct values of a feature that are counted exactly.
    max_values: SampleRows = MAX_VALUES
    #: How columns of numbers are counted and ranked.
    numbers: Numbers = field(default_factory=Numbers)
    #: Rows of the sample, if a sample is needed.
    sample_rows: SampleRows = 131_072
    #: Redundancy of all pairs of columns, and twins.
    pairs: bool = False
    #: Column of event times; with it, features are tested for leakage.
    time_column: str | None = None
    #: Score of all pairs of columns in nats, too.
    pair_scores: bool = False
    #: Reports and costs of columns.
    reports: bool = False
    #: Rare values that reports hold, of each column.
    rare_examples: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        needs = heuristic(self.heuristic)
        if needs.reference == "must" and not self.reference:
            raise ConfigError(f"--heuristic {self.heuristic} builds on reference features: give --reference-model")
        if self.label in self.features:
            raise ConfigError(f"--features: expected columns other than the label {self.label!r}")
        check_ranges(self)


class Pass:
    """What one pass over the rows gathers.

    Args:
        source: The input, about to be read.
        settings: What is ranked.
        many_labels: Whether the label has more than two values; then only values are counted, without labels.
    """

    def __init__(self, source: RankInput, settings: RankSettings, *, many_labels: bool) -> None:
        self._settings = settings
        self._source = source
        self.many_labels = many_labels
        self._features: tuple[str, ...] = ()
        self._read = 0
        self.without_label = 0
        self.labels = LabelValues(settings.label) if many_labels else LabelValues(settings.label, most=2)
        self.counts: FeatureCounts | None = None
        #: Counts by value of columns that `counts` has in bins, for reports.
        self.values: FeatureCounts | None = None
        self.sample: RowSample | None = None
        self.batches: BatchScores | None = None
        #: Whole stretches of time, for leakage.
        self.stretches: RowSample | None = None
        self.sizes: dict[str, ColumnSize] = {}

    @property
    def needs_sample(self) -> bool:
        """Whether anything needs whole rows."""
        s = self._settings
        combined = bool(s.combinations.orders or s.combinations.named) and not self._is_batched
        scored = not self.is_counted and not self._is_batched
        return scored or combined or s.pairs

    @property
    def is_counted(self) -> bool:
        """Whether features are scored from counts of all rows."""
        return heuristic(self._settings.heuristic).basis == "counts" and not self.many_labels

    @property
    def _is_batched(self) -> bool:
        return heuristic(self._settings.heuristic).basis == "batches"

    def add(self, block: pa.RecordBatch) -> None:
        """Add a block to everything that is gathered."""
        block = self._with_label(block)
        if not block.num_rows:
            return
        if self.counts is None:
            self._constructor = Constructor(self._settings.construction, self._settings.label, block)
        rows = self._constructor.apply(block)
        if self.counts is None:
            self._begin(rows)
        codes = self.labels.number(rows.column(self._settings.label))
        self._count(rows, codes)
        if self.sample is not None:
            places = np.arange(self._read, self._read + rows.num_rows)
            self.sample.update(rows, row_identities(places))
        if self.stretches is not None:
            self._take_stretches(rows, codes)
        if self._settings.reports:
            self.sizes = add_sizes([self.sizes, column_sizes(rows, self._features)])
        if self.batches is not None:
            self.batches.add(rows.select([*self._features, self._settings.label]))
        self._read += rows.num_rows

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that are ranked."""
        return self._features

    def _with_label(self, block: pa.RecordBatch) -> pa.RecordBatch:
        label = block.column(self._settings.label)
        if not label.null_count:
            return block
        self.without_label += label.null_count
        return block.filter(label.is_valid())

    def _begin(self, rows: pa.RecordBatch) -> None:
        s = self._settings
        self._features = self._chosen(rows.schema.names)
        if not self._features:
            raise ConfigError(f"expected at least one column besides the label {s.label!r}, got none")
        numbers, bits = self._number_bins(rows.schema)
        self.counts = FeatureCounts(self._features, LABEL, max_values=s.max_values, numbers=numbers, number_bits=bits)
        if s.reports and numbers:
            self.values = FeatureCounts(numbers, LABEL, max_values=s.max_values)
        if self.needs_sample:
            self.sample = self._new_sample([*self._features, *s.reference, s.label])
        if s.time_column is not None and not self.many_labels:
            columns = [name for name in self._features if name != s.time_column]
            self.stretches = self._new_sample([*columns, LABEL, TIME_US])
        if self._is_batched:
            self.batches = BatchScores(s.heuristic, self._features, s.label, s.combinations)

    def _number_bins(self, schema: pa.Schema) -> NumberBins:
        """Columns to rank in bins; texts stay names. Batches are scored as the public tool scores them, by value."""
        if self._is_batched:
            return NO_BINS
        types = {name: schema.field(name).type for name in self._features}
        floats = [name for name, column in types.items() if pa.types.is_floating(column)]
        return self._settings.numbers.bins([name for name, column in types.items() if is_number(column)], floats)

    def _new_sample(self, columns: Sequence[str]) -> RowSample:
        rows = min(self._settings.sample_rows, SAMPLE_CELLS // len(columns))
        return RowSample(tuple(dict.fromkeys(columns)), max(LEAST_SAMPLE_ROWS, rows))

    def _take_stretches(self, rows: pa.RecordBatch, codes: Labels) -> None:
        """Sample rows by their stretch of time, so that the sample holds whole adjacent seconds."""
        column = self._settings.time_column
        if self.stretches is None or column is None:
            return
        times, known = times_us(rows.column(column), column)
        features = [name for name in self.stretches.columns if name not in (LABEL, TIME_US)]
        arrays = [rows.column(name) for name in features] + [pa.array(codes), pa.array(times)]
        timed = pa.RecordBatch.from_arrays(arrays, names=[*features, LABEL, TIME_US]).filter(pa.array(known))
        places = np.arange(self._read, self._read + rows.num_rows)
        self.stretches.update(timed, stretch_identities(times // STRETCH_US, places)[known])

    def _chosen(self, names: Sequence[str]) -> tuple[str, ...]:
        """Columns to rank: the requested and the made columns, else all but the label."""
        wanted, own = set(self._settings.features), set(self._source.columns)
        return tuple(n for n in names if n != self._settings.label and (not wanted or n in wanted or n not in own))

    def _count(self, rows: pa.RecordBatch, codes: Labels) -> None:
        if self.counts is None:
            return
        # With many labels only the values are used here.
        clicks = np.zeros(codes.size, np.int8) if self.many_labels else codes.astype(np.int8)
        columns = [rows.column(name) for name in self._features]
        counted = pa.RecordBatch.from_arrays([*columns, pa.array(clicks)], names=[*self._features, LABEL])
        self.counts.update(counted)
        if self.values is not None:
            self.values.update(counted)

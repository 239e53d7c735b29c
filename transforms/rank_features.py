"""A ranking of features for each window of record batches, for any Beam pipeline.

`CountFeaturesFn` counts, `RankFeatures` counts and ranks. Counts add up, so neither bundles nor the order of batches
change a ranking, and what travels is one state a bundle and window, never a row: between stages it is the bytes of
`FeatureCounts`, and nothing is pickled.

A ranking for each ten minutes:

>>> from apache_beam.transforms.window import FixedWindows, TimestampedValue
>>> rows = pa.record_batch({"site": ["a", "b"] * 50, "ad": [1, 1, 2, 2] * 25, "click": [1, 0] * 50})
>>> stamped = beam.Map(lambda second: TimestampedValue(rows, second)).with_output_types(pa.RecordBatch)
>>> with beam.Pipeline(runner="FnApiRunner") as pipeline:
...     rankings = (
...         pipeline
...         | beam.Create([60, 400])
...         | stamped
...         | beam.WindowInto(FixedWindows(600))
...         | RankFeatures(features=["site", "ad"], label="click")
...     )
...     _ = rankings | beam.Map(lambda ranking: print([(f.feature, round(f.score, 2)) for f in ranking]))
[('site', 0.69), ('ad', -0.0)]

A batch is counted once in each window it is in. Windows that overlap much are cheaper in two steps: count
`FixedWindows` of the period with `CountFeaturesFn`, window the counts again, and pass them to `RankFeatures`.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeAlias

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection
from apache_beam.transforms.trigger import AccumulationMode

from sparsewatch.detectors.counts.feature_counts import MAX_VALUES, FeatureCounts
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, check_range
from sparsewatch.transforms import coders
from sparsewatch.transforms.coders import FeatureCountsCoder

#: What can be counted: rows, or counts of rows by the same settings.
Countable: TypeAlias = pa.RecordBatch | Block | FeatureCounts


@beam.typehints.with_input_types(Countable)
@beam.typehints.with_output_types(FeatureCounts)
class CountFeaturesFn(beam.CombineFn):
    """Record batches, blocks, or counts of some, to the counts of all.

    State: that of `FeatureCounts`, a window and key. For `beam.CombinePerKey` as well as for `beam.CombineGlobally`.

    Args:
        features: Columns to count.
        label: Column of clicks, 0 or 1.
        max_values: Distinct values a feature may hold; see `FeatureCounts`.
        numbers: Features whose numbers are counted in bins; see `FeatureCounts`.

    Raises:
        ConfigError: At once, if a name comes twice, `max_values` is below 1 or a number is no feature.
    """

    def __init__(
        self, features: Sequence[str], label: str, *, max_values: int = MAX_VALUES, numbers: Collection[str] = ()
    ) -> None:
        self._features = tuple(features)
        self._label = label
        self._max_values = max_values
        self._numbers = tuple(numbers)
        self.create_accumulator()

    def create_accumulator(self) -> FeatureCounts:
        """Counts of no rows."""
        return FeatureCounts(self._features, self._label, max_values=self._max_values, numbers=self._numbers)

    def add_input(self, counts: FeatureCounts, element: Countable) -> FeatureCounts:
        """`counts`, with the rows of the element.

        Raises:
            SchemaError: If the rows lack a column, or a column is of another type than before.
            StateError: If the element is counts by other settings.
        """
        if isinstance(element, FeatureCounts):
            counts.merge(element)
        else:
            counts.update(element.rows if isinstance(element, Block) else element)
        return counts

    def merge_accumulators(self, accumulators: Iterable[FeatureCounts]) -> FeatureCounts:
        """The sum of all, in new counts."""
        total = self.create_accumulator()
        for counts in accumulators:
            total.merge(counts)
        return total

    def extract_output(self, counts: FeatureCounts) -> FeatureCounts:
        """The counts themselves; `rank_features` ranks them."""
        return counts

    def get_accumulator_coder(self) -> FeatureCountsCoder:
        """The accumulators' bytes are those of `FeatureCounts`."""
        return FeatureCountsCoder()


@beam.typehints.with_input_types(Countable)
@beam.typehints.with_output_types(list[RankedFeature])
class _RankFn(CountFeaturesFn):
    """Ranks what it counted."""

    def extract_output(self, counts: FeatureCounts) -> list[RankedFeature]:  # type: ignore[override]
        return rank_features(counts)


class _Spread(beam.DoFn):
    """Keys all elements of a bundle by the same shard, so that a bundle leaves one partial count a window."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def start_bundle(self) -> None:
        # At random, since workers know nothing of each other; any spread gives the same counts.
        self._shard = random.randrange(self._shards)

    def process(self, element: Countable) -> Iterator[tuple[int, Countable]]:
        yield self._shard, element


class RankFeatures(beam.PTransform):
    """Windowed record batches to one ranking a window.

    A batch is in a window as a whole, by its timestamp. A window without batches has no ranking.

    Args:
        features: Columns to rank.
        label: Column of clicks, 0 or 1.
        max_values: Distinct values a feature may hold; see `FeatureCounts`.
        numbers: Features whose numbers are counted in bins; see `FeatureCounts`.
        fanout: Workers that add up partial counts of a window before a single worker joins them. More than 1 pays where
            a window has hundreds of bundles, or features hold many values.

    Raises:
        ConfigError: At once, if one of these is out of range.
    """

    def __init__(
        self,
        features: Sequence[str],
        label: str,
        *,
        max_values: int = MAX_VALUES,
        numbers: Collection[str] = (),
        fanout: int = 1,
    ) -> None:
        super().__init__()
        check_range(Count, fanout, "fanout")
        self._count = CountFeaturesFn(features, label, max_values=max_values, numbers=numbers)
        self._rank = _RankFn(features, label, max_values=max_values, numbers=numbers)
        self._fanout = fanout

    def expand(self, batches: PCollection[Countable]) -> PCollection[list[RankedFeature]]:
        """`pa.RecordBatch` (or `Block`, or `FeatureCounts` of the same settings) in, lists by ascending rank out.

        Raises:
            ConfigError: If partial counts are spread where a window's rows come again with each firing.
        """
        coders.register()
        partial = batches if self._fanout == 1 else self._fan_out(batches)
        return partial | "CountAndRank" >> beam.CombineGlobally(self._rank).without_defaults()

    def _fan_out(self, batches: PCollection[Countable]) -> PCollection[FeatureCounts]:
        if batches.windowing.accumulation_mode == AccumulationMode.ACCUMULATING:
            raise ConfigError("fanout: expected 1 where firings accumulate, since partial counts would be added twice")
        return (
            batches
            | "Spread" >> beam.ParDo(_Spread(self._fanout)).with_output_types(tuple[int, batches.element_type])
            | "CountShards" >> beam.CombinePerKey(self._count)
            | "Shards" >> beam.Values()
        )

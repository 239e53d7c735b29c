"""Counts of a binary label for each value of each feature: the mergeable state of a window.

Cardinality, nulls, unseen values, mutual information and its chance level all follow from them. Counts add up: any
split of the rows, in any order, merged in any order, gives the same state to the byte.

Rows are buffered as they come, without a copy, and counted many at a time. State: at most `BUFFER_ROWS` raw rows and
`BUFFER_CELLS` values of them, and about 24 bytes (numbers) or 40 to 80 bytes (strings) for each distinct value, stored
and pending: up to `max_values` of each a feature. A feature with more takes 16 bytes for each of as many counters
besides: 3 to 6 MiB at 65,536.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Self

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.counts.capped_counts import HashedCounters
from sparsewatch.detectors.counts.counts import Bucket, Part
from sparsewatch.detectors.counts.distinct import Clicks
from sparsewatch.detectors.counts.feature_counts_codec import FORMAT, FlatCounts, Header, decode, encode, flattened
from sparsewatch.detectors.counts.number_bins import BITS, NumberBins, bin_text, binned, is_number
from sparsewatch.detectors.counts.thinned import thin
from sparsewatch.detectors.counts.value_counts import PARTS_VALUES, Held, ValueCounts
from sparsewatch.detectors.counts.value_estimates import (
    Marginals,
    SampledValues,
    heavy_values,
    marginals,
    sampled_values,
)
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, Hashes, hash_mark, kind_of
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.settings import Count, Range, check_range
from sparsewatch.schemas.stored import Bytes

#: Rows gathered before they are counted: counting fewer at a time costs more a row.
BUFFER_ROWS = 65_536
#: Batches gathered before they are counted, however small.
BUFFER_BATCHES = 1_024
#: Values of all features gathered before they are counted.
BUFFER_CELLS = 1 << 22
#: Distinct values of all features in tables that wait to be merged; a table has its own limit too.
PENDING_VALUES = 1 << 20
#: Threads that count features side by side.
THREADS = 2
#: Parts the features are counted in: handing over each of a thousand on its own takes time.
GROUPS = 16
#: Distinct values stored for a feature.
MAX_VALUES = 65_536
#: Binary digits that tell bins of numbers apart.
Bits = Annotated[int, Range(at_least=1, at_most=20)]
#: Distinct values of a feature that are stored however few cells there are.
LEAST_VALUES = 64


class FeatureCounts:
    """Rows and clicks by value, for each feature.

    Args:
        features: Columns to count.
        label: Column of clicks, 0 or 1.
        max_values: Distinct values of a feature that are stored; of a feature with more, a sample of its values and
            hashed counters are stored (see `sparsewatch.detectors.counts.capped_counts`).
        numbers: Features, of integers or floats, that are counted in bins: a bin is the value then (see
            `sparsewatch.detectors.counts.number_bins`).
        number_bits: Binary digits that tell bins apart.

    Example:
        >>> counts = FeatureCounts(["ad"], label="click")
        >>> counts.update(pa.RecordBatch.from_pydict({"ad": ["a", "b", "a"], "click": [1, 0, 0]}))
        >>> counts.table("ad").rows()
        [('a', 2, 1), ('b', 1, 0)]
    """

    def __init__(
        self,
        features: Sequence[str],
        label: str,
        *,
        max_values: int = MAX_VALUES,
        numbers: Collection[str] = (),
        number_bits: int = BITS,
    ) -> None:
        if not features or len({*features, label}) != len(features) + 1:
            raise ConfigError(f"features: expected distinct names other than the label {label!r}, got {list(features)}")
        check_range(Count, max_values, "max_values")
        check_range(Bits, number_bits, "number_bits")
        binned_features = frozenset(numbers)
        if unknown := sorted(binned_features - set(features)):
            raise ConfigError(f"numbers: expected some of the features {list(features)}, got {unknown}")
        self.features = tuple(features)
        self.label = label
        self.max_values = max_values
        self.bins = NumberBins(tuple(name for name in features if name in binned_features), number_bits)
        self.rows = 0
        self.clicks = 0
        self._buffer: list[pa.RecordBatch] = []
        self._buffered = 0
        self._schema: pa.Schema | None = None
        #: By name, made when they are first needed.
        self._columns: dict[str, ValueCounts] = {}
        self._places = {name: place for place, name in enumerate(self.features)}
        #: All that is counted, as it was read, while nothing is added; where features begin in it, and its hashes.
        self._flat: FlatCounts | None = None
        self._starts: tuple[list[int], list[int]] = ([], [])
        self._hashes: Hashes | None = None

    def __repr__(self) -> str:
        """In a line: rows, clicks, features."""
        return f"<FeatureCounts: {self.rows} rows, {self.clicks} clicks, {len(self.features)} features>"

    def update(self, rows: pa.RecordBatch) -> None:
        """Add rows.

        Args:
            rows: The features (integers, booleans, floats, strings or dictionaries of them; null and NaN are the
                missing value) and the label (0 or 1, never null). Other columns are ignored. Not changed, and
                held until counted.

        Raises:
            SchemaError: If a column is missing, is of a type that is not counted or of another kind than before, or
                if the label is not 0 or 1. No row is added then.
        """
        known = self._schema is not None and self._schema.equals(rows.schema)
        kinds = {} if known else self._kinds_of(rows.schema)
        clicks = _clicks(self.label, rows.column(self.label))
        self._expect(kinds)
        self._schema = rows.schema
        self.rows += rows.num_rows
        self.clicks += clicks
        self._push(rows.select([*self.features, self.label]))

    def merge(self, other: "FeatureCounts") -> None:
        """Add the counts of `other`, which is not changed.

        Raises:
            StateError: If `other` counts other features, another label or has another cap.
            SchemaError: If a feature is of another kind there.
        """
        if self._identity() != other._identity():
            raise StateError(f"expected counts of {self._identity()} to merge, got {other._identity()}")
        if other._flat is not None and self._is_new():
            self._take_over(other._flat)
            return
        self._expect(other._kinds())
        self._unfold()
        for name in self.features:
            self._column(name).merge(other._column(name))
        self.rows += other.rows
        self.clicks += other.clicks
        for batch in tuple(other._buffer):
            self._push(batch)

    def without_rows(self) -> Self:
        """Counts of no rows that take the same features, label and kinds of values."""
        counts = self._empty(self.max_values)
        counts._expect(self._kinds())
        return counts

    def thinned(self, cells: int) -> Self:
        """The same counts with fewer values stored: as many a feature as fit into `cells` values of all features.

        A feature with more has a sample of its values and hashed counters, as above `max_values`.
        """
        flat = self.flat()
        sizes, most = flat.sizes, self.max_values
        while most > LEAST_VALUES and np.minimum(sizes, most).sum() > cells:
            most //= 2
        counts = self._empty(most)
        counts._take_over(thin(flat, self.hashes(), most) if most < self.max_values else flat)
        return counts

    def flat(self) -> FlatCounts:
        """All that is counted, as it is written."""
        self._count_buffer()
        return self._flattened() if self._flat is None else self._flat

    def hashes(self) -> Hashes:
        """Of the values of `flat`; found once while nothing is added."""
        if self._flat is None:
            return self.flat().hashes()
        if self._hashes is None:
            self._hashes = self._flat.hashes()
        return self._hashes

    def table(self, feature: str) -> pl.DataFrame:
        """Counts of one feature: columns value, rows, clicks by ascending value, the missing value first.

        Above the cap only the stored values are in it; see `others` and `heavy_values`.
        """
        column = self._counted(feature)
        part = column.sorted()
        table = pl.DataFrame({"value": pl.Series(part.values), "rows": part.rows, "clicks": part.clicks})
        if not column.nulls.rows:
            return table
        null = pl.DataFrame([(None, *column.nulls)], schema=table.schema, orient="row")
        return pl.concat([null, table])

    def stored(self, features: Sequence[str]) -> list[Part]:
        """Stored values of some features with their counts, each value once, in no order."""
        return [self._counted(feature).merged() for feature in features]

    def ascending(self, feature: str) -> Part:
        """Stored values of a feature with their counts, by ascending value."""
        return self._counted(feature).sorted()

    def others(self, feature: str) -> Bucket:
        """Rows and clicks of the values that are not stored because the feature has more than `max_values`."""
        return self._counted(feature).others()

    def marginals(self, feature: str) -> Marginals:
        """Rows and clicks of each value, the missing one among them, in no order; above the cap an estimate."""
        return marginals(self._counted(feature))

    def hash_limit(self, feature: str) -> int:
        """The hashes of the values in `sampled_values` are below it; `HASH_RANGE` where all values are stored."""
        if self._flat is not None and not self._flat.header.hashed[self._place(feature)]:
            return HASH_RANGE
        return self._counted(feature).limit()

    def held(self, feature: str) -> Held:
        """The stored values, and what else is counted where these are not all."""
        column = self._counted(feature)
        return Held(column.merged(), column.hashed, column.limit())

    def sampled_values(self, feature: str, limit: int = HASH_RANGE) -> SampledValues:
        """Values whose hash is below `limit` and `hash_limit`; see `sparsewatch.detectors.counts.value_estimates`."""
        return sampled_values(self._counted(feature), limit)

    def heavy_values(self, feature: str, candidates: Any) -> pl.DataFrame:
        """Counts of those of `candidates`, values or rows of them, that are stored or known to be heavy."""
        column = self._counted(feature)
        if column.bits is not None:
            candidates = binned(candidates, column.bits)
        return heavy_values(column, pl.Series(candidates).unique())

    def value_text(self, feature: str, value: Any) -> Any:
        """A value of `table` for people to read: a bin is shown as its interval, another value as it is."""
        if value is None or feature not in self.bins.features:
            return value
        return bin_text(value, self.bins.bits)

    def cardinality(self, feature: str) -> int:
        """Distinct values, or bins, without the missing one; above the cap an estimate, sd 0.4 % at 65,536."""
        return self._counted(feature).cardinality()

    def nulls(self, feature: str) -> int:
        """Rows without a value."""
        if self._flat is not None:
            return self._flat.header.nulls[self._place(feature)].rows
        return self._counted(feature).nulls.rows

    def to_bytes(self) -> bytes:
        """The state as one Arrow IPC stream; equal states give equal bytes."""
        return encode(self.flat())

    @classmethod
    def from_bytes(cls, data: Bytes) -> Self:
        """The state that `to_bytes` wrote.

        Raises:
            StateError: If the bytes are damaged or of another version.
        """
        flat = decode(data)
        with FORMAT.reading(data):
            header = flat.header
            counts = cls(
                header.features,
                header.label,
                max_values=header.max_values,
                numbers=header.numbers or (),
                number_bits=header.number_bits or BITS,
            )
            counts._take_over(flat)
        return counts

    def _flattened(self) -> FlatCounts:
        columns = [self._column(name) for name in self.features]
        parts = tuple(column.sorted() for column in columns)
        header = Header(
            features=self.features,
            label=self.label,
            max_values=self.max_values,
            rows=self.rows,
            clicks=self.clicks,
            kinds=tuple(column.kind for column in columns),
            nulls=tuple(column.nulls for column in columns),
            sizes=tuple(part.rows.size for part in parts),
            hashed=tuple(column.hashed is not None for column in columns),
            hash_mark=hash_mark(),
            numbers=self.bins.features or msgspec.UNSET,
            number_bits=self.bins.bits if self.bins.features else msgspec.UNSET,
        )
        return flattened(header, parts, [column.hashed for column in columns])

    def _take_over(self, flat: FlatCounts) -> None:
        """Have these counts, of a state without any."""
        self._flat, self._starts, self._hashes = flat, flat.starts(), None
        self.rows, self.clicks = flat.header.rows, flat.header.clicks

    def _is_new(self) -> bool:
        return self._flat is None and not self._columns and not self._buffer

    def _unfold(self) -> None:
        """Make all columns, before something is added to them."""
        if self._flat is None:
            return
        for name in self.features:
            self._column(name)
        self._flat, self._hashes = None, None

    def _column(self, name: str) -> ValueCounts:
        if name not in self._columns:
            self._columns[name] = self._made(name)
        return self._columns[name]

    def _made(self, name: str) -> ValueCounts:
        pending = min(PARTS_VALUES, PENDING_VALUES // len(self.features))
        column = ValueCounts(self.max_values, pending, self.bins.bits if name in self.bins.features else None)
        if self._flat is not None:
            place, header = self._places[name], self._flat.header
            hashed = self._flat.counters[place]
            column.kind = header.kinds[place]
            # Rows are added to counters in place.
            own = None if hashed is None else HashedCounters(hashed.rows.copy(), hashed.clicks.copy())
            column.restore(self._flat.part(place, self._starts), header.nulls[place], own)
        return column

    def _kinds(self) -> dict[str, str | None]:
        if self._flat is not None:
            return dict(zip(self.features, self._flat.header.kinds, strict=True))
        return {name: self._column(name).kind for name in self.features}

    def _empty(self, max_values: int) -> Self:
        bins = self.bins
        return type(self)(
            self.features, self.label, max_values=max_values, numbers=bins.features, number_bits=bins.bits
        )

    def _identity(self) -> tuple[Any, ...]:
        # The bits of no bins are no difference.
        return (self.features, self.label, self.max_values, *(self.bins if self.bins.features else ()))

    def _kinds_of(self, schema: pa.Schema) -> dict[str, str | None]:
        if missing := {*self.features, self.label} - set(schema.names):
            raise SchemaError(f"expected columns {sorted(missing)}, got only {sorted(schema.names)}")
        kinds = {name: kind_of(name, schema.field(name).type) for name in self.features}
        return kinds | {name: _number_kind(name, schema.field(name).type) for name in self.bins.features}

    def _expect(self, kinds: dict[str, str | None]) -> None:
        """Take note of kinds, of all or of none; None says nothing."""
        news = {name: kind for name, kind in kinds.items() if kind is not None}
        known = self._kinds() if news else {}
        for name, kind in news.items():
            if (before := known[name]) not in (None, kind):
                raise SchemaError(f"feature {name!r}: expected values of kind {before!r} as before, got {kind!r}")
        if any(known[name] is None for name in news):
            self._unfold()
            for name, kind in news.items():
                self._column(name).kind = kind

    def _counted(self, feature: str) -> ValueCounts:
        self._place(feature)
        self._count_buffer()
        return self._column(feature)

    def _place(self, feature: str) -> int:
        if feature not in self._places:
            raise ConfigError(f"expected one of the features {self.features}, got {feature!r}")
        return self._places[feature]

    def _push(self, batch: pa.RecordBatch) -> None:
        """Buffer a batch; all that is buffered has one schema."""
        if self._buffer and not batch.schema.equals(self._buffer[0].schema):
            self._count_buffer()
        if batch.num_rows:
            self._buffer.append(batch)
            self._buffered += batch.num_rows
        rows = min(BUFFER_ROWS, BUFFER_CELLS // len(self.features))
        # A large batch is counted as it is: joined with the next batch it would be copied.
        if self._buffered >= rows or len(self._buffer) >= BUFFER_BATCHES or 2 * batch.num_rows > rows:
            self._count_buffer()

    def _count_buffer(self) -> None:
        if not self._buffer:
            return
        self._unfold()
        buffer = pa.Table.from_batches(self._buffer)
        if len(self._buffer) > 1:
            buffer = buffer.combine_chunks()
        clicks = buffer.column(self.label).cast(pa.uint8()).to_numpy()
        # Finding distinct values, most of the work, releases the interpreter's lock.
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [
                pool.submit(self._count_columns, buffer, clicks, self.features[i::GROUPS]) for i in range(GROUPS)
            ]:
                done.result()
        self._buffer, self._buffered = [], 0

    def _count_columns(self, rows: pa.Table, clicks: Clicks, features: Sequence[str]) -> None:
        for name in features:
            self._column(name).count(rows.column(name), clicks)


def _number_kind(name: str, arrow_type: Any) -> str | None:
    """Kind of a feature whose numbers are counted in bins, which are floats; None for a column of nulls.

    Raises:
        SchemaError: If the type is not of numbers.
    """
    if is_number(arrow_type):
        return "float"
    if pa.types.is_null(arrow_type):
        return None
    raise SchemaError(f"feature {name!r}: expected integers or floats, to be counted in bins, got {arrow_type}")


def _clicks(name: str, label: Any) -> int:
    """Sum of a label column.

    Raises:
        SchemaError: If it holds anything but 0 and 1.
    """
    if not (pa.types.is_integer(label.type) or pa.types.is_boolean(label.type)):
        raise SchemaError(f"label {name!r}: expected integers 0 or 1, got {label.type}")
    if label.null_count:
        raise SchemaError(f"label {name!r}: expected 0 or 1 in each row, got {label.null_count} nulls")
    if not len(label):
        return 0
    bounds = pc.min_max(label).as_py()
    if bounds["min"] < 0 or bounds["max"] > 1:
        raise SchemaError(f"label {name!r}: expected 0 or 1, got values from {bounds['min']} to {bounds['max']}")
    return int(pc.sum(label).as_py())

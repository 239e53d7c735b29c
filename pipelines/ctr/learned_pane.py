"""What a window of clicks leaves to be learned, and what is kept of it once it is."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import pyarrow as pa

from sparsewatch.detectors.clicks.calibration import Calibration
from sparsewatch.detectors.clicks.repeated_rows import (
    WindowPairs,
    alike_rows,
    repeated_rows,
    repeats_of,
    telling_columns,
)
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.packed_rows import rows_from_bytes, rows_to_bytes
from sparsewatch.detectors.counts.row_sample import RowSample
from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.pipelines.ctr.sliding import ClickPane
from sparsewatch.schemas.block import OFFSET, PARTITION
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.measure import Accumulated
from sparsewatch.transforms.window.panes import PaneState

FORMAT = Format("a learned window of clicks")
#: Sampled rows of a window that are kept: 4,000 or so of a baseline of 24 windows. Of a smaller sample no more than a
#: part: the baseline then has about twice as many as the window that is compared with it.
SAMPLE_ROWS, _SAMPLE_PART = 170, 12


class LearnedPane(PaneState, frozen=True, array_like=True, kw_only=True):
    """Saved state of a window of clicks that may be learned."""

    stored: ClassVar[Format] = FORMAT

    #: Subjects on which something was wrong.
    suspect: list[str]
    #: List of `RankedFeature`, encoded: of a hundred windows they would take more memory than all the rest.
    ranking: msgspec.Raw
    #: Bytes of its `FeatureCounts`, thinned; of a pane that was read a view of its bytes, which are held anyway.
    counts: memoryview
    #: Start, rows and clicks of the last windows with nothing wrong on the stream, this one among them: int64, shape
    #: (n_windows, 3).
    history: bytes
    #: A sample of its rows: features and label, packed (an Arrow IPC stream of them in earlier releases); empty where
    #: rows are not sampled.
    sample: memoryview = memoryview(b"")
    #: Rows of the sample and pairs of equal ones among them; None where they were not counted.
    pairs: tuple[int, int] | None = None
    #: Of the prediction, where one is named: thinned counts no longer tell it.
    calibration: Calibration | None = None

    def ranked(self) -> list[RankedFeature]:
        """Its ranking.

        Raises:
            StateError: If it is damaged.
        """
        return FORMAT.unpack_list(memoryview(self.ranking), RankedFeature)

    def rows(self, names: Sequence[str] | None = None) -> pa.Table:
        """The sample of its rows.

        Args:
            names: Columns to give; all if None.

        Raises:
            StateError: If it is damaged.
        """
        return rows_from_bytes(self.sample, FORMAT, names)

    def repeats(self, start_us: int) -> WindowPairs:
        """Equal rows of the sample of this window, which begins then."""
        return WindowPairs(start_us, *(self.pairs or _pairs(self.rows().combine_chunks().to_batches()[0])))


@dataclass(frozen=True)
class OwnWindow:
    """A window that is judged, as it left itself to be learned."""

    pane: ClickPane
    counts: FeatureCounts

    @classmethod
    def of(cls, state: bytes) -> "OwnWindow":
        """Of what the window leaves."""
        pane = ClickPane.from_bytes(state)
        return cls(pane, FeatureCounts.from_bytes(pane.counts))

    @functools.cached_property
    def rows(self) -> pa.RecordBatch:
        """The sample of its rows, with partition and offset."""
        return RowSample.from_bytes(self.pane.sample).rows()


def learnable(pane: ClickPane, measured: Accumulated[RowSample] | None) -> bytes:
    """What a window leaves to be learned: its pane, and the sample of its rows if there is one."""
    if measured is None:
        return pane.to_bytes()
    sample = measured.state
    most = min(SAMPLE_ROWS, -(-sample.capacity // _SAMPLE_PART))
    columns = [name for name in sample.columns if name not in (PARTITION, OFFSET)]
    rows, kept = sample.rows(), sample.first(most, columns)
    alike = alike_rows(rows, columns, telling_columns({one.feature: one.cardinality for one in pane.ranking}))
    return msgspec.structs.replace(
        pane,
        sample=measured.to_bytes(),
        learned_rows=rows_to_bytes(kept, columns),
        repeated=repeats_of(alike, rows, columns),
        learned_pairs=(kept.n_rows, alike.pairs_among(kept.n_rows)),
    ).to_bytes()


def _pairs(rows: pa.RecordBatch) -> tuple[int, int]:
    return rows.num_rows, repeated_rows(rows, rows.schema.names).pairs

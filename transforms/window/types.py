"""The mistyped cells of a window: a measure, and what jobs of columns conclude of it."""

from collections.abc import Mapping, Sequence

from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.detectors.type_changes import mistyped_record
from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.metrics import FEATURE_MISTYPED, MISTYPED_CELLS


class TypeMeasure:
    """Values and mistyped cells of columns.

    Args:
        columns: The columns.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.counts = TypeCounts(tuple(columns))

    def add(self, block: Block) -> None:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        self.counts.update(block.rows, block.mistyped)

    def merge_bytes(self, data: bytes) -> None:
        """See `sparsewatch.transforms.window.measure.PartMeasure`."""
        self.counts.merge(TypeCounts.from_bytes(data))

    def to_bytes(self) -> bytes:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        return self.counts.to_bytes()


def mistyped_summary(counts: TypeCounts) -> Mapping[str, object]:
    """What a window's record says of mistyped cells, by column."""
    return {
        name: {"share": counts.share(name), **mistyped_record(column)}
        for name, column in counts.mistyped.columns.items()
    }


def mistyped_metrics(counts: TypeCounts, exported: Sequence[str]) -> list[MetricSample]:
    """Samples of one window.

    Args:
        counts: Of the window.
        exported: Columns with a series of their own.
    """
    return [
        MISTYPED_CELLS.sample(counts.mistyped.cells),
        *(FEATURE_MISTYPED.sample(_of_rows(counts, name), feature=name) for name in exported),
    ]


def _of_rows(counts: TypeCounts, name: str) -> float:
    return counts.mistyped.of(name) / counts.rows if counts.rows else 0.0

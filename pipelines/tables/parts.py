"""Interface of the readers of one file, whatever its format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from sparsewatch.pipelines.tables.rejects import Rejected
from sparsewatch.pipelines.tables.streams import Progress


class Part(Protocol):
    """One file of an input."""

    @property
    def path(self) -> Path:
        """The file."""

    def pieces(self, rejected: Rejected, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Its rows; all parts give the same columns in the same order."""

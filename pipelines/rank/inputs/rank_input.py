"""An input of `sparsewatch rank`: its columns, its rows in blocks, what was left out, how far it is read."""

from collections.abc import Generator, Iterator, Sequence

import pyarrow as pa

from sparsewatch.pipelines.rank.inputs.settings import InputSettings
from sparsewatch.pipelines.tables.blocks import every, gather, head, read_ahead
from sparsewatch.pipelines.tables.parts import Part
from sparsewatch.pipelines.tables.rejects import Rejected
from sparsewatch.pipelines.tables.streams import Progress
from sparsewatch.pipelines.tables.values import finite_rows


class RankInput:
    """Rows of one or more files.

    Args:
        parts: The files, in the order they are read.
        columns: Columns of the batches.
        numeric: Columns that the files declare as numbers with a fraction; their values may be text.
        settings: How they are read.
    """

    def __init__(
        self, parts: Sequence[Part], columns: Sequence[str], numeric: frozenset[str], settings: InputSettings
    ) -> None:
        self.columns = tuple(columns)
        self.numeric = numeric
        #: Filled while `batches` reads.
        self.rejected = Rejected()
        self._parts = parts
        self._settings = settings
        self._progress = Progress([part.path for part in parts])

    @property
    def total_bytes(self) -> int:
        """Bytes of all files as they lie on disk."""
        return self._progress.total

    @property
    def bytes_read(self) -> int:
        """Those of them that are read; may be asked from any thread."""
        return self._progress.done

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in blocks of nearly `block_rows` rows and at most 64 MiB (`blocks.BLOCK_BYTES`).

        May be called again: counts and progress start again.

        Raises:
            SchemaError: If a file is damaged.
        """
        self.rejected.clear()
        self._progress.clear()
        rows = head(every(read_ahead(self._pieces()), self._settings.subsampling), self._settings.max_rows)
        return gather(rows, self._settings.block_rows)

    def _pieces(self) -> Generator[pa.RecordBatch, None, None]:
        for part in self._parts:
            for piece in part.pieces(self.rejected, self._progress):
                finite = finite_rows(piece)
                self.rejected.infinite += finite.infinite
                yield finite.rows

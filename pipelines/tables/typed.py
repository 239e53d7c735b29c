"""Values converted to their column's type, or refused with the column's name."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparsewatch.pipelines.tables.blocks import gather, head, read_ahead
from sparsewatch.pipelines.tables.csv_files import CsvPart
from sparsewatch.pipelines.tables.parquet_files import Convert
from sparsewatch.pipelines.tables.rejects import Rejected, shown
from sparsewatch.pipelines.tables.settings import PLAIN, Reading
from sparsewatch.pipelines.tables.streams import Progress
from sparsewatch.pipelines.tables.text import is_text
from sparsewatch.pipelines.tables.text_types import holds, written_otherwise
from sparsewatch.pipelines.tables.values import as_type, unpacked
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.transforms.codecs.missing import missing_as_null

#: Number of misfitting texts that an error shows.
_SHOWN = 3
#: Types as a job file names them.
_NAMES = {pa.int64(): "int", pa.float64(): "float", pa.string(): "str", pa.bool_(): "bool"}
_NUMBERS = (pa.int64(), pa.float64())


@dataclass(frozen=True, slots=True)
class TypedPart:
    """A CSV whose texts become values."""

    text: CsvPart
    schema: pa.Schema
    #: Most rows of a batch, and of the file; all if None.
    rows: int
    most_rows: int | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.text.path

    def pieces(self, rejected: Rejected, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Batches of at most `rows` rows; a record with another number of fields is rejected.

        Raises:
            SchemaError: If the file is damaged, or a value is not of its column's type.
        """
        return gather(read_ahead(self._typed(rejected, progress)), self.rows)

    def _typed(self, rejected: Rejected, progress: Progress) -> Generator[pa.RecordBatch, None, None]:
        convert = converter(self.path)
        for piece in head(self.text.pieces(rejected, progress), self.most_rows):
            columns = [convert(piece.column(field.name), field) for field in self.schema]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)


def converter(path: Path, reading: Reading = PLAIN, moments: TimeFormat = "epoch_ms") -> Convert:
    """A function that converts the columns of a file to those of a schema.

    Args:
        path: The file, for errors.
        reading: How texts are read.
        moments: How times become integers.
    """
    return partial(_converted, path, reading, moments)


def _converted(path: Path, reading: Reading, moments: TimeFormat, column: Any, field: pa.Field) -> Any:
    try:
        column = unpacked(column, reading.encoding)
        if is_text(column.type):
            column = missing_as_null(column, reading.missing)
        return as_type(column, field.type, moments)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        why = _misfits(column, field.type) if is_text(column.type) else f"got {column.type}: {error}"
        expected = _NAMES.get(field.type, field.type)
        raise SchemaError(f"{path}: column {field.name!r}: expected {expected}, {why}") from error


def _misfits(column: Any, kind: Any) -> str:
    distinct = column.unique().drop_null()
    if kind in _NUMBERS and (why := written_otherwise(distinct)):
        return f"got {why}"
    wrong = [text for text in distinct.to_pylist() if not holds(kind, pa.array([text], column.type))]
    more = f" and {len(wrong) - _SHOWN} more texts" if len(wrong) > _SHOWN else ""
    return f"got {', '.join(map(shown, wrong[:_SHOWN]))}{more}; --missing takes texts that stand for a missing value"

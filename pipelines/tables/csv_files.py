"""CSV and TSV files: their first records, and their rows as text."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv

from sparsewatch.pipelines.tables.columns import expect_columns, expect_names, listed
from sparsewatch.pipelines.tables.rejects import Rejected, Sample, shown
from sparsewatch.pipelines.tables.settings import TextSettings
from sparsewatch.pipelines.tables.streams import Progress, named_errors, open_text
from sparsewatch.schemas.errors import SchemaError

#: Bytes parsed at once: what stays in the processor's cache is parsed at twice the speed of 32 MiB. Wide files are
#: parsed in larger blocks, with room for this many of the longest lines seen, since each block has a cost per column.
_BLOCK_BYTES = 1 << 20
_WIDE_BLOCK_BYTES = 16 << 20
_LINES = 1_024
#: Lines of the longest seen that any block has room for.
_FEWEST_LINES = 16
#: Separators in the order they are tried; of `.tsv` and of `.csv`.
_TSV, _CSV = "\t,;", ",;\t"
#: Bytes read to see the first records, and most bytes they may take.
_HEAD_BYTES = 64 << 10
_MOST_HEAD_BYTES = 16 << 20


class CsvStart(NamedTuple):
    """How a file begins."""

    #: Fields of the first record.
    fields: tuple[str, ...]
    #: Blank lines before it.
    blank_lines: int
    #: Whether it is the only one.
    alone: bool
    #: Characters of the longest line seen.
    longest: int


def read_start(path: Path, delimiter: str = ",", encoding: str | None = None) -> CsvStart:
    """Read the first record of a file.

    Args:
        path: The file.
        delimiter: What separates fields.
        encoding: Of a file without a byte order mark; UTF-8 if None.

    Raises:
        ConfigError: If the file is missing.
        SchemaError: If it is empty, or its first record has no end.
    """
    size = _HEAD_BYTES
    while size <= _MOST_HEAD_BYTES:
        with named_errors(path), open_text(path, encoding=encoding) as stream:
            text = stream.read(size).decode(errors="ignore")
            whole = not stream.read(1)
        if not text.strip("\r\n"):
            raise SchemaError(f"{path}: expected a header and rows, got an empty file")
        if (start := _start(text, delimiter, whole=whole)) is not None:
            return start
        size *= 16
    raise SchemaError(f"{path}: expected the first record to end within {size // 16} bytes; is a quote left open?")


def _start(text: str, delimiter: str, *, whole: bool) -> CsvStart | None:
    """How a text begins; None if its first record may continue after it."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter)
    blank_lines = 0
    try:
        while not (fields := next(reader)):
            blank_lines = reader.line_num
    except (csv.Error, StopIteration):
        return None
    rest = lines.read()
    if not rest and not whole:
        return None
    return CsvStart(tuple(fields), blank_lines, not rest.strip("\r\n"), max(map(len, text.split("\n"))))


@dataclass(frozen=True, slots=True)
class CsvPart:
    """One file whose rows are read as text."""

    path: Path
    #: Its columns, as they lie in the file.
    names: Sequence[str]
    #: Those that are read, in the order of the batches.
    chosen: Sequence[str]
    start: CsvStart
    #: Whether its first record is a header.
    header: bool
    delimiter: str
    symbols: Sequence[str]
    #: Of a file without a byte order mark; UTF-8 if None.
    encoding: str | None = None

    def pieces(self, rejected: Rejected, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Batches of text columns; a record with another number of fields is rejected.

        Raises:
            SchemaError: If the file is damaged, or a record is longer than a block.
        """
        if self.header and self.start.alone:
            return
        longest = self.start.longest
        block = max(_BLOCK_BYTES, min(_WIDE_BLOCK_BYTES, _LINES * longest), _FEWEST_LINES * longest)
        with named_errors(self.path), open_text(self.path, progress, self.encoding) as stream:
            try:
                with pa_csv.open_csv(stream, *self._options(block, self._reject(rejected))) as reader:
                    yield from reader
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise
                raise SchemaError(
                    f"{self.path}: expected records of less than {block} bytes, got a longer one; is a quote left open?"
                ) from error

    def _options(
        self, block: int, reject: Callable[[Any], str]
    ) -> tuple[pa_csv.ReadOptions, pa_csv.ParseOptions, pa_csv.ConvertOptions]:
        # On one thread, which takes no more time in all: only then the reader knows a row's number.
        read = pa_csv.ReadOptions(
            use_threads=False,
            block_size=block,
            column_names=list(self.names),
            skip_rows_after_names=self.start.blank_lines + self.header,
        )
        parse = pa_csv.ParseOptions(
            delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=reject, ignore_empty_lines=True
        )
        convert = pa_csv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(self.names, pa.string()),
            include_columns=list(self.chosen),
            null_values=list(self.symbols),
            strings_can_be_null=bool(self.symbols),
        )
        return read, parse, convert

    def _reject(self, rejected: Rejected) -> Callable[[Any], str]:
        def reject(row: Any) -> str:
            reason = "too few fields" if row.actual_columns < row.expected_columns else "too many fields"
            detail = f"expected {row.expected_columns} fields, got {row.actual_columns}: {shown(row.text)}"
            rejected.add([Sample(self.path, row.number - self.start.blank_lines, reason, detail)], 1)
            return "skip"

        return reject


def csv_part(path: Path, symbols: Sequence[str], encoding: str | None = None) -> CsvPart | None:
    """A file of any columns, all of which are read; None if it is empty.

    Args:
        path: The file, with a header.
        symbols: Texts that stand for the missing value.
        encoding: Of a file without a byte order mark; UTF-8 if None.

    Raises:
        ConfigError: If the file is missing.
        SchemaError: If its first record has no end.
    """
    with named_errors(path), open_text(path, encoding=encoding) as stream:
        if not stream.read(_HEAD_BYTES).strip():
            return None
    start, separator = _started(path, None, encoding)
    names = _names(start.fields)
    return CsvPart(path, names, names, start, header=True, delimiter=separator, symbols=symbols, encoding=encoding)


def _names(fields: Sequence[str]) -> tuple[str, ...]:
    """Names in a header, without blanks around them; a column without a name has that of its place."""
    return tuple(field.strip() or f"column {place}" for place, field in enumerate(fields, 1))


def _started(path: Path, delimiter: str | None, encoding: str | None) -> tuple[CsvStart, str]:
    """How a file begins, and what separates its fields: the first separator of which the first record has any."""
    if delimiter is not None:
        return read_start(path, delimiter, encoding), delimiter
    for separator in _TSV if ".tsv" in path.suffixes else _CSV:
        start = read_start(path, separator, encoding)
        if len(start.fields) > 1:
            return start, separator
    separator = (_TSV if ".tsv" in path.suffixes else _CSV)[0]
    return read_start(path, separator, encoding), separator


def plan_csv(
    paths: Sequence[Path], settings: TextSettings, names: Sequence[str] | None = None, delimiter: str | None = None
) -> list[CsvPart]:
    """Read the first records of files.

    Args:
        paths: The files, in the order they are read.
        settings: How they are read.
        names: Names of the columns, for files that may have no header; None: each file has a header.
        delimiter: What separates fields; None: as the first record shows.

    Returns:
        Parts with the same columns in the same order.

    Raises:
        ConfigError: If a chosen column or a file is missing.
        SchemaError: If a file is empty, has a header only, a name twice or other columns than the first.
    """
    parts: list[CsvPart] = []
    for path in paths:
        start, separator = _started(path, delimiter, settings.reading.encoding)
        header = names is None or _is_header(path, start.fields, names)
        fields = _names(start.fields) if names is None else tuple(names)
        expect_names(path, fields)
        if header and start.alone:
            raise SchemaError(f"{path}: expected rows, got a header only")
        if parts:
            expect_columns(path, fields, parts[0].path, parts[0].names)
        chosen = parts[0].chosen if parts else settings.chosen(fields, path)
        parts.append(
            CsvPart(path, fields, chosen, start, header, separator, settings.reading.missing, settings.reading.encoding)
        )
    return parts


def _is_header(path: Path, fields: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a first record is the header `names`; a record without any of the names is a row."""
    if tuple(fields) == tuple(names):
        return True
    if common := set(fields) & set(names):
        raise SchemaError(
            f"{path}: expected the header {listed(names)} or a row, got {listed(fields)}, "
            f"which shares {listed(sorted(common))}"
        )
    return False

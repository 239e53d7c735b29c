"""Files of JSON lines: which columns they hold, and their rows, decoded as the stream decodes its records."""

import json
import math
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.json as pj

from sparsewatch.pipelines.tables.rejects import SAMPLES, Rejected, Sample, shown
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.pipelines.tables.streams import OnBytes, Progress, named_errors, open_text, whole_lines
from sparsewatch.schemas.errors import NOT_JSON, SchemaError
from sparsewatch.schemas.jobs import COLUMN_NAMES, is_column_name
from sparsewatch.transforms.codecs.json import decode_json
from sparsewatch.transforms.codecs.missing import nulls_for_missing, without_missing_texts
from sparsewatch.transforms.codecs.wrong_cells import wrong_types

_NO_OBJECT = "no JSON object"
_SCALARS: dict[type, Any] = {bool: pa.bool_(), float: pa.float64(), str: pa.string(), type(None): pa.null()}


class Lines(NamedTuple):
    """Lines that are not blank."""

    #: Number of each in the file, from 1.
    numbers: Sequence[int]
    texts: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class JsonPart:
    """One file, read as `schema` says."""

    path: Path
    #: Columns and types that are given.
    schema: pa.Schema
    reading: Reading
    #: Types of the lines, where others are given.
    lines: pa.Schema | None = None

    def pieces(self, rejected: Rejected, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a line that is no JSON object is rejected, a blank line is skipped.

        Raises:
            SchemaError: If the file is damaged, or a value is not of its column's type.
        """
        for lines in read_lines(self.path, self.reading, progress):
            yield self._typed(without_missing_texts(self._rows(lines, rejected), self.reading.missing))

    def _rows(self, lines: Lines, rejected: Rejected) -> pa.RecordBatch:
        schema = self.schema if self.lines is None else self.lines
        # NaN and infinite values among numbers are missing.
        numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
        rows, faults, wrong, *_ = decode_json(lines.texts, schema, numbers)
        for row, code, message in sorted([*faults, *wrong_types(schema, wrong)]):
            if code != "broken_json" and lines.texts[row].lstrip().startswith(b"{"):
                raise SchemaError(f"{self.path}, line {lines.numbers[row]}: {message}")
        for name, cells in wrong.items():
            infinite = sum(isinstance(value, float) and math.isinf(value) for value in cells.values)
            rejected.infinite += Counter({name: infinite} if infinite else {})
        if not faults:
            return rows
        broken = {row for row, _, _ in faults}
        rejected.add([self._sample(lines, row) for row in sorted(broken)[:SAMPLES]], len(broken))
        return rows.filter(pa.array([row not in broken for row in range(rows.num_rows)]))

    def _sample(self, lines: Lines, row: int) -> Sample:
        text = lines.texts[row].decode(errors="replace")
        return Sample(self.path, lines.numbers[row], _NO_OBJECT, f"expected one JSON object, got {shown(text)}")

    def _typed(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows if self.lines is None else rows.cast(self.schema)


class JsonTypes(NamedTuple):
    """Columns of files of JSON lines."""

    #: In the order they first appear, with types that hold all of their values.
    schema: pa.Schema
    #: Columns whose values no type holds, and why.
    wrong: dict[str, str]

    def expect_sound(self, names: Sequence[str]) -> None:
        """Check that each of these columns has a type.

        Raises:
            SchemaError: If not.
        """
        for name in names:
            if name in self.wrong:
                raise SchemaError(self.wrong[name])


def find_json_types(
    paths: Sequence[Path], reading: Reading, rows: int | None = None, on_bytes: OnBytes | None = None
) -> JsonTypes:
    """Find the types of the columns of files.

    Args:
        paths: Files of JSON lines.
        reading: How texts are read.
        rows: Rows of each file that are looked at; all if None.
        on_bytes: Called with the bytes read so far and in all.

    Raises:
        SchemaError: If a file is damaged or holds no object.
    """
    looked, progress = LookedOver(), Progress(paths)
    for path in paths:
        seen = 0
        with closing(read_lines(path, reading, progress)) as chunks:
            for lines in chunks:
                seen += looked.add(path, lines)
                if on_bytes is not None:
                    on_bytes(progress.done, progress.total)
                if rows is not None and seen >= rows:
                    break
        if not seen:
            raise SchemaError(f"{path}: expected rows, got no JSON object")
    for name in looked.types:
        if not is_column_name(name):
            raise SchemaError(f"{paths[0]}: expected names of columns {COLUMN_NAMES}, got {name!r}")
    return JsonTypes(pa.schema([(name, _settled(kind)) for name, kind in looked.types.items()]), looked.wrong)


def read_lines(path: Path, reading: Reading, progress: Progress) -> Generator[Lines, None, None]:
    """The lines of a file, a few megabytes at a time.

    Args:
        path: The file.
        reading: How texts are read.
        progress: Counts the bytes read.

    Raises:
        SchemaError: If the file is damaged.
    """
    with named_errors(path), open_text(path, progress, reading.encoding) as stream:
        yield from _lines(stream, path, reading.missing)


def _lines(stream: pa.NativeFile, path: Path, missing: Sequence[str]) -> Iterator[Lines]:
    first = 1
    for chunk in whole_lines(stream, path):
        texts = nulls_for_missing(chunk, missing).split(b"\n")[:-1]
        numbers = range(first, first + len(texts))
        first += len(texts)
        if all(texts) and b"\r" not in chunk:
            yield Lines(numbers, texts)
        elif filled := [(number, text) for number, text in zip(numbers, texts, strict=True) if text.strip()]:
            yield Lines([number for number, _ in filled], [text for _, text in filled])


class LookedOver:
    """Types of the columns of JSON objects, as far as they were seen."""

    def __init__(self) -> None:
        #: In the order in which the columns first appear; null where all values are null.
        self.types: dict[str, pa.DataType] = {}
        #: Columns whose values no type holds, and why; their type is that of the values before.
        self.wrong: dict[str, str] = {}

    def add(self, name: Path | str, lines: Lines) -> int:
        """Add lines; returns how many of them are objects.

        Args:
            name: What holds them, for messages.
            lines: The lines.
        """
        if self._add_all(lines.texts):
            return len(lines.texts)
        decoded = [(number, text, json_object(text)) for number, text in zip(*lines, strict=True)]
        objects = [(number, text, values) for number, text, values in decoded if values is not None]
        # Line by line, to find the value that is of another kind.
        if len(objects) == len(decoded) or not self._add_all([text for _, text, _ in objects]):
            for number, _, values in objects:
                self._add_values(f"{name}, line {number}", values)
        return len(objects)

    def add_types(self, name: Path | str, types: Mapping[str, pa.DataType]) -> None:
        """Add what is known without looking at values, as of records of Arrow."""
        for column, kind in types.items():
            try:
                self.types[column] = _wider(self.types.get(column), kind)
            except _KindsError:
                expected = f"expected values of one kind, {self.types[column]} before, got {kind}"
                self.wrong.setdefault(column, f"{name}: column {column!r}: {expected}")

    def _add_all(self, texts: Sequence[bytes]) -> bool:
        lines = b"\n".join(texts)
        # Arrow crashes where a line begins with another value, such as null.
        if not _are_objects(lines, texts):
            return False
        try:
            schema = _schema_of(lines)
            wider = {f.name: _wider(self.types.get(f.name), _plain(f.type)) for f in schema if f.name not in self.wrong}
        except (pa.ArrowInvalid, _KindsError):
            return False
        self.types.update(wider)
        return True

    def _add_values(self, where: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            try:
                self.types[name] = _wider(self.types.get(name), _type_of(value))
            except (_KindsError, pa.ArrowException, OverflowError):
                known = self.types.setdefault(name, pa.null())
                expected = f"expected values of one kind, {known} in the lines before, got {shown(repr(value))}"
                self.wrong.setdefault(name, f"{where}: column {name!r}: {expected}")


def json_object(text: bytes) -> dict[str, Any] | None:
    """The object that a text is, NaN and infinite numbers included; None if it is none."""
    try:
        found: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except NOT_JSON:
        return _with_infinities(text)
    return found


def _with_infinities(text: bytes) -> dict[str, Any] | None:
    """An object in which a number may be larger than the largest float, or NaN."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _type_of(value: Any) -> pa.DataType:
    return _SCALARS.get(type(value)) or _plain(pa.array([value]).type)


def _are_objects(lines: bytes, texts: Sequence[bytes]) -> bool:
    """Whether each line begins and ends as an object does."""
    if lines[:1] == b"{" and lines[-1:] == b"}" and lines.count(b"}\n{") == len(texts) - 1:
        return True
    return all(text.startswith(b"{") and text.endswith(b"}") for text in map(bytes.strip, texts))


def _schema_of(lines: bytes) -> pa.Schema:
    options = pj.ReadOptions(block_size=len(lines) + 1, use_threads=False)
    return pj.read_json(pa.py_buffer(lines), read_options=options).schema


class _KindsError(Exception):
    """No type holds the values of both."""


def _plain(kind: pa.DataType) -> pa.DataType:
    """Text stays text, whatever a reader sees in it."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    return pa.list_(_plain(kind.value_type)) if pa.types.is_list(kind) else kind


def _settled(kind: pa.DataType) -> pa.DataType:
    """A type of nulls only becomes text."""
    if pa.types.is_list(kind):
        return pa.list_(_settled(kind.value_type))
    return pa.string() if pa.types.is_null(kind) else kind


def _wider(known: pa.DataType | None, other: pa.DataType) -> pa.DataType:
    """The type that holds the values of both."""
    if known is None or known == other or pa.types.is_null(known):
        return other
    if pa.types.is_null(other):
        return known
    if {known, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(known) and pa.types.is_list(other):
        return pa.list_(_wider(known.value_type, other.value_type))
    raise _KindsError

"""Lines of Vowpal Wabbit as the public `outrank` takes them: `label |A A_red |B B_x B_y`.

A namespace is a column, named by the map `id,name[,f32]`; its tokens, joined by "-", are the value, whose first two
characters (or as many as the map's `_namespace_skip_prefix` says) are dropped. An absent namespace is the missing
value. If a line has a namespace twice, the last counts.

Lines are cut by positions of their delimiters, all lines of a chunk at once.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.pipelines.rank.inputs.settings import InputSettings
from sparsewatch.pipelines.tables.columns import expect_names
from sparsewatch.pipelines.tables.rejects import SAMPLES, Rejected, Sample, shown
from sparsewatch.pipelines.tables.streams import Progress, expect_text, named_errors, open_text, whole_lines
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.missing import missing_as_null

LABEL = "label"
#: Characters dropped from a value by default.
SKIP_PREFIX = 2
#: Cells, of lines and columns, that are filled at once.
_CELLS = 4 << 20
_SPACE, _BAR, _NEWLINE = b" |\n"
_DASHES = bytes.maketrans(b" ", b"-")
#: Bytes of a character of UTF-8 by its first byte.
_WIDTHS = np.repeat([1, 2, 3, 4], [192, 32, 16, 16])
#: Each character that is skipped takes a step over all values.
_SKIP = re.compile(r"\d{1,3}", re.ASCII)
_BLANKS = re.compile(rb"[ \t\r]+")
_BLANKS_AFTER = re.compile(rb"([|\n]) ")

Positions = NDArray[np.int64]


class Namespaces(NamedTuple):
    """Content of a map of namespaces."""

    #: Column of each namespace, by id.
    names: Mapping[str, str]
    numeric: frozenset[str]
    skip: int


def read_namespaces(path: Path, encoding: str | None = None) -> Namespaces:
    """Read a map: lines `id,name`, `id,name,f32` or `_namespace_skip_prefix,number`.

    Args:
        path: The file.
        encoding: Of a file without a byte order mark; UTF-8 if None.

    Raises:
        ConfigError: If it is missing.
        SchemaError: If a line is of another form, or a column comes twice.
    """
    with named_errors(path), open_text(path, encoding=encoding) as stream:
        lines = stream.read().decode().splitlines()
    names: dict[str, str] = {}
    numeric: set[str] = set()
    skip = SKIP_PREFIX
    for number, line in enumerate(lines, 1):
        fields = [field.strip() for field in line.split(",")]
        if fields[0] == "_namespace_skip_prefix":
            if len(fields) != 2 or not _SKIP.fullmatch(fields[1]):
                message = f"expected _namespace_skip_prefix,number of at most 3 digits, got {shown(line)}"
                raise SchemaError(f"{path}, line {number}: {message}")
            skip = int(fields[1])
        elif len(fields) in (2, 3) and all(fields[:2]) and fields[0] not in names:
            names[fields[0]] = fields[1]
            numeric.update(fields[1:2] if fields[2:] == ["f32"] else [])
        elif line.strip():
            raise SchemaError(f"{path}, line {number}: expected a new id,name or id,name,f32, got {shown(line)}")
    if not names:
        raise SchemaError(f"{path}: expected lines id,name or id,name,f32, got none")
    expect_names(path, [LABEL, *names.values()])
    return Namespaces(names, frozenset(numeric), skip)


@dataclass(frozen=True, slots=True)
class VwPart:
    """One file of lines."""

    path: Path
    namespaces: Namespaces
    #: Columns that are read, in the order of the batches.
    chosen: Sequence[str]
    symbols: Sequence[str]
    encoding: str | None = None

    def pieces(self, rejected: Rejected, progress: Progress) -> Iterator[pa.RecordBatch]:
        """Batches of text columns; a line without a label or without a namespace is rejected, a blank line is skipped.

        Raises:
            SchemaError: If the file is damaged, or a line has no end.
        """
        first = 1
        most_lines = max(1, _CELLS // (len(self.namespaces.names) + 1))
        with named_errors(self.path), open_text(self.path, progress, self.encoding) as stream:
            for lines in (part for chunk in whole_lines(stream, self.path) for part in _split(chunk, most_lines)):
                cut = cut_lines(lines)
                yield self._table(cut, self._usable(cut, first, rejected), first, rejected)
                first += cut.heads.size

    def _usable(self, cut: "Cut", first: int, rejected: Rejected) -> NDArray[np.int64]:
        """Usable lines; the others are counted as rejected, except blank lines."""
        nameless = cut.starts[cut.heads] == cut.name_ends[cut.heads]
        lonely = np.diff(cut.heads, append=cut.starts.size) == 1
        for reason, wrong in (("no label", nameless & ~lonely), ("no namespace", lonely & ~nameless)):
            if wrong.any():
                rejected.add(self._samples(cut, np.flatnonzero(wrong), first, reason), int(wrong.sum()))
        return np.flatnonzero(~(nameless | lonely))

    def _table(self, cut: "Cut", usable: NDArray[np.int64], first: int, rejected: Rejected) -> pa.RecordBatch:
        """Columns of the usable lines; `first` is the number of the first line."""
        names = slices(cut.data, cut.starts, cut.name_ends)
        column = self._columns_of(names, cut)
        unknown = np.intersect1d(cut.lines[column < 0], usable)
        if unknown.size:
            rejected.ignore(self._samples(cut, unknown, first, "unknown namespace"), unknown.size)
        # Row -1 takes labels and unknown namespaces. Of parts of one line and column the last is written last.
        place = np.full((len(self.namespaces.names) + 1, cut.heads.size), -1, np.int64)
        place[column, cut.lines] = np.arange(column.size)
        values = slices(cut.data.translate(_DASHES), value_starts(cut, self.namespaces.skip), cut.ends)
        columns = {LABEL: names.take(pa.array(cut.heads[usable]))}
        for at, name in zip(place, self.namespaces.names.values(), strict=False):
            if name in self.chosen:
                columns[name] = values.take(pa.array(at[usable], mask=at[usable] < 0))
        texts = [missing_as_null(columns[name].view(pa.string()), self.symbols) for name in self.chosen]
        return pa.RecordBatch.from_arrays(texts, list(self.chosen))

    def _columns_of(self, names: Any, cut: "Cut") -> NDArray[np.int32]:
        """Place of each part's namespace in the map, shape (n_parts,); -1 if unknown, the map's length for labels."""
        ids = pa.array([name.encode() for name in self.namespaces.names], pa.binary())
        column: NDArray[np.int32] = pc.index_in(names, ids).fill_null(-1).to_numpy().copy()
        column[cut.heads] = len(ids)
        return column

    def _samples(self, cut: "Cut", lines: NDArray[np.int64], first: int, reason: str) -> list[Sample]:
        return [
            Sample(
                self.path,
                first + line,
                reason,
                f"expected `label |A A_value |B B_value` with namespaces of the map, got {shown(cut.text(line))}",
            )
            for line in lines[:SAMPLES].tolist()
        ]


def plan_vw(paths: Sequence[Path], namespaces: Path, settings: InputSettings) -> tuple[list[VwPart], frozenset[str]]:
    """Read the map of namespaces.

    Args:
        paths: Files of lines, in the order they are read.
        namespaces: The map.
        settings: How they are read.

    Returns:
        Parts with the same columns in the same order, and the columns declared as numbers.

    Raises:
        ConfigError: If the map or a chosen column is missing.
        SchemaError: If the map cannot be used.
    """
    known = read_namespaces(namespaces, settings.reading.encoding)
    for path in paths:
        expect_text(path, settings.reading.encoding)
    chosen = settings.chosen([LABEL, *known.names.values()], namespaces)
    parts = [VwPart(path, known, chosen, settings.reading.missing, settings.reading.encoding) for path in paths]
    return parts, known.numeric & set(chosen)


class Cut(NamedTuple):
    """Lines cut at the bars; parts are numbered through all lines."""

    data: bytes
    #: Where a part starts, where its first word and where it ends, shape (n_parts,).
    starts: Positions
    name_ends: Positions
    ends: Positions
    #: The line of each part, shape (n_parts,), and the first part of each line, shape (n_lines,).
    lines: Positions
    heads: Positions

    def text(self, line: int) -> str:
        """One line."""
        start = int(self.starts[self.heads[line]])
        return self.data[start : self.data.index(b"\n", start)].decode()


def cut_lines(data: bytes) -> Cut:
    """Cut lines of text that ends with a line break."""
    text, cuts = _positions(data)
    if b"\t" in data or b"\r" in data or (text[cuts[:-1] + 1] == _SPACE).any() or data[0] == _SPACE:
        data = _BLANKS_AFTER.sub(rb"\1", _BLANKS.sub(b" ", data)).removeprefix(b" ")
        text, cuts = _positions(data)
    kinds = text[cuts]
    closing = np.flatnonzero(kinds != _SPACE)
    ends = cuts[closing]
    starts = np.append(0, ends[:-1] + 1)
    name_ends = cuts[np.append(0, closing[:-1] + 1)]
    line_ends = kinds[closing] == _NEWLINE
    heads = np.append(0, np.flatnonzero(line_ends)[:-1] + 1)
    lines = np.append(0, np.cumsum(line_ends)[:-1])
    ends = ends - ((text[ends - 1] == _SPACE) & (ends > starts))
    return Cut(data, starts, name_ends, ends, lines, heads)


def _positions(data: bytes) -> tuple[NDArray[np.uint8], Positions]:
    """The bytes, and where the blanks, bars and line breaks are."""
    text = np.frombuffer(data, np.uint8)
    return text, np.flatnonzero((text == _SPACE) | (text == _BAR) | (text == _NEWLINE))


def value_starts(cut: Cut, skip: int) -> Positions:
    """Where the values of parts start, `skip` characters behind their names, shape (n_parts,)."""
    starts: Positions = np.minimum(cut.name_ends + 1, cut.ends)
    if cut.data.isascii():
        skip, starts = 0, np.minimum(starts + skip, cut.ends)
    text = np.frombuffer(cut.data, np.uint8)
    for _ in range(skip):
        starts = np.minimum(starts + _WIDTHS[text[starts]], cut.ends)
    return starts


def slices(data: bytes, starts: Positions, ends: Positions) -> Any:
    """Bytes of ascending slices that do not overlap, as a binary array of shape (n_slices,)."""
    offsets = np.column_stack([starts, ends]).astype(np.int32)
    between = pa.BinaryArray.from_buffers(
        pa.binary(), offsets.size - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
    return between.take(pa.array(np.arange(0, offsets.size, 2)))


def _split(lines: bytes, most_lines: int) -> Iterator[bytes]:
    """At most `most_lines` lines each."""
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _NEWLINE)[most_lines - 1 :: most_lines] + 1
    start = 0
    for end in [*ends.tolist(), len(lines)]:
        if end > start:
            yield lines[start:end]
        start = end

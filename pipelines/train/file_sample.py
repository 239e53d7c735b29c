"""A uniform sample of the rows of files, which machines can gather separately: `sparsewatch train rows`.

A row is identified by its file and its place in it, and sampled if the hash of both is among the lowest
(`sparsewatch.detectors.counts.row_sample`). So neither the order of files nor the size of pieces nor the machine that
read a file matters, and samples of different files merge to the sample of all. A file is identified by its name,
without folder and suffix, and its first rows.
"""

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.artefacts.atomic import write_file
from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.pipelines.tables.formats import unpacked_name
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.stored import Format

FORMAT = Format("a sealed sample")
#: Ending of a sealed sample's name.
SUFFIX = ".sample"
#: First rows that distinguish files of the same name.
_KNOWN_BY = 16
#: Rows whose identities are computed at once.
_AT_ONCE = 1 << 20


class SampledFile(msgspec.Struct, frozen=True):
    """A file that was read."""

    name: str
    rows: int
    #: Hash of its name and its first rows.
    key: int


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    seed: int
    files: tuple[SampledFile, ...]
    booleans: dict[str, bool]
    sample: bytes


class _Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int = FORMAT.version
    digest: bytes
    content: bytes


class FileSample:
    """A sample of the rows of files.

    Args:
        columns: Columns of the sample.
        capacity: Most rows of the sample.
        seed: Of the hash.
    """

    def __init__(self, columns: Sequence[str], capacity: int, seed: int) -> None:
        self.seed = seed
        self.files: tuple[SampledFile, ...] = ()
        self._sample = RowSample(columns, capacity)
        #: Whether a column, once its type was seen, holds booleans, which the sample holds as integers.
        self._booleans: dict[str, bool] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the sample."""
        return self._sample.columns

    @property
    def capacity(self) -> int:
        """Most rows of the sample."""
        return self._sample.capacity

    @property
    def rows_seen(self) -> int:
        """Rows of all files."""
        return self._sample.rows_seen

    @property
    def twice(self) -> list[str]:
        """Names of files that seem to have been read twice: same name, same first rows, same number of rows."""
        marks = [(file.key, file.rows) for file in self.files]
        return sorted({file.name for file, mark in zip(self.files, marks, strict=True) if marks.count(mark) > 1})

    def add_file(
        self, file: Path, pieces: Iterable[pa.RecordBatch], on_rows: Callable[[int], None] | None = None
    ) -> None:
        """Add the rows of a file.

        Args:
            file: The file.
            pieces: Rows with the columns, in the order of the file.
            on_rows: Called with the rows of each piece.

        Raises:
            SchemaError: If a column is of a type that samples do not hold, or of another kind than in an earlier file.
        """
        key, pieces = _recognised(file, (_held(piece) for piece in pieces))
        place = row_identities(self.seed, key, sum(known.key == key for known in self.files))[0]
        read = 0
        for piece in pieces:
            try:
                self._note_booleans(piece.schema)
                self._sample.update(piece, row_identities(place, np.arange(read, read + piece.num_rows)))
            except SchemaError as error:
                raise SchemaError(f"{file}: {error}") from error
            read += piece.num_rows
            if on_rows is not None:
                on_rows(piece.num_rows)
        self.files = (*self.files, SampledFile(file.name, read, key))

    def merge(self, other: "FileSample") -> None:
        """Add the rows of `other`, which is not changed.

        Raises:
            StateError: If it has other columns, another capacity or another seed.
            SchemaError: If a column is of another kind there.
        """
        if self.seed != other.seed:
            raise StateError(f"expected a sample of seed {self.seed} to merge, got one of seed {other.seed}")
        self._expect_booleans(other._booleans)
        self._sample.merge(other._sample)
        self._booleans |= other._booleans
        self.files += other.files

    def table(self) -> pa.Table:
        """The sampled rows, `min(capacity, rows_seen)`, by ascending hash.

        Raises:
            ConfigError: If there are none.
        """
        if not self.rows_seen:
            raise ConfigError("expected rows to train on, got none")
        rows = self._sample.rows()
        columns = [
            column.cast(pa.bool_()) if self._booleans.get(name) else column
            for name, column in zip(rows.schema.names, rows.columns, strict=True)
        ]
        return pa.table(columns, names=rows.schema.names)

    def places(self) -> NDArray[np.int64]:
        """Place of each row of `table` among the rows of all files, files by name and their numbers; shape (rows,).

        The identities of all rows are computed again: a sample need not hold its places.
        """
        identities = self._sample.identities()
        places = np.full(len(identities), self.rows_seen)
        first, known = 0, Counter[int]()
        for file in sorted(self.files, key=lambda file: (_in_order(file.name), file.key)):
            begin = row_identities(self.seed, file.key, known[file.key])[0]
            known[file.key] += 1
            for start in range(0, file.rows, _AT_ONCE):
                rows = np.arange(start, min(start + _AT_ONCE, file.rows))
                own = row_identities(begin, rows)
                at = np.minimum(np.searchsorted(identities, own), len(identities) - 1)
                is_sampled = identities[at] == own
                places[at[is_sampled]] = first + rows[is_sampled]
            first += file.rows
        return places

    def in_order(self) -> pa.Table:
        """The rows of `table` in the order of the files by name, and of the rows in each."""
        return self.table().take(pa.array(np.argsort(self.places(), kind="stable")))

    def to_bytes(self) -> bytes:
        """The sample with a digest; equal samples give equal bytes."""
        content = msgspec.msgpack.encode(
            _Content(
                seed=self.seed,
                files=tuple(sorted(self.files, key=lambda file: (file.name, file.key, file.rows))),
                booleans=dict(sorted(self._booleans.items())),
                sample=self._sample.to_bytes(),
            )
        )
        return msgspec.msgpack.encode(_Sealed(digest=hashlib.sha256(content).digest(), content=content))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The sample that `to_bytes` wrote.

        Raises:
            StateError: If the bytes are damaged or of another version.
        """
        sealed = FORMAT.unpack(data, _Sealed)
        if hashlib.sha256(sealed.content).digest() != sealed.digest:
            raise StateError("expected a sealed sample, its digest differs: the bytes are damaged")
        content = FORMAT.unpack(sealed.content, _Content)
        rows = RowSample.from_bytes(content.sample)
        sample = cls(rows.columns, rows.capacity, content.seed)
        sample._sample, sample.files, sample._booleans = rows, content.files, content.booleans
        return sample

    def _note_booleans(self, schema: pa.Schema) -> None:
        kinds = {name: schema.field(name).type for name in self.columns if name in schema.names}
        found = {name: pa.types.is_boolean(kind) for name, kind in kinds.items() if not pa.types.is_null(kind)}
        self._expect_booleans(found)
        self._booleans |= found

    def _expect_booleans(self, found: dict[str, bool]) -> None:
        for name, boolean in found.items():
            if self._booleans.get(name, boolean) != boolean:
                raise SchemaError(f"column {name!r}: expected all files to hold booleans or none, got both")


def write_sample(sample: FileSample, path: Path) -> None:
    """Write a sealed sample, whole or not at all.

    Raises:
        ConfigError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, sample.to_bytes())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def read_sample(path: Path) -> FileSample:
    """A sealed sample.

    Raises:
        ConfigError: If the file cannot be read.
        StateError: If it holds no sealed sample, or a damaged one.
    """
    try:
        return FileSample.from_bytes(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except StateError as error:
        raise StateError(f"{path}: {error}") from error


def _recognised(file: Path, pieces: Iterator[pa.RecordBatch]) -> tuple[int, Iterator[pa.RecordBatch]]:
    """The file's key, and all its pieces."""
    head: list[pa.RecordBatch] = []
    first: list[dict[str, Any]] = []
    while len(first) < _KNOWN_BY and (piece := next(pieces, None)) is not None:
        head.append(piece)
        first += piece.slice(0, _KNOWN_BY - len(first)).to_pylist()
    digest = hashlib.sha256(repr((Path(unpacked_name(file)).stem, first)).encode()).digest()
    return int.from_bytes(digest[:8]), itertools.chain(head, pieces)


def _in_order(name: str) -> list[tuple[int, str]]:
    """Sort key of a name: numbers in it count as numbers.

    >>> sorted(["day10", "day9"], key=_in_order)
    ['day9', 'day10']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _held(piece: pa.RecordBatch) -> pa.RecordBatch:
    """Convert numbers of types that a sample does not hold to floats."""
    fields = list(_fields(piece.schema))
    return piece if fields == list(piece.schema) else piece.cast(pa.schema(fields), safe=False)


def _fields(schema: pa.Schema) -> Iterator[pa.Field]:
    for field in schema:
        wide = pa.types.is_decimal(field.type) or field.type == pa.uint64()
        yield pa.field(field.name, pa.float64()) if wide else field

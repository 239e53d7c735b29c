"""Stored bytes: every format in which state outlives a process has a name and a version, and other bytes are refused.

A format is a constant of the module that writes it, so that one search for `Format(` lists them all; each has a golden
file (`tests/golden`), which later releases read, or refuse by name. MessagePack and JSON for structs, Arrow IPC for
columns: no format runs code.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import msgspec
import pyarrow as pa

from sparsewatch.schemas.errors import SparsewatchError, StateError

Struct = TypeVar("Struct", bound=msgspec.Struct)
#: What was read, or a part of it that is not copied.
Bytes = bytes | memoryview

#: What reading bytes of another origin raises: the decoders' own errors, those of parts that do not fit together, and
#: of sizes that no memory holds.
UNREADABLE = (
    msgspec.MsgspecError,
    pa.ArrowException,
    SparsewatchError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
    OSError,
    StopIteration,
)


class _Version(msgspec.Struct):
    version: int


@dataclass(frozen=True, slots=True)
class Format:
    """One stored format."""

    #: How messages name it: `row scores`, `a block`.
    what: str
    #: Version of the layout; a field added with a default does not change it.
    version: int = 1

    def unpack(self, data: bytes, kind: type[Struct]) -> Struct:
        """A struct from MessagePack; strict about types.

        Args:
            data: The bytes.
            kind: A struct; if it has a field `version`, that is checked first.

        Raises:
            StateError: If the bytes are no such struct, or of another version.
        """
        return self._decoded(msgspec.msgpack.decode, data, kind)

    def unpack_list(self, data: Bytes, kind: type[Struct]) -> list[Struct]:
        """A list of structs without versions, otherwise as `unpack`.

        Raises:
            StateError: As for `unpack`.
        """
        with self.reading(data):
            found: list[Struct] = msgspec.msgpack.decode(data, type=list[kind])  # type: ignore[valid-type]
        return found

    def parse(self, data: bytes, kind: type[Struct]) -> Struct:
        """A struct from JSON, otherwise as `unpack`.

        Raises:
            StateError: As for `unpack`.
        """
        return self._decoded(msgspec.json.decode, data, kind)

    @contextmanager
    def reading(self, data: Bytes) -> Iterator[None]:
        """Any error within means that `data` is not of this format: it becomes a `StateError` that names the format.

        Raises:
            StateError: Instead of the error raised within; a `StateError` passes as it is.
        """
        try:
            yield
        except StateError:
            raise
        except UNREADABLE as error:
            raise self.other_bytes(data, error) from error

    def other_version(self, found: object) -> StateError:
        """The error for bytes of another version."""
        return StateError(f"expected {self.what} of version {self.version}, got {found!r}")

    def other_bytes(self, data: Bytes, why: object) -> StateError:
        """The error for bytes that are not of this format and version."""
        return StateError(
            f"expected {self.what}, got {len(data)} other bytes (this release reads version {self.version}): {why}"
        )

    def _decoded(self, decode: Callable[..., Any], data: bytes, kind: type[Struct]) -> Struct:
        try:
            if "version" in kind.__struct_fields__:
                found = decode(data, type=_Version).version
                if found != self.version:
                    raise self.other_version(found)
            read: Struct = decode(data, type=kind)
        except StateError:
            raise
        except UNREADABLE as error:
            raise self.other_bytes(data, error) from error
        return read


class StoredStruct(msgspec.Struct, frozen=True, array_like=True):
    """A struct that is stored as MessagePack; a kind adds fields and names its format."""

    stored: ClassVar[Format]

    def to_bytes(self) -> bytes:
        """As bytes; equal structs give equal bytes."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`.

        Raises:
            StateError: If the bytes are no such struct.
        """
        return cls.stored.unpack(data, cls)


def table_to_bytes(rows: pa.RecordBatch | pa.Table, *, compression: str | None = None) -> bytes:
    """Columns as one Arrow IPC stream; of a slice, only its own rows.

    Args:
        rows: With their schema's metadata.
        compression: `lz4`, `zstd` or none.
    """
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, rows.schema, options=options) as stream:
        stream.write(rows)
    return bytes(sink.getvalue())


def table_from_bytes(data: Bytes) -> pa.Table:
    """All rows of `table_to_bytes`; other bytes raise errors of Arrow or Python, see `Format.reading`."""
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        return _sound(stream.read_all())


def batch_from_bytes(data: Bytes) -> pa.RecordBatch:
    """The first record batch of `table_to_bytes`; other bytes as for `table_from_bytes`."""
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        return _sound(stream.read_next_batch())


def _sound(rows: Any) -> Any:
    # Arrow believes what a buffer says of others: the first use of damaged rows would end the process.
    rows.validate(full=True)
    return rows

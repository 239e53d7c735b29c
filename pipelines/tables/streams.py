"""Text files as streams of UTF-8, whatever packed them, and how far they are read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from sparsewatch.pipelines.tables.encodings import ToUtf8, fault_in
from sparsewatch.schemas.errors import ConfigError, SchemaError

#: Endings that say how a file is packed; its content is recognised by its first bytes.
PACKED = (".gz", ".zst")
_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
#: Bytes of lines read at once, and most bytes of a line.
_CHUNK_BYTES = 2 << 20
_MOST_LINE_BYTES = 64 << 20


#: Called with the bytes read so far and in all, as stored on disk.
OnBytes = Callable[[int, int], None]


class Progress:
    """Bytes read of all files, as stored on disk."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.total = sum(path.stat().st_size for path in paths)
        self._before = 0
        self._file: pa.NativeFile | None = None

    def clear(self) -> None:
        """Start again."""
        self._before, self._file = 0, None

    def follow(self, file: pa.NativeFile) -> None:
        """Count the bytes read of `file` from now on."""
        self._file = file

    def add(self, size: int) -> None:
        """Add `size` bytes; the followed file is done."""
        self._file = None
        self._before += size

    @property
    def done(self) -> int:
        """Bytes read; may be asked from any thread."""
        file = self._file
        try:
            return self._before + (file.tell() if file is not None else 0)
        except ValueError:  # closed in between
            return self._before


def codec_of(path: Path) -> str | None:
    """Compression of a file, by its first bytes; None without."""
    with path.open("rb") as file:
        magic = file.read(4)
    return _CODECS.get(magic) or _CODECS.get(magic[:2])


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Errors of Arrow and the system about a file, as a SchemaError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: {path}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} cannot be read: {error}") from error


@contextmanager
def open_text(path: Path, progress: Progress | None = None, encoding: str | None = None) -> Iterator[pa.NativeFile]:
    """A file's text as UTF-8, unpacked (gzip, zstd), without a byte order mark, with a line break at its end.

    Reading raises a SchemaError at a byte that is not of the encoding.

    Args:
        path: The file.
        progress: Counts the bytes read.
        encoding: Of a file without a byte order mark; UTF-8 if None.
    """
    with open_bytes(path, progress) as unpacked:
        yield pa.TransformInputStream(unpacked, ToUtf8(encoding, lambda: _wrong_byte(path, encoding)))


def _wrong_byte(path: Path, encoding: str | None) -> SchemaError:
    with open_bytes(path) as stream:
        return SchemaError(f"{path}, {fault_in(lambda: bytes(stream.read(_CHUNK_BYTES)), encoding)}")


@contextmanager
def open_bytes(path: Path, progress: Progress | None = None) -> Iterator[pa.NativeFile]:
    """A file's bytes, unpacked (gzip, zstd).

    Args:
        path: The file.
        progress: Counts the bytes read.
    """
    codec = codec_of(path)
    with pa.OSFile(str(path)) as file:
        if progress is not None:
            progress.follow(file)
        yield pa.CompressedInputStream(file, codec) if codec else file
        size = file.size()
    if progress is not None:
        progress.add(size)


def expect_text(path: Path, encoding: str | None = None) -> None:
    """Check that a file holds text.

    Args:
        path: The file.
        encoding: As in `open_text`.

    Raises:
        ConfigError: If it is missing.
        SchemaError: If it holds none.
    """
    with named_errors(path), open_text(path, encoding=encoding) as stream:
        while text := stream.read(64 << 10):
            if text.strip():
                return
    raise SchemaError(f"{path}: expected rows, got an empty file")


def whole_lines(stream: pa.NativeFile, path: Path) -> Iterator[bytes]:
    """Text in chunks of whole lines.

    Raises:
        SchemaError: If a line has no end.
    """
    rest = b""
    while data := stream.read(_CHUNK_BYTES):
        rest += data
        end = rest.rfind(b"\n") + 1
        if end:
            yield rest[:end]
            rest = rest[end:]
        if len(rest) > _MOST_LINE_BYTES:
            raise SchemaError(f"{path}: expected lines of less than {_MOST_LINE_BYTES} bytes, got a longer one")

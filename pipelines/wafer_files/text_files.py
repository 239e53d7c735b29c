"""Text files in pieces of whole lines, plain or compressed (gzip, zstd), in bounded memory."""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from sparsewatch.pipelines.tables.streams import open_bytes
from sparsewatch.pipelines.wafer_files.faults import WaferFileError

#: Bytes read at once.
PIECE_BYTES = 1 << 20
#: Longest accepted line, within a piece.
LONGEST_LINE = 1 << 20
#: Most text of one file, unpacked: a small file may claim any number of bytes.
MOST_BYTES = 4 << 30

_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_BOM = b"\xef\xbb\xbf"
_DAMAGED = (OSError, pa.ArrowException)


def read_start(path: Path, size: int = 4096) -> bytes:
    """First bytes of a file, unpacked.

    Raises:
        WaferFileError: If it cannot be read.
    """
    try:
        with open_bytes(path) as stream:
            return bytes(stream.read(size)).removeprefix(_BOM)
    except _DAMAGED as error:
        raise WaferFileError("unreadable", path, f"expected a readable file: {error}") from error


def read_pieces(path: Path, longest_line: int = LONGEST_LINE) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about `PIECE_BYTES` at once.

    Args:
        path: The file; gzip and zstd are recognised by their first bytes.
        longest_line: Bytes of the longest accepted line.

    Yields:
        Number of the first line, from 1, and the lines' bytes. An end-of-file character of DOS is left out.

    Raises:
        WaferFileError: `unreadable`, `not_text` or `too_large`.
    """
    line, total, rest = 1, 0, b""
    for raw in _raw_pieces(path):
        total += len(raw)
        if total > MOST_BYTES:
            raise WaferFileError("too_large", path, f"expected at most {MOST_BYTES} bytes of text, got more", line)
        text = rest + raw
        cut = text.rfind(b"\n") + 1
        whole, rest = text[:cut], text[cut:]
        if len(rest) > longest_line:
            shown = f"expected lines of at most {longest_line} bytes, got a longer one"
            raise WaferFileError("too_large", path, shown, line + whole.count(b"\n"))
        if whole:
            yield line, _checked(path, line, whole)
            line += whole.count(b"\n")
    if rest := rest.rstrip(b"\x1a"):
        yield line, _checked(path, line, rest)


def _raw_pieces(path: Path) -> Iterator[bytes]:
    try:
        with open_bytes(path) as stream:
            yield bytes(stream.read(PIECE_BYTES)).removeprefix(_BOM)
            while piece := stream.read(PIECE_BYTES):
                yield bytes(piece)
    except _DAMAGED as error:
        raise WaferFileError("unreadable", path, f"expected a readable file: {error}") from error


def _checked(path: Path, line: int, text: bytes) -> bytes:
    if found := _BINARY.search(text):
        at = line + text.count(b"\n", 0, found.start())
        raise WaferFileError("not_text", path, f"expected text, got the byte {found.group()!r}", at)
    return text

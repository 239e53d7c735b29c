"""KLARF files of versions 1.1, 1.2 and 1.8: inspection results of KLA and compatible stations.

The format is not public; what is read here follows files of several vendors and open-source readers.
"""

import re
from collections.abc import Iterator
from datetime import UTC, tzinfo
from pathlib import Path

from sparsewatch.pipelines.wafer_files.inspections import Inspections
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream, shown, text_of, values_of
from sparsewatch.pipelines.wafer_files.klarf.version12 import Klarf12
from sparsewatch.pipelines.wafer_files.klarf.version18 import read_klarf18

_START = re.compile(rb"\s*(?:FileVersion|Record\s+FileRecord)\b")
_OLD = {("1", "1"), ("1", "2")}


def looks_like_klarf(start: bytes) -> bool:
    """Whether a file that begins like this is a KLARF."""
    return _START.match(start) is not None


def read_klarf(path: Path, zone: tzinfo = UTC, *, check_counts: bool = True) -> Iterator[Inspections]:
    """Wafers of a file, one at a time, in its order; defects from the wafer's centre in micrometres, notch down.

    Holds one wafer and a piece of the file in memory, whatever the file's size.

    Args:
        path: The file; it may be packed with gzip or zstd.
        zone: Time zone of its times, which name none.
        check_counts: Whether a 1.1 or 1.2 file must list as many defects as its summary declares.

    Raises:
        WaferFileError: With the name of the fault and its line.
    """
    stream = TokenStream(path)
    word = stream.next()
    if word == b"Record":
        yield from read_klarf18(lambda: _at_records(path), zone)
        return
    if word != b"FileVersion":
        raise stream.error("unknown_format", f"expected FileVersion or Record FileRecord, got {shown(word)}", -1)
    version = tuple(values_of(stream.until(b";")))
    if version not in _OLD:
        raise stream.error("unknown_version", f"expected FileVersion 1 1 or 1 2, got {' '.join(version)[:60]!r}", -1)
    yield from Klarf12(stream, zone, check_counts=check_counts)


def _at_records(path: Path) -> TokenStream:
    """A stream of a 1.8 file after its first three words."""
    stream = TokenStream(path)
    stream.next()
    stream.expect(b"FileRecord")
    version = stream.next()
    if text_of(version) != "1.8":
        raise stream.error("unknown_version", f'expected FileRecord "1.8", got {shown(version)}', -1)
    return stream

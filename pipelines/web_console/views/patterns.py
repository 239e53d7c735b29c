"""Emerging patterns of wafers with their maps, as pictures that are part of the page."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.wafers.novel_wafers import drawn, total_map
from sparsewatch.pipelines.patterns.listing import about
from sparsewatch.pipelines.report.pages import Photo, photo
from sparsewatch.pipelines.wafer.pattern_book import PatternBook
from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.store import Store
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.patterns import NovelLooking

#: Maps of single wafers beside that of their pattern.
_MOST_WAFERS = 8
#: Patterns, the newest, that one can be said to be the same as.
_MOST_OTHERS = 50
#: Red, green, blue of a defect, to be seen on light and on dark.
_INK = (0, 114, 178)


def patterns_of(store: Store) -> list[dict[str, Any]]:
    """Patterns that were not merged into others, the newest first."""
    book = _book(store)
    return [_shown(book, id_) for id_ in reversed(book.roots())]


def pattern_of(store: Store, id_: str) -> dict[str, Any] | None:
    """The pattern of that id, or that it was merged into; None if it is not remembered."""
    book = _book(store)
    return _shown(book, book.root(id_)) if id_ in book.patterns else None


def _book(store: Store) -> PatternBook:
    book = PatternBook()
    for key, value in history.pattern_records(store):
        book.take(key, value)
    return book


def _shown(book: PatternBook, id_: str) -> dict[str, Any]:
    known, parts = about(book, id_), book.parts(id_)
    members = [member for part in parts for member in part.members if member.map.rows][:_MOST_WAFERS]
    others = [other for other in reversed(book.roots()) if other != id_ and book.status(other) == "open"]
    return {
        **known,
        "others": others[:_MOST_OTHERS],
        "map": photo(picture(np.sum([total_map(part) for part in parts], axis=0)), _alt(id_, known["wafers"])),
        "maps": [(member.id, _photo(member)) for member in members],
    }


def _alt(id_: str, wafers: int) -> str:
    return f"where the defects of {counted(wafers, 'wafer')} of {id_} lie"


def _photo(member: NovelLooking) -> Photo:
    return photo(picture(drawn(member.map)), f"defects of wafer {member.wafer_id} of lot {member.lot}")


def picture(counts: NDArray[np.float32]) -> bytes:
    """A PNG of defects by cell, a dot a cell: the more, the less is seen through it.

    Args:
        counts: Shape (rows, columns), from 0.
    """
    most = float(counts.max(initial=0.0)) or 1.0
    dots = np.empty((*counts.shape, 4), np.uint8)
    dots[..., :3] = _INK
    # Single defects are to be seen beside cells with many.
    dots[..., 3] = np.where(counts > 0, 70 + 185 * np.sqrt(counts / most), 0)
    lines = b"".join(b"\0" + line.tobytes() for line in dots)
    rows, columns = counts.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _part(b"IHDR", header) + _part(b"IDAT", zlib.compress(lines)) + _part(b"IEND", b"")


def _part(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

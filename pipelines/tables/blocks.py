"""Pieces of a table, as its readers give them, made into blocks of bounded size."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

#: Bytes of a block.
BLOCK_BYTES = 64 << 20


def gather(pieces: Iterable[pa.RecordBatch], rows: int, most_bytes: int = BLOCK_BYTES) -> Iterator[pa.RecordBatch]:
    """Blocks of nearly `rows` rows, never more, and of at most `most_bytes` bytes unless one row has more.

    Args:
        pieces: Batches of one schema.
        rows: Most rows of a block.
        most_bytes: Most bytes of a block.
    """
    held: list[pa.RecordBatch] = []
    held_rows = held_bytes = 0
    for part in (part for piece in pieces for part in _cut(piece, rows, most_bytes)):
        size = _row_bytes(part)
        if held and (held_rows + part.num_rows > rows or held_bytes + size > most_bytes):
            yield _joined(held)
            held, held_rows, held_bytes = [], 0, 0
        held.append(part)
        held_rows += part.num_rows
        held_bytes += size
    if held:
        yield _joined(held)


def every(pieces: Iterable[pa.RecordBatch], step: int) -> Iterator[pa.RecordBatch]:
    """Rows `step`, 2 `step` and so on, counted from 1 over all pieces."""
    seen = 0
    for piece in pieces:
        places = np.arange(step - 1 - seen % step, piece.num_rows, step)
        seen += piece.num_rows
        yield piece if step == 1 else piece.take(pa.array(places))


def head(pieces: Iterable[pa.RecordBatch], rows: int | None) -> Iterator[pa.RecordBatch]:
    """The first `rows` rows; all if None."""
    left = rows
    for piece in pieces:
        if left is None:
            yield piece
        else:
            yield piece.slice(0, left)
            left -= min(left, piece.num_rows)
            if not left:
                return


def read_ahead(pieces: Generator[pa.RecordBatch, None, None]) -> Iterator[pa.RecordBatch]:
    """The same pieces; the next piece is read, on another thread, while the current piece is used."""
    try:
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(next, pieces, None)
            while (piece := ahead.result()) is not None:
                ahead = pool.submit(next, pieces, None)
                yield piece
    finally:
        pieces.close()


def _cut(piece: pa.RecordBatch, rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
    for first in range(0, piece.num_rows, rows):
        yield from _halved(piece.slice(first, rows), most_bytes)


def _halved(piece: pa.RecordBatch, most_bytes: int) -> Iterator[pa.RecordBatch]:
    if piece.num_rows == 1 or _row_bytes(piece) <= most_bytes:
        yield piece
        return
    half = piece.num_rows // 2
    yield from _halved(piece.slice(0, half), most_bytes)
    yield from _halved(piece.slice(half), most_bytes)


def _row_bytes(piece: pa.RecordBatch) -> int:
    """Bytes that grow with the rows: dictionaries, which do not shrink when rows are cut, left out."""
    return sum(
        column.indices.nbytes if pa.types.is_dictionary(column.type) else column.nbytes for column in piece.columns
    )


def _joined(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(pieces) == 1:
        return pieces[0]
    return pa.Table.from_batches(pieces).unify_dictionaries().combine_chunks().to_batches()[0]

"""Cells of packed rows in as few bytes as they need: what a window hands on is copied several times.

Each column of integers takes the fewest bytes that hold all its cells. Texts are written as their lengths, of a missing
one -1, and all their bytes in one list.

>>> import pyarrow as pa
>>> ints, texts = pa.array([1, 2, 300, 400]), pa.array(["a", None], pa.large_string())
>>> cells = narrow({"int": ints, "float": pa.array([], pa.float64()), "str": texts}, 2)
>>> [str(cells[name].type) for name in ("int8", "int16", "lengths")], len(cells["text"])
(['int8', 'int16', 'int8'], 1)
>>> of_narrow(cells, 2, {"int": np.array([1]), "float": np.array([], int), "str": np.array([0])})["int"].to_pylist()
[300, 400]
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: Types of integers, the narrowest first.
_WIDTHS: tuple[Any, ...] = (np.int8, np.int16, np.int32, np.int64)


def narrow(lists: Mapping[str, Any], n_rows: int) -> dict[str, Any]:
    """Lists of cells that `of_narrow` reads; equal cells give equal lists.

    Args:
        lists: Of each kind, by key of `ARROW_TYPES`, column after column.
        n_rows: Cells of a column.
    """
    return {**_narrow_integers(lists["int"], n_rows), "float": lists["float"], **_narrow_texts(lists["str"])}


def of_narrow(lists: Mapping[str, Any], n_rows: int, columns: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """The cells of some columns that `narrow` wrote.

    Args:
        lists: As it gave them, and others.
        n_rows: Cells of a column.
        columns: Numbers of the columns among those of each kind, by key of `ARROW_TYPES`.

    Returns:
        Lists whose texts may be no UTF-8.

    Raises:
        ValueError: If they do not fit together; damaged lists also raise errors of Arrow and those of missing keys.
    """
    return {
        "int": _integers(lists, n_rows, columns["int"]),
        "float": _of_columns(lists["float"], columns["float"], n_rows),
        "str": _of_columns(_texts(lists["lengths"], lists["text"]), columns["str"], n_rows),
    }


def _of_columns(cells: Any, columns: NDArray[np.int64], n_rows: int) -> Any:
    if columns.size * n_rows == len(cells) and (np.diff(columns, prepend=-1) == 1).all():
        return cells
    return cells.take(pa.array((columns[:, None] * n_rows + np.arange(n_rows)).ravel()))


def _narrow_integers(cells: Any, n_rows: int) -> dict[str, Any]:
    values, missing = _values(cells)
    table, absent = values.reshape(-1, n_rows or 1), missing.reshape(-1, n_rows or 1)
    low, high = table.min(1, initial=0), table.max(1, initial=0)
    widths = sum((low < np.iinfo(one).min) | (high > np.iinfo(one).max) for one in _WIDTHS[:-1])
    widths = np.broadcast_to(np.asarray(widths, np.uint8), table.shape[:1])
    lists = {"widths": pa.array(widths)}
    for number, dtype in enumerate(_WIDTHS):
        own = widths == number
        held = absent[own].ravel() if missing.any() else None
        lists[np.dtype(dtype).name] = pa.array(table[own].astype(dtype).ravel(), mask=held)
    return lists


def _integers(lists: Mapping[str, Any], n_rows: int, columns: NDArray[np.int64]) -> Any:
    widths = lists["widths"].to_numpy()
    table = np.zeros((columns.size, n_rows), np.int64)
    absent = np.zeros(table.shape, np.bool_)
    for number, dtype in enumerate(_WIDTHS if n_rows else ()):
        of_width = widths == number
        at = (np.cumsum(of_width) - 1)[columns]
        own = of_width[columns]
        values, missing = (cells.reshape(of_width.sum(), n_rows) for cells in _values(lists[np.dtype(dtype).name]))
        table[own], absent[own] = values[at[own]], missing[at[own]]
    return pa.array(table.ravel(), mask=absent.ravel() if absent.any() else None)


def _values(cells: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Cells without missing ones, which are 0, and which are missing."""
    if not cells.null_count:
        return cells.to_numpy(), np.zeros(len(cells), np.bool_)
    return cells.fill_null(0).to_numpy(), cells.is_null().to_numpy(zero_copy_only=False)


def _narrow_texts(texts: Any) -> dict[str, Any]:
    ends = _ends(texts)
    lengths = np.diff(ends)
    if texts.null_count:
        lengths[texts.is_null().to_numpy(zero_copy_only=False)] = -1
    # A missing text may have bytes, which say nothing.
    held = texts.drop_null() if texts.null_count else texts
    bounds = _ends(held)[[0, -1]].tolist()
    buffer = held.buffers()[2]
    text = np.frombuffer(buffer, np.uint8)[slice(*bounds)] if buffer is not None else np.zeros(0, np.uint8)
    most = int(lengths.max(initial=0))
    dtype = next(one for one in _WIDTHS if most <= np.iinfo(one).max)
    return {"lengths": pa.array(lengths.astype(dtype)), "text": pa.array(text)}


def _ends(texts: Any) -> NDArray[np.int64]:
    """Where the first text begins, and where each ends."""
    buffer = texts.buffers()[1]
    if not buffer:
        return np.zeros(len(texts) + 1, np.int64)
    return np.frombuffer(buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]


def _texts(lengths: Any, text: Any) -> Any:
    own = lengths.to_numpy().astype(np.int64)
    missing, held = own < 0, np.maximum(own, 0)
    if text.type != pa.uint8() or held.max(initial=0) > len(text) or held.sum() != len(text):
        raise ValueError(f"expected texts of {held.sum()} bytes, got {len(text)} of {text.type}")
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    ends = np.append(0, np.cumsum(held))
    return pa.Array.from_buffers(
        pa.large_string(), own.size, [valid, pa.py_buffer(ends), pa.py_buffer(text.to_numpy())]
    )

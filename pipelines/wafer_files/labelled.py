"""Files of labelled wafers: npz of die maps (one shape or many, one label per wafer or several), and Parquet."""

import zipfile
import zlib
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import FAILING
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.wafers import JOIN, NORMAL, WAFER_COLUMNS

#: Column of a Parquet file that names the class.
LABEL = "label"
#: Radius given to wafers of a file that states none: those of 300 mm.
RADIUS_UM = 150_000.0
#: Wafers a lot, as carriers hold them.
LOT = 25
#: Most bytes of a file's arrays, unpacked: a small file may claim any number.
_MOST_BYTES = 2 << 30

_SHAPED = {"maps_flat", "offsets", "shapes", "labels", "class_names"}
_WHOLE = {"maps", "maps_flat", "offsets", "shapes", "labels", "orig_index"}
_MULTI = {"maps", "labels", "label_names"}
#: The public MixedWM38 file names neither its arrays nor its labels; their order is that of its authors
#: (Wang et al., IEEE Trans. Semicond. Manuf. 33, 2020).
_PUBLIC = {"arr_0": "maps", "arr_1": "labels"}
_PUBLIC_NAMES = ("Center", "Donut", "Edge-Loc", "Edge-Ring", "Loc", "Near-full", "Scratch", "Random")
#: Highest value of a die: 0 outside, 1 good; MixedWM38 has a few 3 beside the failing 2.
_HIGHEST = 3

#: A damaged archive may say of a member that it is encrypted: a RuntimeError.
_DAMAGED = (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class LabelledWafers:
    """Wafer events with their classes."""

    #: Columns of `WAFER_COLUMNS`.
    rows: pa.RecordBatch
    #: Class of each row.
    labels: list[str]


def read_labelled_wafers(path: Path | str) -> LabelledWafers:
    """Read `.npz` or `.parquet`.

    Raises:
        SchemaError: no such file, another type, or its columns do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise SchemaError(f"no such file: {path}")
    if path.suffix == ".npz":
        return read_wafer_npz(path)
    if path.suffix in {".parquet", ".pq"}:
        return _read_wafer_parquet(path)
    raise SchemaError(f"expected a file of wafers ending in .npz or .parquet, got {path}")


def read_wafer_npz(path: Path | str) -> LabelledWafers:
    """Die maps of one npz file, in one of two layouts.

    Of variable shape, one class a wafer: wafer i is `maps_flat[offsets[i]:offsets[i + 1]].reshape(shapes[i])`, its
    class `class_names[labels[i]]`. Of one shape, several labels a wafer: `maps` of shape (n, rows, columns), `labels`
    (n, K) of 0 and 1, `label_names` (K,); the class is the names joined by "+", or "normal". The public MixedWM38
    file (`arr_0`, `arr_1`) is one of these.

    Die values are 0 outside, 1 good, 2 failing; 3 fails, too: it is neither outside nor passed.

    A wafer's id is its place in the set it was drawn from (`orig_index`, if there); such sets keep the wafers of
    a lot together, so 25 neighbours count as one lot.

    Raises:
        SchemaError: If the file cannot be read, lacks an array, or the arrays do not fit.
    """
    path = Path(path)
    arrays = _load(path)
    flat, offsets, shapes, labels = _several_labels(arrays, path) if "maps" in arrays else _one_label(arrays, path)
    n = len(labels)
    if len(flat) and not 0 <= int(flat.min()) <= int(flat.max()) <= _HIGHEST:
        raise SchemaError(f"expected dies of 0 to {_HIGHEST} in {path}, got others")
    ids = arrays.get("orig_index", np.arange(n)).astype(np.int64)
    if ids.shape != (n,):
        raise SchemaError(f"expected {n} of orig_index in {path}, got {ids.shape}")
    dies = np.minimum(flat, FAILING).astype(np.int8)
    columns = {
        "wafer_id": pa.array([f"W{i:06d}" for i in ids.tolist()]),
        "lot": pa.array([f"L{i // LOT:05d}" for i in ids.tolist()]),
        "step": pa.repeat("final_test", n),
        "tool": pa.array([f"T{i // LOT % 4}" for i in ids.tolist()]),
        "radius_um": pa.array(np.full(n, RADIUS_UM)),
        "x_um": pa.nulls(n, pa.list_(pa.float32())),
        "y_um": pa.nulls(n, pa.list_(pa.float32())),
        "map_rows": pa.array(shapes[:, 0].astype(np.int32)),
        "map_columns": pa.array(shapes[:, 1].astype(np.int32)),
        "map": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(dies)),
    }
    return LabelledWafers(pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS), labels)


#: Dies of all wafers, where each wafer's begin and the last end, shapes, and classes.
_Maps = tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64], list[str]]


def _one_label(arrays: dict[str, NDArray[Any]], path: Path) -> _Maps:
    _require(arrays, _SHAPED, path)
    offsets, shapes, labels, names = (arrays[name] for name in ("offsets", "shapes", "labels", "class_names"))
    n = len(offsets) - 1
    if len(shapes) != n or len(labels) != n:
        raise SchemaError(f"expected {n} shapes and labels in {path}, got {len(shapes)} and {len(labels)}")
    if n and not 0 <= int(labels.min()) <= int(labels.max()) < len(names):
        raise SchemaError(f"expected labels of {len(names)} classes in {path}, got others")
    shapes = shapes.reshape(n, -1).astype(np.int64)
    dies = shapes.prod(axis=1)
    fits = shapes.shape[1] == 2 and np.array_equal(np.diff(offsets), dies) and offsets[0] == 0
    if n and not (fits and offsets[-1] == arrays["maps_flat"].size):
        raise SchemaError(f"expected offsets in {path} that cut maps_flat into maps of the shapes given, got others")
    return arrays["maps_flat"].reshape(-1), offsets, shapes, names[labels].tolist()


def _several_labels(arrays: dict[str, NDArray[Any]], path: Path) -> _Maps:
    _require(arrays, _MULTI, path)
    maps, labels, names = arrays["maps"], arrays["labels"], arrays["label_names"].tolist()
    if maps.ndim != 3 or labels.shape != (len(maps), len(names)) or not np.isin(labels, (0, 1)).all():
        expected = "maps (n, rows, columns) and labels (n, K) of 0 and 1 for K label_names"
        raise SchemaError(f"expected {expected} in {path}, got {maps.shape}, {labels.shape} and {len(names)} names")
    n, rows, columns = maps.shape
    shapes = np.tile(np.array([[rows, columns]]), (n, 1))
    classes = [JOIN.join(compress(names, row)) or NORMAL for row in labels.tolist()]
    return maps.reshape(-1), np.arange(n + 1) * (rows * columns), shapes, classes


def _require(arrays: dict[str, NDArray[Any]], names: set[str], path: Path) -> None:
    if missing := names - arrays.keys():
        raise SchemaError(f"{path} lacks the arrays {', '.join(sorted(missing))}")
    for name in sorted(arrays.keys() & _WHOLE):
        if arrays[name].dtype.kind not in "iu" or not arrays[name].ndim:
            raise SchemaError(f"expected whole numbers in array {name!r} of {path}, got {arrays[name].dtype}")


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as members:
            if sum(member.file_size for member in members.infolist()) > _MOST_BYTES:
                raise SchemaError(f"expected arrays of at most {_MOST_BYTES} bytes in {path}, got more")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _DAMAGED as error:
        raise SchemaError(f"{path} is not an npz file of plain arrays: {error}") from error
    # NumPy gives the bytes of what is no array.
    if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise SchemaError(f"{path} is not an npz file of plain arrays: {others[0]!r} is none")
    if _PUBLIC.keys() <= arrays.keys():
        return {to: arrays[name] for name, to in _PUBLIC.items()} | {"label_names": np.array(_PUBLIC_NAMES)}
    return arrays


def _read_wafer_parquet(path: Path) -> LabelledWafers:
    try:
        table = pq.read_table(path)
        table.validate(full=True)
        names = table.column_names
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} is not a Parquet file: {error}") from error
    if names.count(LABEL) != 1:
        raise SchemaError(f"expected a column {LABEL!r} in {path}, got {names}")
    try:
        labels = table[LABEL].cast(pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise SchemaError(f"column {LABEL!r} of {path} does not fit: {error}") from error
    if missing := sum(not label for label in labels):
        raise SchemaError(f"expected a label for each wafer in {path}, {missing} of {len(labels)} have none")
    return LabelledWafers(wafer_columns(table, path), labels)


def wafer_columns(table: pa.Table, path: Path) -> pa.RecordBatch:
    """Columns of `WAFER_COLUMNS`; missing columns get their default, or null.

    Args:
        table: Wafers.
        path: Their file, for errors.

    Raises:
        SchemaError: If a column is of another type.
    """
    columns = {field.name: _column(table, field, path) for field in WAFER_COLUMNS}
    return pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS)


def _column(table: pa.Table, field: pa.Field, path: Path) -> pa.Array:
    if field.name not in table.column_names:
        return _default(field, table.num_rows)
    try:
        return table[field.name].cast(field.type).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"column {field.name!r} of {path} does not fit: {error}") from error


def _default(field: pa.Field, n: int) -> pa.Array:
    """Values of a column that a file leaves out: ids and lots by position, null points or maps."""
    if field.nullable:
        return pa.nulls(n, field.type)
    if field.name == "wafer_id":
        return pa.array([f"W{i:06d}" for i in range(n)])
    if field.name == "lot":
        return pa.array([f"L{i // LOT:05d}" for i in range(n)])
    if field.name == "radius_um":
        return pa.array(np.full(n, RADIUS_UM))
    return pa.repeat("", n)

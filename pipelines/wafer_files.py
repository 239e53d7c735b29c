"""Files of labelled wafers: npz of die maps, and Parquet."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.errors import SchemaError
from schemas.wafers import WAFER_COLUMNS

#: Column of a Parquet file that names the class.
LABEL = "label"
#: Radius given to wafers of a file that states none: those of 300 mm.
RADIUS_UM = 150_000.0
#: Wafers a lot, as carriers hold them.
LOT = 25


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
    """Die maps of variable shape.

    Wafer i is `maps_flat[offsets[i]:offsets[i + 1]].reshape(shapes[i])`, its class
    `class_names[labels[i]]`. An id is its place in the set it was drawn from (`orig_index`, where there
    is one); such sets keep the wafers of a lot together, so 25 neighbours count as one lot.
    """
    arrays = _load(Path(path))
    offsets, shapes, names = arrays["offsets"], arrays["shapes"], arrays["class_names"]
    n = len(offsets) - 1
    if len(shapes) != n or len(arrays["labels"]) != n:
        raise SchemaError(f"expected {n} shapes and labels in {path}, got {len(shapes)} and {len(arrays['labels'])}")
    if n and int(arrays["labels"].max()) >= len(names):
        raise SchemaError(f"expected labels of {len(names)} classes in {path}, got higher ones")
    ids = arrays.get("orig_index", np.arange(n)).astype(np.int64)
    maps = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(arrays["maps_flat"].astype(np.int8)))
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
        "map": maps,
    }
    rows = pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS)
    return LabelledWafers(rows, names[arrays["labels"]].tolist())


def select_wafers(wafers: LabelledWafers, indices: NDArray[np.int64]) -> LabelledWafers:
    """The wafers of these indices, in this order."""
    rows = wafers.rows.take(pa.array(indices))
    return LabelledWafers(rows, [wafers.labels[i] for i in indices.tolist()])


def _load(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SchemaError(f"{path} is not an npz file of plain arrays: {error}") from error
    missing = {"maps_flat", "offsets", "shapes", "labels", "class_names"} - arrays.keys()
    if missing:
        raise SchemaError(f"{path} lacks the arrays {', '.join(sorted(missing))}")
    return arrays


def _read_wafer_parquet(path: Path) -> LabelledWafers:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SchemaError(f"{path} is not a Parquet file: {error}") from error
    if LABEL not in table.column_names:
        raise SchemaError(f"expected a column {LABEL!r} in {path}, got {table.column_names}")
    columns = {field.name: _column(table, field, path) for field in WAFER_COLUMNS}
    rows = pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS)
    return LabelledWafers(rows, table[LABEL].cast(pa.string()).to_pylist())


def _column(table: pa.Table, field: pa.Field, path: Path) -> pa.Array:
    if field.name not in table.column_names:
        return _default(field, table.num_rows)
    try:
        return pa.concat_arrays(table[field.name].cast(field.type).chunks)
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

"""Features known to carry no information on the label, or all of it: a ranking is to put them last, or first.

The eleven controls of the public `outrank` by its names (`--include_noise_baseline_features`), where they crash. Two
differ here: `CONTROL-volume`, a hash of the row, leaves the label out, which it would reveal; and
`CONTROL-int-sequence` may go on from one block to the next.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.value_hashes import combine_hashes, hash_values
from sparsewatch.schemas.errors import SchemaError

#: Controls with as many values as their names say, and 0 besides: 0 to 100, 0 to 2,000 and so on.
CARDINALITIES = {"card100": 100, "card2k": 2_000, "card10k": 10_000, "card50k": 50_000}


def noise_controls(
    rows: pa.RecordBatch | pa.Table, label: str, rng: np.random.Generator, *, first_row: int = 0
) -> pa.RecordBatch:
    """The controls of some rows.

    Args:
        rows: All features and the label.
        label: Column of the label, which `CONTROL-target` copies.
        rng: Source of chance; blocks of a stream share a generator or have independent ones.
        first_row: Number of the first row, for `CONTROL-int-sequence`.

    Returns:
        Eleven columns of numbers, the target's type aside; none has nulls that the label has not.

    Raises:
        SchemaError: If there is no label, or the type of a feature is not counted.
    """
    names = rows.schema.names
    if label not in names:
        raise SchemaError(f"noise controls: expected a label {label!r}, got only {sorted(names)}")
    n_rows = rows.num_rows
    columns: dict[str, Any] = {
        "constant0": np.zeros(n_rows, np.int64),
        "gaussian": rng.normal(size=n_rows),
        "uniform": rng.random(n_rows),
        "random-binary": rng.integers(0, 2, n_rows),
        **{f"random-{name}": rng.integers(0, size + 1, n_rows) for name, size in CARDINALITIES.items()},
        "int-sequence": np.arange(first_row, first_row + n_rows),
        "target": _whole(rows.column(label)),
        "volume": _row_hashes(rows, [name for name in names if name != label]),
    }
    return pa.RecordBatch.from_pydict({f"CONTROL-{name}": pa.array(column) for name, column in columns.items()})


def _row_hashes(rows: pa.RecordBatch | pa.Table, features: list[str]) -> Any:
    if not features:
        return np.zeros(rows.num_rows, np.int64)
    return combine_hashes([hash_values(rows.column(name), name) for name in features]).view(np.int64)


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

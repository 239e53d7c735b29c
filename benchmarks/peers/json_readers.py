"""A round of readers of JSON that need an environment of their own: `python json_readers.py RECORDS.ndjson KINDS.json`.

Prints a `Trial` for each as JSON.
"""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from arro3.core import DataType, Field, Schema
from arro3.io import read_json
from json_trial import Reader, trial

_ARRO3 = {"int": DataType.int64(), "float": DataType.float64(), "str": DataType.utf8()}
_DUCKDB = {"int": "BIGINT", "float": "DOUBLE", "str": "VARCHAR"}
_connection = duckdb.connect(config={"threads": 1})


def by_duckdb(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    """A column of texts to columns; whether they are UTF-8 is left to DuckDB."""
    form = json.dumps({name: _DUCKDB[kind] for name, kind in kinds.items()})
    texts = pc.cast(pa.array(records), options=pc.CastOptions(pa.string(), allow_invalid_utf8=True))
    _connection.register("texts", pa.table({"text": texts}))
    return _connection.sql(f"SELECT unnest(from_json_strict(text, '{form}')) FROM texts").to_arrow_table()


def by_arro3(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    """Lines to columns."""
    schema = Schema([Field(name, _ARRO3[kind], nullable=True) for name, kind in kinds.items()])
    return read_json(io.BytesIO(b"\n".join(records)), schema=schema).read_all()


def by_orjson(records: Sequence[bytes], _: Mapping[str, str]) -> object:
    """To a dictionary each."""
    return [orjson.loads(record) for record in records]


READERS: dict[str, Reader] = {"DuckDB from_json_strict": by_duckdb, "orjson": by_orjson, "arro3": by_arro3}

if __name__ == "__main__":
    lines, kinds = Path(sys.argv[1]).read_bytes().splitlines(), json.loads(Path(sys.argv[2]).read_bytes())
    print(json.dumps({name: trial(read, lines, kinds) for name, read in READERS.items()}))

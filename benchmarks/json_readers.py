"""CPU µs a row of readers of JSON to columns, on rows of clicks, and what they make of a value of another type.

One thread each; the lowest of several rounds of processor time. `python -m benchmarks.json_readers`
"""

import functools
import time
from collections.abc import Callable, Sequence

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.json as pj

from benchmarks.workloads import FEATURES, LABEL, TIME, click_table, json_records
from sparsewatch.transforms.codecs.json import decode_json
from sparsewatch.transforms.codecs.plain_records import is_built, read_plain

ROWS = 16_384
ROUNDS = 7
_KINDS = {TIME: "int", **FEATURES, LABEL: "int"}
COLUMNS = pa.schema([(name, pa.string() if kind == "str" else pa.int64()) for name, kind in _KINDS.items()])
#: A number in a column of texts.
OTHER_TYPE = b'{"C1":7}'

Reader = Callable[[Sequence[bytes]], object]


def by_c(records: Sequence[bytes]) -> object:
    """Plain records by the part in C."""
    found = read_plain([records], COLUMNS)
    if found is None:
        raise RuntimeError("the part in C is not built: make native")
    if len(found.odd):
        raise ValueError(f"{len(found.odd)} records are not plain")
    return found.rows


def by_arrow(records: Sequence[bytes]) -> object:
    """Arrow's reader of lines."""
    options = pj.ReadOptions(use_threads=False)
    parsing = pj.ParseOptions(explicit_schema=COLUMNS, unexpected_field_behavior="ignore")
    return pj.read_json(pa.py_buffer(b"\n".join(records)), read_options=options, parse_options=parsing)


def by_polars(records: Sequence[bytes]) -> object:
    """Polars' reader of lines."""
    schema = {field.name: pl.String if field.type == pa.string() else pl.Int64 for field in COLUMNS}
    return pl.read_ndjson(b"\n".join(records), schema=schema)


@functools.cache
def _decoder() -> "msgspec.json.Decoder[object]":
    fields = [(field.name, (str if field.type == pa.string() else int) | None, None) for field in COLUMNS]
    return msgspec.json.Decoder(msgspec.defstruct("Click", fields, gc=False))


def by_msgspec(records: Sequence[bytes]) -> object:
    """msgspec, to an object each and not to columns."""
    return [_decoder().decode(record) for record in records]


def whole(records: Sequence[bytes]) -> object:
    """What a job calls, rejects and all."""
    rows, faults, _ = decode_json(records, COLUMNS)
    if faults:
        raise ValueError(faults[0][2])
    return rows


READERS: dict[str, Reader] = {
    "the part in C": by_c,
    "a job's decode_json": whole,
    "pyarrow.json": by_arrow,
    "polars": by_polars,
    "msgspec": by_msgspec,
}


def cpu_us(read: Reader, records: Sequence[bytes]) -> float:
    """CPU µs a record, the lowest of the rounds."""
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        read(records)
        spent.append(time.process_time() - start)
    return min(spent) / len(records) * 1e6


def refuses(read: Reader) -> bool:
    """Whether a number in a column of texts is refused."""
    try:
        read([OTHER_TYPE])
    except (ValueError, pl.exceptions.PolarsError):
        return True
    return False


def main() -> None:
    """Print a line for each reader."""
    records = json_records(click_table(ROWS, 0, rows_per_second=1_000.0))
    print(f"{ROWS} records of {sum(map(len, records)) / ROWS:.0f} bytes, {len(COLUMNS)} columns, one thread")
    for name, read in READERS.items():
        if read is by_c and not is_built():
            print(f"{name:20} not built: make native")
            continue
        word = "refused" if refuses(read) else "turned into a text"
        print(f"{name:20} {cpu_us(read, records):5.2f} CPU µs a record, a number in a column of texts is {word}")


if __name__ == "__main__":
    main()

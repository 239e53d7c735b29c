"""Scored rows written as they come: Parquet, CSV or JSON lines, by the ending of the file's name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from sparsewatch.detectors.artefacts.atomic import new_file
from sparsewatch.schemas.errors import ConfigError

ENDINGS = (".parquet", ".csv", ".jsonl")


class Target(Protocol):
    """Takes batches of one schema."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""

    def close(self) -> None:
        """Complete the file."""


class _JsonLines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, batch: pa.RecordBatch) -> None:
        import polars as pl

        self._file.write(pl.DataFrame(pa.Table.from_batches([batch])).write_ndjson().encode())

    def close(self) -> None:
        pass


def check_ending(path: Path) -> None:
    """Refuse a file that is written in none of the formats.

    Raises:
        ConfigError: If its name ends otherwise.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(f"--out: expected a name that ends in {', '.join(ENDINGS)}, got {path}")


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Target]:
    """A file that takes batches and is there once all are written; the former one stays if anything fails.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        with new_file(path) as aside, aside.open("xb") as file:
            target = _target(path.suffix, file, schema)
            yield target
            target.close()
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def _target(ending: str, file: IO[bytes], schema: pa.Schema) -> Target:
    if ending == ".parquet":
        return pq.ParquetWriter(file, schema)  # type: ignore[no-any-return]
    if ending == ".csv":
        return pc_csv.CSVWriter(file, schema)  # type: ignore[no-any-return]
    return _JsonLines(file)

"""`make bench-json_readers`: processor time of readers of JSON to columns, and what each takes that is not right.

All read the same clicks, and all threads count. First readers alone, ours with the part in C and without, beside
others; some of these have an environment of their own, which make sets up. Then what a job's decoding takes where
records are bad, rejects included, with the part in C and without. Seven rounds take 20 s.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from unittest import mock

import click
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.json as pj

from benchmarks.harness import Result, Rounds, interleave, rate, write_results
from benchmarks.peers.json_trial import Reader, Trial, trial, us_each
from benchmarks.profilers import ENVIRONMENTS, SCRIPTS
from benchmarks.scaling import SPOILED
from benchmarks.whole_jobs import Bench, Topic, click_job
from benchmarks.workloads import FEATURES, LABEL, TIME, click_table, json_records
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.transforms.codecs import plain_records
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.codecs.json import decode_json
from sparsewatch.transforms.records import Fetched

ROWS = 16_384
KINDS = {TIME: "int", **FEATURES, LABEL: "int"}
_UNIT = "µs of CPU a row"
_ARROW = {"int": pa.int64(), "float": pa.float64(), "str": pa.string()}
_POLARS = {"int": pl.Int64, "float": pl.Float64, "str": pl.String}
_PYTHON = {"int": int, "float": float, "str": str}
_OURS = "ours"
_PROCESS_S = 60


def by_job(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    """What a job calls."""
    found = decode_json(records, _schema(kinds))
    if found.faults:
        raise ValueError(found.faults[0][2])
    return found.rows


def by_job_slowly(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    """The same, where the part in C is not built."""
    with without_part():
        return by_job(records, kinds)


def by_arrow(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    """Arrow's reader of lines."""
    options = pj.ReadOptions(use_threads=False)
    parsing = pj.ParseOptions(explicit_schema=_schema(kinds), unexpected_field_behavior="ignore")
    return pj.read_json(pa.py_buffer(b"\n".join(records)), read_options=options, parse_options=parsing)


def by_polars(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    """Polars' reader of lines."""
    return pl.read_ndjson(b"\n".join(records), schema={name: _POLARS[kind] for name, kind in kinds.items()})


def by_msgspec(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    """To an object each."""
    decoder = _decoder(tuple(kinds.items()))
    return [decoder.decode(record) for record in records]


READERS: dict[str, Reader] = {
    _OURS: by_job,
    "ours without the part in C": by_job_slowly,
    "pyarrow.json": by_arrow,
    "polars": by_polars,
    "msgspec": by_msgspec,
}
#: What is made of records other than columns.
NOTES = {"msgspec": "an object of each record; ", "orjson": "a dictionary of each record; "}


@contextmanager
def without_part() -> Iterator[None]:
    """As where there was no compiler."""
    with mock.patch.object(plain_records, "_plain_json", None):
        yield


def _schema(kinds: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _ARROW[kind]) for name, kind in kinds.items()])


@cache
def _decoder(kinds: Sequence[tuple[str, str]]) -> "msgspec.json.Decoder[object]":
    fields = [(name, _PYTHON[kind] | None, None) for name, kind in kinds]
    return msgspec.json.Decoder(msgspec.defstruct("Click", fields, gc=False))


def _round(records: Sequence[bytes], lines: Path, kinds: Path) -> dict[str, Trial]:
    """All readers once.

    Raises:
        FileNotFoundError: If the others have no environment.
        subprocess.CalledProcessError: If their script fails.
    """
    python = ENVIRONMENTS / "json" / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"no environment of other readers in {python}: `make bench-json_readers` sets it up")
    found = {name: trial(read, records, KINDS) for name, read in READERS.items()}
    script = [str(python), str(SCRIPTS / "json_readers.py"), str(lines), str(kinds)]
    done = subprocess.run(script, stdout=subprocess.PIPE, check=True, timeout=_PROCESS_S)
    return found | msgspec.json.decode(done.stdout, type=dict[str, Trial])


def compare_readers(records: Sequence[bytes], rounds: int, folder: Path) -> list[Result]:
    """All readers, each beside ours."""
    lines, kinds = folder / "clicks.ndjson", folder / "kinds.json"
    lines.write_bytes(b"\n".join(records))
    kinds.write_text(json.dumps(KINDS), encoding="utf-8")
    return results_of([_round(records, lines, kinds) for _ in range(rounds)])


def results_of(rounds: Sequence[Mapping[str, Trial]]) -> list[Result]:
    """A result for each reader."""
    figures = {name: Rounds([one[name]["us"] for one in rounds]) for name in rounds[0]}
    return [
        rate(
            name,
            figure,
            _UNIT,
            peer=None if name == _OURS else _OURS,
            peer_value=None if name == _OURS else figures[_OURS],
            note=NOTES.get(name, "") + f"takes {', '.join(rounds[0][name]['takes']) or 'nothing that is not right'}",
        )
        for name, figure in figures.items()
    ]


def _without_label(value: bytes) -> bytes:
    # The label is the last field.
    return value[: value.rindex(b",")] + b"}"


def _with_text(value: bytes) -> bytes:
    return re.sub(rb'"I1":[^,]*', b'"I1":"many"', value)


def cases(records: Sequence[bytes]) -> dict[str, list[bytes]]:
    """Records as a job meets them: none, every tenth or all of them spoiled."""
    spoilers: dict[str, Callable[[bytes], bytes]] = {
        "cut off": SPOILED["broken"],
        "without its label": _without_label,
        "with a text for its label": SPOILED["label"],
        "with a text in a column of integers": _with_text,
    }
    tenths = {
        f"one in ten {name}": [record if i % 10 else spoil(record) for i, record in enumerate(records)]
        for name, spoil in spoilers.items()
    }
    return {
        "all plain": list(records),
        **tenths,
        "all with a text in a column of integers": list(map(_with_text, records)),
    }


def compare_decoding(records: Sequence[bytes], rounds: int, folder: Path) -> Iterator[Result]:
    """Decoding as in a job, beside the same without the part in C."""
    events = _events(folder)
    for name, values in cases(records).items():
        run = Fetched(0, range(len(values)), [-1] * len(values), values, [], lambda _: None, len(values))
        work = partial(decode, "clicks", [run], events)
        ours, without = interleave([partial(us_each, work, len(run)), partial(_without, work, len(run))], rounds)
        yield rate(f"decoding, {name}", ours, _UNIT, peer="without the part in C", peer_value=without)


def _without(work: Callable[[], object], rows: int) -> float:
    with without_part():
        return us_each(work, rows)


def _events(folder: Path) -> EventSchema:
    job_file = folder / "clicks.toml"
    job = click_job(Bench("127.0.0.1:1", folder, 1), Topic("clicks"), "kafka-python")
    job_file.write_text(job("clicks"), encoding="utf-8")
    return ready(load_job(job_file)).events


@click.command()
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
def main(rounds: int) -> None:
    """Processor time a row of readers of JSON."""
    if not plain_records.is_built():
        raise click.UsageError("the part in C is not built: make native")
    records = json_records(click_table(ROWS, 0, rows_per_second=1_000.0))
    with tempfile.TemporaryDirectory(prefix="sparsewatch-json-") as name:
        results = compare_readers(records, rounds, Path(name))
        write_results("json_readers", [*results, *compare_decoding(records, rounds, Path(name))])


if __name__ == "__main__":
    main()

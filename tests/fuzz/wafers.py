"""Files of wafers: read right, or refused by name; never a wafer with fewer defects than its list."""

import gzip
import json
import random
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, read_wafers
from sparsewatch.pipelines.wafer_files.labelled import read_labelled_wafers
from tests.fuzz.decoder import ACCEPTED, Case, Decoder
from tests.kit.wafer_texts import DrawnMap, draw_map, draw_wafers, klarf12, klarf18, sinf

#: A defect of our own KLARF: six numbers on a line.
_DEFECT = re.compile(rb"^\s*(\d+(?: -?\d+){5})\s*;?\s*$", re.MULTILINE)
_DIES = re.compile(rb"^RowData:((?:[0-9A-Z_]{2} ?)+)$", re.MULTILINE)
_SEEDS = 40

Texts = Callable[[random.Random], str]


def plain_map(drawn: DrawnMap) -> str:
    """The plain layout of a map; it counts its rows and columns, too far from them for one loss to take both."""
    rows = "\n".join("".join({None: ".", "01": "1"}.get(code, "2") for code in row) for row in drawn.rows)
    size = f"rowct: {len(drawn.rows)}\ncolct: {len(drawn.rows[0])}\n"
    return f"{size}wafer: W1\nlot: L1\nstep: the second metal layer\ntool: T7 of the north bay\nmap:\n{rows}\n"


TEXTS: dict[str, Texts] = {
    "klarf 1.2": lambda rng: klarf12(draw_wafers(rng)),
    "klarf 1.8": lambda rng: klarf18(draw_wafers(rng)),
    "sinf": lambda rng: sinf(draw_map(rng)),
    "plain map": lambda rng: plain_map(draw_map(rng)),
}


@cache
def _seeds(name: str) -> list[bytes]:
    rng = random.Random(name)
    return [TEXTS[name](rng).encode() for _ in range(_SEEDS)]


def found_in(path: Path) -> int:
    """Defects and dies that a file is read as."""
    rows = [row for part in read_wafers(path, ReadOptions()) for row in part.rows.to_pylist()]
    return sum(len(row["map"] or ()) + len(row["x_um"] or ()) for row in rows)


@cache
def _written(name: str, seed: int, folder: Path) -> int:
    path = folder / "sound"
    path.write_bytes(_seeds(name)[seed])
    return found_in(path)


def listed_in(data: bytes) -> int:
    """Distinct defects, or dies, that a text shows at a glance."""
    dies = sum(len(row.split()) for row in _DIES.findall(data))
    return len(set(_DEFECT.findall(data))) + dies


def _read(case: Case, *, name: str) -> str:
    found = found_in(case.file("wafers.txt"))
    if case.local and found < (written := _written(name, case.seed, case.folder)):
        raise AssertionError(f"{written} defects or dies were written, {found} read after a single local change")
    if found < (listed := listed_in(case.data)):
        raise AssertionError(f"{listed} defects or dies are in the text, {found} read")
    return ACCEPTED


def _packed_seeds() -> list[bytes]:
    texts = [_seeds(name)[i] for name in TEXTS for i in range(3)]
    return [gzip.compress(text, mtime=0) for text in texts]


def _read_packed(case: Case) -> str:
    found = found_in(case.file("wafers.gz"))
    if case.local and found < (listed := listed_in(gzip.decompress(_packed_seeds()[case.seed]))):
        raise AssertionError(f"{listed} defects or dies were packed, {found} read")
    return ACCEPTED


@cache
def _wafers() -> pa.Table:
    rng = np.random.default_rng(3)
    patterns = ["center", "normal", "donut", "scratch"] * 3
    rows = make_wafers(patterns, rng, defects=(3, 12))
    return (
        pa.Table.from_batches([rows])
        .append_column("label", pa.array(patterns))
        .append_column("time", pa.array([1_700_000_000_000 + i for i in range(len(patterns))]))
    )


@cache
def _json_seeds() -> list[bytes]:
    lines = [msgspec.json.encode(row) for row in _wafers().to_pylist()]
    return [b"\n".join(lines[:n]) + b"\n" for n in (1, 2, 3, 12)]


def _read_json(case: Case) -> str:
    found = found_in(case.file("wafers.jsonl"))
    texts = [line for line in case.data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    events = [json.loads(text.decode()) for text in texts]
    listed = sum(len(event.get("x_um") or ()) + len(event.get("map") or ()) for event in events)
    if found != listed:
        raise AssertionError(f"{listed} defects or dies are in the text, {found} read")
    return ACCEPTED


@cache
def _arrow_seeds() -> list[bytes]:
    table, seeds = _wafers(), []
    for make in (pa.ipc.new_stream, pa.ipc.new_file):
        for rows in (table, table.slice(0, 2)):
            sink = BytesIO()
            with make(sink, rows.schema) as stream:
                stream.write_table(rows, max_chunksize=5)
            seeds.append(sink.getvalue())
    for compression in ("none", "zstd"):
        sink = BytesIO()
        pq.write_table(table, sink, compression=compression, row_group_size=5)
        seeds.append(sink.getvalue())
    return seeds


def _read_arrow(case: Case) -> str:
    found_in(case.file("wafers.arrow"))
    return ACCEPTED


@cache
def _npz_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    shapes = np.array([[4, 4], [3, 5], [2, 2]])
    offsets = np.append(0, shapes.prod(axis=1).cumsum())
    flat = rng.integers(0, 3, offsets[-1]).astype(np.uint8)
    names = np.array(["a", "b"])
    one = {"maps_flat": flat, "offsets": offsets, "shapes": shapes, "labels": np.array([0, 1, 1]), "class_names": names}
    maps, labels = rng.integers(0, 3, (4, 5, 5)), rng.integers(0, 2, (4, 2))
    several = {"maps": maps, "labels": labels, "label_names": names}
    seeds = []
    for arrays in (one, several):
        for save in (np.savez, np.savez_compressed):
            sink = BytesIO()
            save(sink, **arrays)
            seeds.append(sink.getvalue())
    return seeds


def _read_npz(case: Case) -> str:
    found_in(case.file("wafers.npz"))
    return ACCEPTED


def _read_labelled(case: Case) -> str:
    name = "wafers.npz" if case.data.startswith(b"PK") else "wafers.parquet"
    read_labelled_wafers(case.file(name))
    return ACCEPTED


def _labelled_seeds() -> list[bytes]:
    return [*_npz_seeds(), *(seed for seed in _arrow_seeds() if seed.startswith(b"PAR1"))]


def _of(name: str, seeds: Callable[[], Sequence[bytes]], read: Callable[[Case], str], *, text: bool = False) -> Decoder:
    return Decoder(f"wafers {name}", seeds, read, text=text)


DECODERS = (
    *(_of(name, partial(_seeds, name), partial(_read, name=name), text=True) for name in TEXTS),
    _of("packed", _packed_seeds, _read_packed),
    _of("json", _json_seeds, _read_json, text=True),
    _of("arrow", _arrow_seeds, _read_arrow),
    _of("npz", _npz_seeds, _read_npz),
    _of("labelled", _labelled_seeds, _read_labelled),
)

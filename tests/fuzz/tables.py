"""Tables, labels and other files of users: rows, or an error that names the file."""

import gzip
import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from sparsewatch.detectors.outrank.reference_model import parse_reference_model
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.rank.inputs.settings import InputSettings
from sparsewatch.pipelines.rank.inputs.sources import open_input
from sparsewatch.pipelines.records.reading import read_record
from sparsewatch.pipelines.rejects.repairs import read_repairs
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.pipelines.wafer_convert.labels import Labels
from tests.fuzz.decoder import ACCEPTED, Case, Decoder
from tests.kit.stored_examples import clicks

_READING = Reading(missing=("NA", "-"))


@cache
def _rows() -> pa.Table:
    rows = clicks(40)
    texts = pa.array([None if i % 8 == 0 else f'a, "{i}"\nü' for i in range(40)])
    times = pa.array([1_700_000_000_000_000 + 1_000_000 * i for i in range(40)], pa.timestamp("us"))
    return pa.Table.from_batches([rows.append_column("text", texts).append_column("when", times)]).drop_columns("none")


def _csv(separator: str = ",", rows: int = 40) -> bytes:
    sink = BytesIO()
    pc.write_csv(_rows().slice(0, rows), sink, pc.WriteOptions(delimiter=separator))
    return sink.getvalue()


def _csv_seeds() -> list[bytes]:
    plain = b"id,day,x\n007,03/04/2026,1.5\n008,13/04/2026,NA\n009,01/05/2026,-\n"
    return [_csv(), _csv(rows=3), plain, b"\xef\xbb\xbf" + plain, _csv("\t"), plain.decode().encode("utf-16")]


def _json_seeds() -> list[bytes]:
    lines = [json.dumps(row, default=str, ensure_ascii=i % 2 == 0) for i, row in enumerate(_rows().to_pylist())]
    odd = '{"a": 1, "b": "x"}\n{"b": "NA", "c": 1.5}\n\n{"a": null, "d": true}\n{"a": NaN}\n'
    return ["\n".join(lines).encode(), "\n".join(lines[:3]).encode(), odd.encode()]


def _parquet_seeds() -> list[bytes]:
    seeds = []
    for options in ({}, {"compression": "zstd", "data_page_version": "2.0"}, {"use_dictionary": False}):
        sink = BytesIO()
        pq.write_table(_rows(), sink, row_group_size=15, **options)
        seeds.append(sink.getvalue())
    sink = BytesIO()
    pq.write_table(pa.table({"n": [1, None, 3], "d": pa.array(["a", "b", "a"]).dictionary_encode()}), sink)
    return [*seeds, sink.getvalue()]


def _packed_seeds() -> list[bytes]:
    plain = [_csv(), _json_seeds()[0], _parquet_seeds()[0]]
    zstd = pa.Codec("zstd")
    return [*(gzip.compress(data, mtime=0) for data in plain), *(zstd.compress(data, asbytes=True) for data in plain)]


def _read_table(case: Case, *, name: str) -> str:
    path = case.file(name)
    table = open_table([path], TableSettings(reading=_READING))
    rows = sum(piece.num_rows for piece in table.pieces())
    if table.rows is not None and table.rows != rows:
        raise AssertionError(f"{table.rows} rows were promised, {rows} came")
    table.remarks()
    return ACCEPTED


def _read_rank(case: Case, *, name: str) -> str:
    source = open_input(case.file(name), InputSettings(reading=_READING))
    for _ in source.batches():
        pass
    return ACCEPTED


_MAP = b"A,user\nB,site\nC,price,f32\n_namespace_skip_prefix,2\n"


def _vw_seeds() -> list[bytes]:
    lines = [
        f"{1 if i % 3 == 0 else -1} |A A_u{i % 5} |B B_s {i} é |C C_{i / 8}" + (" |D D_x" if i % 7 == 0 else "")
        for i in range(30)
    ]
    return ["\n".join([*lines, ""]).encode(), "\n".join(lines[:2]).encode()]


def _read_vw(case: Case) -> str:
    (case.folder / "vw_namespace_map.csv").write_bytes(_MAP)
    return _read_rank(case, name="data.vw")


def _read_map(case: Case) -> str:
    (case.folder / "data.vw").write_bytes(_vw_seeds()[0])
    path = case.file("vw_namespace_map.csv")
    for _ in open_input(path.parent / "data.vw", InputSettings()).batches():
        pass
    return ACCEPTED


def _label_seeds() -> list[bytes]:
    return [
        b"lot,wafer,label\nL1,W1,scratch\nL1,W2,center\nL1,W3,\n",
        b"file,slot,class\na/b.klarf,01,ring\n./c.klarf,2.0,edge\n",
        b'{"lot": "L1", "wafer_id": "7", "pattern": "x"}\n{"lot": "L2", "wafer_id": "8", "pattern": "y"}\n',
    ]


def _read_labels(case: Case) -> str:
    labels = Labels.read(case.file("labels.csv"))
    wafer = {"lot": "L1", "wafer": "W1", "slot": "1", "step": ""}
    labels.of([wafer], Path("a/b.klarf"))
    labels.unused()
    return ACCEPTED


_REPAIRS = b"""{"id": "t/0/1/-1/broken_json", "value": "{}", "code": "broken_json"}
{"id": "t/0/2/-1/late", "value_base64": "AP8="}

{"id": "t/0/3/-1/late", "value": null}
"""

_JOBS = (
    """kind = "ctr"
name = "clicks"
label = "click"
features = ["site", "hour"]
[kafka]
bootstrap_servers = ["127.0.0.1:9092"]
client = "kafka-python"
[source]
topic = "clicks"
time_column = "t"
time_format = "iso8601"
missing = ["NA", ""]
max_ahead = "1h"
max_record_bytes = "4MB"
[windows]
length = "10m"
disorder = "30s"
[columns]
site = "str"
hour = "int"
click = "int"
[ranking]
panes = 3
[checks]
reference = "models/ref"
""",
    """kind = "rows"
name = "fab"
[kafka]
bootstrap_servers = ["a:1", "b:2"]
[source]
topic = "rows"
time_column = "t"
[windows]
length = "1h"
[columns]
"a b" = "float"
c = "bool"
[rows]
model = "m"
alarm_rate = 0.01
""",
    """kind = "wafer"
name = "w"
kafka = { bootstrap_servers = ["a:1"] }
source = { topic = "t", time_column = "time" }
windows = { length = "1d" }
wafers = { model = "m", false_novel_rate = 0.02 }
""",
)


_LISTED = b'{"job": "a", "window_start_us": 3, "x": [1, null, {"y": "z"}]}'
_REFERENCE = b'{"desc": {"features": ["a", "b", "a,c", "c, b"], "fields": ["d"]}, "other": 1}'


def _read_job(case: Case) -> str:
    job = load_job(case.file("job.toml"))
    # A setting is found wrong when it is read, not later.
    ready(job)
    return ACCEPTED


def _read_reference(case: Case) -> str:
    parse_reference_model(case.data)
    return ACCEPTED


def _read_repairs(case: Case) -> str:
    read_repairs(case.file("repairs.jsonl"))
    return ACCEPTED


def _read_listed(case: Case) -> str:
    read_record(case.data, "t")
    return ACCEPTED


def _table(name: str, seeds: Callable[[], Sequence[bytes]], file: str, *, text: bool) -> tuple[Decoder, ...]:
    return (
        Decoder(f"table {name}", seeds, partial(_read_table, name=file), text=text),
        Decoder(f"rank {name}", seeds, partial(_read_rank, name=file), text=text),
    )


DECODERS = (
    *_table("csv", _csv_seeds, "t.csv", text=True),
    *_table("json", _json_seeds, "t.jsonl", text=True),
    *_table("parquet", _parquet_seeds, "t.parquet", text=False),
    Decoder("table packed", _packed_seeds, partial(_read_table, name="t.csv")),
    Decoder("vowpal wabbit", _vw_seeds, _read_vw, text=True),
    Decoder("vowpal wabbit map", lambda: [_MAP], _read_map, text=True),
    Decoder("labels", _label_seeds, _read_labels, text=True),
    Decoder("repairs", lambda: [_REPAIRS], _read_repairs, text=True),
    Decoder("reference model of outrank", lambda: [_REFERENCE], _read_reference, text=True),
    Decoder("job file", lambda: [text.encode() for text in _JOBS], _read_job, text=True),
    Decoder("listed record", lambda: [_LISTED], _read_listed, text=True),
)

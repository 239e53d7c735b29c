"""`sparsewatch wafers import`: what files hold arrives as the job reads it, the rest is set aside, numbers add up."""

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.job.broker_checks import check_broker
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.rejects.topics import Origin, SetAsideTopic
from sparsewatch.pipelines.wafer.settings import WaferJob
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, format_of, read_wafers
from sparsewatch.pipelines.wafer_import import file_rejects, publishing
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.wafers import WAFER_COLUMNS
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.records import Fetched
from tests.kit.job_files import write_wafer_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import Raw, read_all

TIME_US = 1_772_600_767_000_000


def klarf(wafer: str = "W1", time: str = "03-04-26 05:06:07", defects: int = 2, declared: int | None = None) -> str:
    rows = "\n".join(f" {i} {100 * i} 50 0 0" for i in range(1, defects + 1))
    return f"""FileVersion 1 2;
InspectionStationID "A" "B" "T7";
ResultTimestamp {time};
LotID "L1";
SampleSize 1 300;
OrientationMarkLocation DOWN;
DiePitch 4000 4000;
WaferID "{wafer}";
SampleCenterLocation 0 0;
DefectRecordSpec 5 DEFECTID XREL YREL XINDEX YINDEX;
DefectList
{rows};
SummarySpec 2 TESTNO NDEFECT;
SummaryList 1 {defects if declared is None else declared};
EndOfFile;
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["wafers", "import", *arguments])


def imported(broker: EmbeddedBroker, topic: str, *arguments: str) -> tuple[list[Raw], Result]:
    result = run(*arguments, "--topic", topic, "--bootstrap", broker.bootstrap, "--partitions", "2")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return read_all(broker.bootstrap, topic), result


def decoded(folder: Path, topic: str, records: Sequence[Raw], **source: str) -> pl.DataFrame:
    """What the wafer job makes of records."""
    job = load_job(write_wafer_job(folder, "localhost:1", topic, folder, time_column="time", **source))
    assert isinstance(job, WaferJob)
    runs = [[r for r in records if r.partition == p] for p in sorted({r.partition for r in records})]
    fetched = [
        Fetched(
            run[0].partition,
            [r.offset for r in run],
            [r.timestamp_ms for r in run],
            [r.value for r in run],
            [list(r.headers) for r in run],
            lambda i, run=run: run[i].key,  # type: ignore[misc]
            run[-1].offset + 1,
        )
        for run in runs
    ]
    found = decode(topic, fetched, ready(job).events)
    assert found.rejects == []
    return pl.DataFrame(found.rows)


def rejects_of(broker: EmbeddedBroker, topic: str) -> list[Any]:
    with SetAsideTopic(KafkaSettings(bootstrap_servers=[broker.bootstrap]), Origin(topic)) as rejects:
        return list(rejects.read())


def numbers(result: Result) -> dict[str, list[int]]:
    """Files and wafers of the closing line: all, imported, superseded, rejected; they add up."""
    found = {}
    for thing in ("file", "wafer"):
        pattern = rf"(\d+) {thing}s? = (\d+) import\w+ \+ (\d+) superseded \+ (\d+) rejected"
        match = re.search(pattern, result.output.replace("\n", " "))
        assert match is not None, result.output
        found[f"{thing}s"] = [int(n) for n in match.groups()]
        assert found[f"{thing}s"][0] == sum(found[f"{thing}s"][1:])
    return found


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_all_formats_arrive_as_the_job_reads_them(embedded_broker: EmbeddedBroker, tmp_path: Path, form: str) -> None:
    files = tmp_path / "in"
    (files / "deep").mkdir(parents=True)
    (files / "deep" / "a.001").write_text(klarf())
    (files / "b.klarf.gz").write_bytes(gzip.compress(klarf("W2", defects=0).encode()))
    (files / "map.txt").write_text("wafer: W3\nlot: L1\ntime: 2026-03-04 05:06:07\nmap:\n12\n11\n")
    rows = make_wafers(["grid", "normal"], np.random.default_rng(0), defects=9)
    table = pa.Table.from_batches([rows]).append_column("time", pa.array([TIME_US // 1000, TIME_US // 1000 + 1]))
    pq.write_table(table, files / "p.parquet")
    topic = f"import-{form}"
    records, result = imported(embedded_broker, topic, str(files), "--step", "M1", "--tool", "Tx", "--format", form)
    assert result.exit_code == 0, result.output
    assert numbers(result) == {"files": [4, 4, 0, 0], "wafers": [5, 5, 0, 0]}
    assert {r.partition for r in records} == ({0} if form == "json" else {0, 1})  # these ids have one hash
    wafers = decoded(tmp_path, topic, records).sort("wafer_id", "lot")
    assert wafers["_event_time_us"].to_list() == [TIME_US, TIME_US + 1000, TIME_US, TIME_US, TIME_US]
    expected = pa.concat_tables(
        [table.select(WAFER_COLUMNS.names)]
        + [
            pa.Table.from_batches([p.rows])
            for f in ("deep/a.001", "b.klarf.gz", "map.txt")
            for p in read_wafers(files / f, ReadOptions())
        ]
    )
    filled = pl.DataFrame(expected).with_columns(
        pl.when(pl.col("step") == "").then(pl.lit("M1")).otherwise("step").alias("step"),
        pl.when(pl.col("tool") == "").then(pl.lit("Tx")).otherwise("tool").alias("tool"),
    )
    assert wafers.select(WAFER_COLUMNS.names).equals(filled.sort("wafer_id", "lot"))


def test_a_bad_file_becomes_a_reject_with_its_bytes_and_its_fault(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    (tmp_path / "good.001").write_text(klarf())
    bad = tmp_path / "bad.001"
    bad.write_bytes(gzip.compress(klarf("W2", declared=7).encode()))
    records, result = imported(embedded_broker, "import-bad", f"{tmp_path}/*.001")
    assert result.exit_code == 1
    assert numbers(result) == {"files": [2, 1, 0, 1], "wafers": [1, 1, 0, 0]}
    assert [r.key for r in records] == [b"W1"]
    (reject,) = rejects_of(embedded_broker, "import-bad")
    assert reject.record.value == bad.read_bytes()
    assert (reject.record.code, reject.record.key) == ("count_mismatch", b"bad.001")
    assert "expected the 7 defects that SummaryList declares" in reject.record.message
    (raw,) = read_all(embedded_broker.bootstrap, "import-bad.rejects")
    headers = dict(raw.headers)
    assert headers["sparsewatch.file"] == str(bad).encode()
    assert headers["sparsewatch.error-class"] == b"WaferFileError"
    assert "sparsewatch.value" not in headers
    listed = CliRunner().invoke(cli, ["rejects", "list", "import-bad", "--bootstrap", embedded_broker.bootstrap])
    assert "count_mismatch" in listed.output


def test_a_job_takes_the_topic_of_rejects_that_an_import_made(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    (tmp_path / "cut.001").write_text(klarf()[:-40])
    result = run(f"{tmp_path}/cut.001", "--topic", "narrow", "--bootstrap", kafka_broker.bootstrap, "--partitions", "1")
    assert result.exit_code == 1
    made = ready(load_job(write_wafer_job(tmp_path, kafka_broker.bootstrap, "narrow", tmp_path, time_column="time")))
    assert check_broker(made) == (0,)


def test_of_a_large_bad_file_the_first_bytes_are_kept(
    embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_rejects, "WHOLE_FILE_BYTES", 300)
    monkeypatch.setattr(file_rejects, "CUT_FILE_BYTES", 100)
    bad = tmp_path / "bad.001"
    bad.write_text(klarf(declared=7))
    _, result = imported(embedded_broker, "import-large", str(bad), "--rejects", "elsewhere")
    assert result.exit_code == 1
    (raw,) = read_all(embedded_broker.bootstrap, "elsewhere")
    assert raw.value == bad.read_bytes()[:100]
    assert dict(raw.headers)["sparsewatch.value"] == f"the first 100 of {bad.stat().st_size} bytes".encode()


def test_a_wafer_too_large_for_the_job_is_rejected_and_the_others_arrive(
    embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_ALONE_BYTES", 500)
    (tmp_path / "f.jsonl").write_text("\n".join(json.dumps(event(f"W{i}", 10 if i != 1 else 2000)) for i in range(3)))
    job = write_wafer_job(
        tmp_path, embedded_broker.bootstrap, "import-wide", tmp_path, time_column="time", max_record_bytes="4KiB"
    )
    result = run(str(tmp_path / "f.jsonl"), "--job", str(job), "--partitions", "1")
    assert result.exit_code == 1
    assert numbers(result) == {"files": [1, 0, 0, 1], "wafers": [3, 2, 0, 1]}
    assert [r.key for r in read_all(embedded_broker.bootstrap, "import-wide")] == [b"W0", b"W2"]
    (reject,) = rejects_of(embedded_broker, "import-wide")
    assert reject.record.code == "too_large"
    assert "wafer 'W1': expected records of at most" in reject.record.message


def event(wafer: str, defects: int = 3, time: int = TIME_US // 1000, step: str = "M1") -> dict[str, Any]:
    points = [float(i) for i in range(defects)]
    names = {"wafer_id": wafer, "lot": "L1", "step": step, "tool": "T", "radius_um": 1e5}
    return {**names, "x_um": points, "y_um": points, "time": time}


def test_the_newest_inspection_counts_whatever_the_order_of_files(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    for name, time, defects in (("a", "03-04-26", 1), ("b", "03-06-26", 2), ("c", "03-05-26", 3)):
        (tmp_path / name).write_text(klarf(time=f"{time} 00:00:00", defects=defects))
    (tmp_path / "d").write_text(klarf("W2", defects=4))
    (tmp_path / "e").write_text(klarf("W2", defects=5))
    records, result = imported(embedded_broker, "import-retest", str(tmp_path))
    assert result.exit_code == 0
    assert numbers(result) == {"files": [5, 2, 3, 0], "wafers": [5, 2, 3, 0]}
    # Equal times: the file read later.
    assert sorted(len(json.loads(r.value or b"")["x_um"]) for r in records) == [2, 5]
    records, result = imported(embedded_broker, "import-retests", str(tmp_path), "--retests", "keep-all")
    assert numbers(result) == {"files": [5, 5, 0, 0], "wafers": [5, 5, 0, 0]}
    times = [json.loads(r.value or b"")["time"] for r in records]
    assert len(times) == 5
    assert all(times[i] <= times[i + 1] for i in range(4) if records[i].partition == records[i + 1].partition)


def test_other_steps_and_lots_are_no_retests(tmp_path: Path) -> None:
    events = [event("W1"), event("W1", step="M2"), event("W1") | {"lot": "L2"}, event("W1")]
    (tmp_path / "f").write_text("\n".join(map(json.dumps, events)))
    assert numbers(run(str(tmp_path / "f"), "--dry-run"))["wafers"] == [4, 3, 1, 0]


def test_wafers_without_a_time_get_made_ones_and_labels_if_asked(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    maps = np.ones((3, 4, 4), dtype=np.uint8)
    labels = np.array([[1, 1], [0, 0], [0, 1]])
    np.savez(tmp_path / "m.npz", maps=maps, labels=labels, label_names=np.array(["A", "B"]))
    arguments = (str(tmp_path / "m.npz"), "--label-column", "truth")
    assert isinstance(run(*arguments, "--dry-run").exception, ConfigError)
    start = ("--start", "2026-01-01", "--interval", "2s", "--time-format", "iso8601", "--time-column", "t")
    records, result = imported(embedded_broker, "import-maps", *arguments, *start)
    assert result.exit_code == 0
    events = sorted((json.loads(r.value or b"") for r in records), key=lambda e: e["t"])
    assert [e["t"] for e in events] == [f"2026-01-01T00:00:0{s}.000000Z" for s in (0, 2, 4)]
    assert [e["truth"] for e in events] == ["A+B", "normal", "B"]


def test_a_dry_run_needs_no_broker_and_gives_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(klarf())
    (tmp_path / "b").write_text(klarf(time="03-05-26 00:00:00"))
    (tmp_path / "c").write_text("garbage")
    result = run(str(tmp_path), "--dry-run")
    assert result.exit_code == 1
    assert numbers(result) == {"files": [3, 1, 1, 1], "wafers": [2, 1, 1, 0]}
    assert "4 defects listed, 0 duplicates" in result.output
    assert "[3/3] rejected (unknown_format)" in result.output


def test_counts_may_be_taken_from_the_list(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(klarf(declared=9))
    assert run(str(tmp_path / "a"), "--dry-run").exit_code == 1
    assert run(str(tmp_path / "a"), "--dry-run", "--counts", "listed").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.001", "--topic", "t", "--bootstrap", "h:1"), "no such file: nowhere.001"),
        (("nowhere/*.001", "--dry-run"), "no such file"),
        (("{file}",), "expected --topic T"),
        (("{file}", "--topic", "t"), "expected either a job file or --bootstrap"),
        (("{file}", "--dry-run", "--timezone", "Mars/Base"), "--timezone: expected a name such as"),
        (("{file}", "--dry-run", "--start", "soon"), "expected a time such as"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "a").write_text(klarf())
    result = run(*(text.replace("{file}", str(tmp_path / "a")) for text in arguments))
    assert isinstance(result.exception, ConfigError)
    assert re.search(message, str(result.exception))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "unknown_format"),
        (b"\x80\x04pickled", "unknown_format"),
        (b"PK\x03\x04 no zip", "unreadable"),
        (b"PAR1 no Parquet", "unreadable"),
        (b"ARROW1 no Arrow", "unreadable"),
        (b"\x1f\x8b no gzip", "unreadable"),
        (b"\x28\xb5\x2f\xfd no zstd", "unreadable"),
        (b'{"wafer_id": "a"}\n{"wafer_id":', "bad_event"),
        (b'{"wafer_id": "a", "lot": "b", "x_um": [1], "y_um": []}', "bad_event"),
        (b'{"wafer_id": "a", "x_um": [1], "y_um": [1]}', "bad_event"),
        (b'{"wafer_id": "a", "lot": "b", "time": -5, "x_um": [1], "y_um": [1]}', "bad_event"),
        (b'{"wafer_id": "a", "lot": "b", "time": "x", "x_um": [1], "y_um": [1]}', "bad_event"),
        (b'{"wafer_id": "a", "lot": "b", "time": 14102100, "x_um": [1], "y_um": [1]}', "bad_event"),
    ],
)
def test_files_of_no_wafers_are_rejected_by_name(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(SchemaError) as caught:
        list(read_wafers(tmp_path / "f", ReadOptions()))
    assert getattr(caught.value, "code", None) == code, caught.value


def test_a_pickle_is_refused_by_name_too(tmp_path: Path) -> None:
    (tmp_path / "LSWMD.pkl").write_bytes(b"anything")
    with pytest.raises(SchemaError, match="a pickle runs code when it is read"):
        format_of(tmp_path / "LSWMD.pkl")


@pytest.mark.parametrize("kind", ["parquet", "file", "stream", "jsonl"])
def test_events_come_back_as_they_were_written(tmp_path: Path, kind: str) -> None:
    rows = make_wafers(["grid", "normal", "donut"], np.random.default_rng(1), defects=5)
    times = pa.array([TIME_US, TIME_US + 1000, TIME_US + 2000], pa.timestamp("us", "UTC"))
    table = pa.Table.from_batches([rows]).append_column("time", times).append_column("label", pa.array(["a", "b", "c"]))
    path = tmp_path / "f"
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "jsonl":
        frame = pl.DataFrame(table).with_columns(pl.col("time").dt.epoch("ms"))
        path.write_text(frame.write_ndjson())
    else:
        make = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, make(sink, table.schema) as writer:
            writer.write_table(table)
    (found,) = read_wafers(path, ReadOptions())
    assert found.rows.equals(rows)
    assert found.times_us.tolist() == [TIME_US, TIME_US + 1000, TIME_US + 2000]
    assert found.labels == ["a", "b", "c"]


def test_the_real_folder_is_imported_but_for_what_is_bad(
    embedded_broker: EmbeddedBroker, tmp_path: Path, data_dir: Path
) -> None:
    folder = data_dir / "wafers" / "klarf"
    if not folder.is_dir():
        pytest.skip(f"needs real KLARF files: no folder {folder}")
    records, result = imported(embedded_broker, "import-real", str(folder), "--retests", "keep-all")
    assert result.exit_code == 1
    assert numbers(result)["wafers"] == [12, 12, 0, 0]
    wafers = decoded(tmp_path, "import-real", records)
    assert sorted(wafers["x_um"].list.len().to_list()) == sorted([12263, 22190, 56, 36, 95, 4, 2, 6, 1, 3, 1, 16])
    assert {(r.record.key, r.record.code) for r in rejects_of(embedded_broker, "import-real")} == {
        (b"jklarf_bad12.klarf", "missing_field"),
        (b"impro02_klarf_no_defect.000", "count_mismatch"),
    }


def disc_klarf(folder: Path, diameter_mm: int = 300, centre: int = 0) -> Path:
    """Defects all over a wafer of 300 mm, in dies of the wafer's size."""
    rng = np.random.default_rng(2)
    radii, angles = 148_000 * np.sqrt(rng.random(300)), 2 * np.pi * rng.random(300)
    rows = "\n".join(
        f" {i} {x + centre:.1f} {y + centre:.1f} 0 0"
        for i, (x, y) in enumerate(zip(radii * np.cos(angles), radii * np.sin(angles), strict=True))
    )
    text = klarf(defects=300).replace("4000 4000", "300000 300000").replace("Size 1 300", f"Size 1 {diameter_mm}")
    path = folder / "disc.001"
    path.write_text(re.sub(r"(DefectList\n).*?;", rf"\g<1>{rows};", text, flags=re.DOTALL))
    return path


@pytest.mark.parametrize(
    ("diameter", "centre", "code", "says"),
    [
        (300, 0, 0, None),
        (200, 0, 1, "they fit a wafer of 300 mm, not 200 mm"),
        (300, 150_000, 1, r"they fit about the point 1\d\d, 1\d\d mm: is the centre wrong\?"),
        (290, 0, 0, r"note: wafer 'W1': \d+ of 300 defects \(\d%\) lie outside its radius of 145 mm"),
    ],
)
def test_defects_outside_of_their_wafer_are_told_of(
    tmp_path: Path, diameter: int, centre: int, code: int, says: str | None
) -> None:
    result = run(str(disc_klarf(tmp_path, diameter, centre)), "--dry-run")
    assert result.exit_code == code, result.output
    assert ("rejected (outside_wafer)" in result.output) == (code == 1)
    assert says is None or re.search(says, result.output), result.output
    assert says is not None or "note:" not in result.output


def test_a_note_says_how_die_origin_was_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(klarf().replace("WaferID", "DieOrigin 500 0;\nWaferID"))
    assert "note: wafer 'W1': DieOrigin 500, 0 um is added" in run(str(tmp_path / "a"), "--dry-run").output
    assert "note:" not in run(str(tmp_path / "a"), "--dry-run", "--die-origin", "added").output


def test_wafers_of_one_name_in_two_slots_are_no_inspections_of_one(tmp_path: Path) -> None:
    for slot in (1, 2):
        (tmp_path / f"{slot}").write_text(klarf().replace("Sample", f"Slot {slot};\nSample", 1))
    assert numbers(run(str(tmp_path), "--dry-run"))["wafers"] == [2, 2, 0, 0]


def test_dies_of_maps_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("wafer: W\nlot: L\nmap:\n.1\n12\n")
    result = run(str(tmp_path / "a.txt"), "--dry-run", "--start", "2026-01-01")
    assert "a.txt: bin map, 1 wafer, 2 good and 1 failing dies" in result.output

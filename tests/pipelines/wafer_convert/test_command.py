"""`sparsewatch wafers convert`: KLARF, SINF and maps with a table of labels become what `train wafer` reads."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.wafer_convert.labels import Labels
from sparsewatch.pipelines.wafer_files.labelled import read_labelled_wafers
from sparsewatch.schemas.errors import ConfigError
from tests.kit.wafer_models import KNOWN, fresh_wafers, labelled_wafers
from tests.kit.wafer_texts import DrawnWafer, draw_map, klarf12, sinf

WAFERS = [
    DrawnWafer("W1", 1, (0, 0), [(1, 10, 20, 0, 0, 1), (2, 30, 40, 1, 1, 1)]),
    DrawnWafer("W2", 2, (0, 0), []),
    DrawnWafer("W3", 3, (0, 0), [(1, 50, 60, -1, 0, 1)]),
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two KLARFs of one name in two folders and a SINF."""
    folder = tmp_path / "files"
    for number, wafers in enumerate((WAFERS[:2], WAFERS[2:]), 1):
        (folder / f"lot{number}").mkdir(parents=True)
        text = klarf12(wafers).replace('"L1"', f'"L{number}"')
        (folder / f"lot{number}" / "a.001").write_text(text)
    (folder / "sort.txt").write_text(sinf(draw_map(random.Random(1))).replace("LOT:L1", "LOT:S"))
    return folder


def convert(files: Path, labels: str | None, *options: str) -> Result:
    arguments = [str(files), "--out", str(files.parent / "out.parquet"), *options]
    if labels is not None:
        (files.parent / "labels.csv").write_text(labels)
        arguments += ["--labels", str(files.parent / "labels.csv")]
    result = CliRunner().invoke(cli, ["wafers", "convert", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def written(files: Path) -> dict[tuple[str, str], str]:
    """Labels by lot and wafer."""
    wafers = read_labelled_wafers(files.parent / "out.parquet")
    names = zip(wafers.rows["lot"].to_pylist(), wafers.rows["wafer_id"].to_pylist(), strict=True)
    return dict(zip(names, wafers.labels, strict=True))


ALL = {("L1", "W1"): "scratch", ("L1", "W2"): "normal", ("L2", "W3"): "donut+scratch", ("S", "W1"): "ring"}


@pytest.mark.parametrize(
    "labels",
    [
        "lot,wafer,label\nL1,W1,scratch\nL1,W2,normal\nL2,W3,donut+scratch\nS,W1,ring\n",
        "\ufeffLabel,WAFER_ID,lot,by\nscratch,W1,L1,me\nnormal,W2,L1,\nring,W1,S,\ndonut+scratch,W3,L2,\n",
        "file,wafer,label\nlot1/a.001,W1,scratch\nlot1/a.001,W2,normal\na.001,W3,donut+scratch\nsort.txt,W1,ring\n",
        "lot,slot,label\nL1,01,scratch\nL1,2,normal\nL2,3,donut+scratch\nS,,ring\n",
    ],
)
def test_each_wafer_gets_the_label_its_keys_say(files: Path, labels: str) -> None:
    result = convert(files, labels)
    assert result.exit_code == 0, result.output
    assert written(files) == ALL
    assert "3 files = 3 read + 0 rejected; 4 wafers = 4 written + 0 without a label; 4 labels = 4 used" in result.output
    rows = pq.read_table(files.parent / "out.parquet")
    assert rows["x_um"].to_pylist()[0] == [x for x, _ in WAFERS[0].points]
    assert rows["time"].null_count == 1


def test_what_found_nothing_is_named_and_what_cannot_be_read_is_left_out(files: Path) -> None:
    (files / "cut.001").write_text(klarf12(WAFERS)[:-30])
    labels = "lot,wafer,label\nL1,W1,scratch\nL1,W2,\nL9,W7,donut\nS,W1,ring\n"
    result = convert(files, labels)
    assert result.exit_code == 1
    assert written(files) == {("L1", "W1"): "scratch", ("S", "W1"): "ring"}
    assert "2 wafers without a label: wafer W2, lot L1, step M1, slot 2; wafer W3, lot L2, step M1, slot 3" in (
        result.output
    )
    assert "1 label without a wafer: lot L9, wafer W7" in result.output
    assert f"rejected: {files / 'cut.001'}, line" in result.output
    assert "4 files = 3 read + 1 rejected; 4 wafers = 2 written + 2 without a label; 3 labels = 2 used" in result.output


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("lot,wafer,name\nL1,W1,a\n", "expected a column 'label' and one or more of file, lot, wafer, slot, step"),
        ("die,label\n1,a\n", "expected a column 'label' and one or more of"),
        ("lot,wafer,label\nL1,W1,\n", "expected labels, got a table without any"),
        ("lot,label\nL1,a\nL1,b\n", "expected one label for lot L1, got 'a' and 'b'"),
        ("lot,wafer,label\nL9,W1,a\n", "such as wafer W1, lot L1, step M1, slot 1; wafer W2"),
        (None, "the files have none of their own: --labels names a table"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_and_nothing_is_written(
    files: Path, labels: str | None, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        convert(files, labels)
    assert says in str(caught.value)
    assert not list(files.parent.glob("out.parquet*"))


def test_a_labelled_file_is_converted_with_its_own_labels(files: Path) -> None:
    convert(files, "lot,label\nL1,scratch\nL2,normal\nS,ring\n")
    first = written(files)
    again = files.parent / "again.parquet"
    result = CliRunner().invoke(
        cli, ["wafers", "convert", str(files.parent / "out.parquet"), "--out", str(again), "--step", "S9"]
    )
    assert result.exit_code == 0, result.output
    assert (
        pq.read_table(again)
        .drop_columns("step")
        .equals(pq.read_table(files.parent / "out.parquet").drop_columns("step"))
    )
    assert set(first.values()) == {"scratch", "normal", "ring"}
    assert set(pq.read_table(again)["step"].to_pylist()) == {"M1", "S9"}


HEAD = """FileVersion 1 2;
FileTimestamp 03-04-2026 00:00:00;
LotID "{lot}";
SampleSize 1 300;
OrientationMarkLocation DOWN;
DiePitch 300000 300000;
"""
WAFER = """WaferID "{wafer}";
SampleCenterLocation 0 0;
DefectRecordSpec 4 XREL YREL XINDEX YINDEX;
DefectList{rows};
"""


@pytest.mark.torch
def test_what_is_converted_trains_a_model(tmp_path: Path) -> None:
    rows, labels = labelled_wafers(250)
    lots: dict[str, list[dict[str, object]]] = {}
    for row in rows.to_pylist():
        lots.setdefault(row["lot"], []).append(row)
    for lot, wafers in lots.items():
        listed = [
            WAFER.format(
                wafer=wafer["wafer_id"],
                rows="".join(f"\n {x:.3f} {y:.3f} 0 0" for x, y in zip(wafer["x_um"], wafer["y_um"], strict=True)),  # type: ignore[call-overload]
            )
            for wafer in wafers
        ]
        (tmp_path / f"{lot}.klarf").write_text(HEAD.format(lot=lot) + "".join(listed) + "EndOfFile;\n")
    table = "wafer,label\n" + "".join(f"{w},{n}\n" for w, n in zip(rows["wafer_id"].to_pylist(), labels, strict=True))
    (tmp_path / "labels.csv").write_text(table)
    run = CliRunner().invoke
    out = tmp_path / "labelled.parquet"
    options = ["--labels", str(tmp_path / "labels.csv"), "--out", str(out)]
    converted = run(cli, ["wafers", "convert", str(tmp_path / "*.klarf"), *options])
    assert converted.exit_code == 0, converted.output
    training = ["--out", str(tmp_path / "m"), "--epochs", "1", "--grid", "128", "--false-novel-rate", "0.1"]
    trained = run(cli, ["train", "wafer", str(out), *training])
    assert trained.exit_code == 0, trained.output
    model = WaferModel.load(tmp_path / "m")
    assert (set(model.classes), model.inputs) == (set(KNOWN), "lists")
    assert {*model.recognise(fresh_wafers("edge_ring", 4))["verdict"].to_pylist()} <= {"known", "normal", "novel"}


def test_labels_and_ids_are_texts_whatever_case_their_columns_have(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("LOT,Wafer,Class\n01,007,1\n01,008,2\n")
    assert Labels.read(path).by_key == {("01", "007"): "1", ("01", "008"): "2"}

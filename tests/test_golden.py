"""Bytes that earlier releases stored are read, or refused by name: a golden file for each format and each model."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.number_bins import NO_BINS, NumberBins
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.schemas.errors import ModelError, StateError
from sparsewatch.schemas.stored import Format, batch_from_bytes, table_to_bytes
from sparsewatch.testing import golden
from tests.kit import stored_formats, stored_models
from tests.kit.stored_formats import GOLDEN, Stored
from tests.kit.stored_models import MODELS

EACH_FORMAT = pytest.mark.parametrize("stored", stored_formats.STORED, ids=lambda stored: stored.file)
EACH_NAMED_FORMAT = pytest.mark.parametrize(
    "stored", [stored for stored in stored_formats.STORED if stored.of is not None], ids=lambda stored: stored.file
)
EACH_MODEL = pytest.mark.parametrize("name", stored_models.STORED)
ROOT = Path(__file__).resolve().parents[1]
LARGEST_BYTES = 100_000
ROOMS = ("schemas", "detectors", "transforms", "pipelines")
CODE = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
BY_FILE = {stored.file: stored for stored in stored_formats.STORED}
#: Files whose bytes state their version (a block's does, too: see `tests/transforms/test_coders.py`).
STATES_A_VERSION = (
    "column-sketches-1.msgpack",
    "encoder-statistics-1.msgpack",
    "feature-counts-2.arrow",
    "file-sample-1.msgpack",
    "row-sample-1.arrow",
)
#: Where bytes are decoded without a `Format`, and why.
OTHER_DECODING = {
    "schemas/stored.py": "here formats are decoded",
    "detectors/artefacts/artefact.py": "a manifest has a format of its own, and golden folders",
    "detectors/artefacts/versions.py": "its errors name the file; it has a golden file",
    "detectors/outrank/reference_model.py": "another program's file",
    "transforms/codecs/arrow.py": "a user's events",
    "transforms/codecs/json.py": "a user's events",
    "transforms/codecs/other_fields.py": "a user's events",
    "transforms/codecs/plain_records.py": "a user's events",
    "transforms/coders.py": "spans of a block, within its format",
    "transforms/kafka/source.py": "settings of a graph, which its own process reads",
    "pipelines/notify/alertmanager.py": "an Alertmanager's answers",
    "pipelines/records/reading.py": "JSON records, shown as they are",
    "pipelines/rejects/repairs.py": "a user's file",
    "pipelines/tables/json_files.py": "a user's file",
    "pipelines/wafer_files/events.py": "a user's file",
    "pipelines/wafer_files/klarf/version18.py": "a user's file",
    "pipelines/demo/command.py": "records of this process's own jobs",
    "pipelines/demo/watch.py": "records of this process's own jobs",
    "pipelines/web_console/history.py": "records as they came, of the console's own store",
    "pipelines/web_console/views/decide.py": "an order that was just written",
}


@EACH_FORMAT
def test_stored_bytes_say_what_they_said(stored: Stored) -> None:
    assert stored.decode((GOLDEN / stored.file).read_bytes()) == stored.decode(stored.encode())


@EACH_FORMAT
def test_equal_states_give_the_bytes_that_are_stored(stored: Stored) -> None:
    if stored.exact:
        golden(GOLDEN / stored.file, stored.encode())


def foreign(stored: Stored) -> Iterator[bytes]:
    """Bytes that are not of a format: none, text, a pickle, a struct of other fields, half of what is stored."""
    yield b""
    yield b"no"
    yield b"\x80\x04K\x01."
    yield msgspec.msgpack.encode({"other": 1})
    yield msgspec.msgpack.encode([["other"]])
    yield msgspec.json.encode(["other"])
    # A name that is no UTF-8, in both; and nesting without end.
    yield b"\x82\xa1\xff\x01\xa7version\x01"
    yield b'{"\xff": 1, "version": 1}'
    yield b"\x91" * 5000
    yield b"[" * 5000
    # Any record batch is one.
    if stored.file != "record-batch-1.arrow":
        yield table_to_bytes(pa.record_batch({"other": [1]}))
    data = (GOLDEN / stored.file).read_bytes()
    yield data[: len(data) // 2]


@EACH_NAMED_FORMAT
def test_bytes_of_another_format_are_refused_by_name(stored: Stored) -> None:
    assert stored.of is not None
    for data in foreign(stored):
        with pytest.raises(StateError, match=f"expected {stored.of.what}"):
            stored.decode(data)


@pytest.mark.parametrize("file", [file for file in STATES_A_VERSION if file.endswith(".msgpack")])
def test_another_version_in_messagepack_is_refused_by_number(file: str) -> None:
    state = msgspec.msgpack.decode((GOLDEN / file).read_bytes())
    later = msgspec.msgpack.encode(state | {"version": 99, "added": True})
    with pytest.raises(StateError, match=r"of version \d, got 99"):
        BY_FILE[file].decode(later)


@pytest.mark.parametrize("file", [file for file in STATES_A_VERSION if file.endswith(".arrow")])
def test_another_version_in_arrow_is_refused_by_number(file: str) -> None:
    batch = batch_from_bytes((GOLDEN / file).read_bytes())
    ((key, header),) = batch.schema.metadata.items()
    later = msgspec.json.encode(msgspec.json.decode(header) | {"version": 99, "added": True})
    with pytest.raises(StateError, match=r"of version \d, got 99"):
        BY_FILE[file].decode(table_to_bytes(batch.replace_schema_metadata({key: later})))


def test_every_format_has_a_golden_file_of_its_version() -> None:
    found = {
        Format(*(ast.literal_eval(argument) for argument in node.args))
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == Format.__name__
    }
    files = {stored.of: stored.file for stored in stored_formats.STORED if stored.of is not None}
    assert found == set(files)
    for format_, file in files.items():
        assert f"-{format_.version}" in file


def test_stored_bytes_are_decoded_by_their_format_alone() -> None:
    decoding = {
        str(path.relative_to(ROOT))
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and (
            node.attr in ("open_stream", "open_file", "Decoder")
            or (node.attr == "decode" and ast.unparse(node.value) in ("msgspec.msgpack", "msgspec.json"))
        )
    }
    assert decoding - OTHER_DECODING.keys() == set()


@EACH_MODEL
def test_stored_models_score_as_they_did(name: str) -> None:
    # Loading compares the scores of drawn inputs with those that are stored.
    assert stored_models.load(MODELS / name) is not None


def test_stored_row_models_judge_rows() -> None:
    for name in METHODS:
        model = stored_models.load(MODELS / f"rows-{name}")
        assert isinstance(model, RowModel)
        scores = model.score(stored_models.rows().combine_chunks().to_batches()[0])
        assert model.method == name
        assert np.isfinite(scores).all()


def test_stored_references_know_the_values_they_were_fitted_to() -> None:
    for name, max_values in (("reference", 64), ("reference-beyond-the-cap", 8)):
        stored, fitted = Reference.load(MODELS / name), fit_reference(stored_models.windows(max_values))
        assert stored.hash_limits == fitted.hash_limits
        assert {n: v.to_list() for n, v in stored.known_values.items()} == {
            n: v.to_list() for n, v in fitted.known_values.items()
        }


def test_a_stored_reference_knows_its_hours_and_an_older_one_has_none() -> None:
    stored = Reference.load(MODELS / "reference-by-hour")
    assert stored.volume_by_hour is not None
    assert stored.click_rate_by_hour is not None
    for rhythm in (stored.volume_by_hour, stored.click_rate_by_hour):
        assert (rhythm.kind, len(rhythm.hours)) == ("hour of day", 24)
        assert rhythm.hours[15].mean > 2 * rhythm.hours[3].mean
    older = Reference.load(MODELS / "reference")
    assert older.sample is None
    assert (older.volume_by_hour, older.click_rate_by_hour, older.left_out) == (None, None, 0)


def test_a_stored_reference_knows_where_its_numbers_lie_and_an_older_one_counts_by_value() -> None:
    stored = Reference.load(MODELS / "reference-in-bins")
    fitted = fit_reference(stored_models.windows(64, numbers=("hour",)))
    assert stored.bins == fitted.bins == NumberBins(("hour",), 5)
    assert stored.numbers.keys() == {"hour"}
    assert stored.numbers["hour"].borders.tolist() == fitted.numbers["hour"].borders.tolist()
    assert stored.numbers["hour"].figures.tolist() == fitted.numbers["hour"].figures.tolist()
    assert (Reference.load(MODELS / "reference").bins, Reference.load(MODELS / "reference").numbers) == (NO_BINS, {})


def test_a_stored_reference_holds_the_rows_it_was_given() -> None:
    stored, fitted = Reference.load(MODELS / "reference-with-rows").sample, stored_models.reference_with_rows().sample
    assert stored is not None
    assert stored.equals(fitted)


@pytest.mark.parametrize("file", stored_formats.REFUSED)
def test_what_an_earlier_release_stored_otherwise_is_refused_by_name(file: str) -> None:
    decode, says = stored_formats.REFUSED[file]
    with pytest.raises(StateError, match=says):
        decode((GOLDEN / file).read_bytes())


@pytest.mark.parametrize("name", stored_models.REFUSED)
def test_a_model_of_an_earlier_release_is_refused_with_the_command_that_makes_it_anew(name: str) -> None:
    with pytest.raises(ModelError, match=stored_models.REFUSED[name]):
        stored_models.load(MODELS / name)


def test_golden_files_are_small_and_each_is_of_a_format() -> None:
    files = {path for path in GOLDEN.rglob("*") if path.is_file()}
    assert max(path.stat().st_size for path in files) < LARGEST_BYTES
    assert {path.name for path in files if path.parent == GOLDEN} == {
        *BY_FILE,
        *stored_formats.REFUSED,
    }
    assert {path.parents[1].name for path in files if path.parent != GOLDEN} == {
        *stored_models.STORED,
        *stored_models.REFUSED,
    }

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.explanation import explain_wafers
from sparsewatch.detectors.wafers.occlusion import OcclusionConfig
from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.wafer_explain.wording import facts
from sparsewatch.schemas.errors import ConfigError, ModelError, SchemaError
from tests.kit.command_line import Command, assert_refused
from tests.kit.wafer_models import tiny_model

STRANGE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "wafer"
    tiny_model().save(folder, metrics={}, training={})
    return folder


@pytest.fixture(scope="module")
def lot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of wafers without labels; one has a strange name."""
    patterns = [*["edge_ring"] * 4, *["center"] * 4, *["normal"] * 4, *["half_moon"] * 3]
    rows = make_wafers(patterns, np.random.default_rng(3), defects=(30, 40))
    ids = rows["wafer_id"].to_pylist()
    ids[-1] = STRANGE
    path = tmp_path_factory.mktemp("lot") / "lot.parquet"
    pq.write_table(pa.Table.from_batches([rows]).set_column(0, "wafer_id", pa.array(ids)), path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["wafers", "explain", *map(str, arguments)])


def test_the_most_novel_wafers_are_explained_first(model: Path, lot: Path) -> None:
    result = run(lot, "--model", model, "--most", 3, "--tiles", 40)
    assert result.exit_code == 0, result.output
    said = tiny_model().recognise(pq.read_table(lot).to_batches()[0])
    ids = pq.read_table(lot)["wafer_id"].to_pylist()
    order = np.argsort(-said["novelty"].to_numpy())[:3]
    headings = [line.split(",")[0] for line in result.output.splitlines() if line and not line.startswith(" ")]
    assert headings == [ids[i] for i in order]
    for line in ("verdict", "defects", "most like"):
        assert len(re.findall(rf"^  {line} ", result.output, re.MULTILINE)) == 3


def test_wafers_asked_for_are_explained_in_that_order_as_json(model: Path, lot: Path, tmp_path: Path) -> None:
    out = tmp_path / "why.json"
    result = run(lot, "--model", model, "--wafer", "W000005", "--wafer", "W000001", "--out", out, "--tiles", 40)
    assert result.exit_code == 0, result.output
    assert "2 of 15 wafers explained" in result.output
    first, second = json.loads(out.read_text())
    assert (first["wafer_id"], second["wafer_id"]) == ("W000005", "W000001")
    said = tiny_model().recognise(pq.read_table(lot).to_batches()[0]).to_pylist()
    for one, expected in ((first, said[5]), (second, said[1])):
        assert one["verdict"] == expected["verdict"]
        assert one["p_value"] == pytest.approx(expected["p_value"])
        assert len(one["nearest"]) == 5
        for evidence in one["evidence"]:
            assert {len(values) for values in evidence["defects"].values()} == {one["defects"]}
            assert np.sum(evidence["zones"]["area"]) == pytest.approx(1, abs=1e-3)
            assert sum(evidence["tiles"]["defects"]) == one["defects"]


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_page_holds_its_pictures_names_them_and_needs_nothing_else(model: Path, lot: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "why.html"
    result = run(lot, "--model", model, "--most", 15, "--out", out, "--tiles", 20)
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert STRANGE not in text
    assert "&lt;script&gt;" in text
    page = _Page(text)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) >= 15
    assert all(str(p["src"]).startswith("data:image/png;base64,") and p["alt"] for p in pictures)
    # The frame's own script, and nothing from elsewhere.
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "url(" not in text
    assert "Where the defects of wafers with the pattern" in text


def test_a_page_and_json_say_what_the_screen_says(model: Path, lot: Path, tmp_path: Path) -> None:
    arguments = (lot, "--model", model, "--wafer", "W000000", "--tiles", 40)
    screen = run(*arguments).output
    (one,) = json.loads(run(*arguments, "--format", "json").output)
    assert one["where"] in screen
    assert all(evidence["where"] in screen for evidence in one["evidence"])


def test_wrong_requests_end_with_their_reason(model: Path, lot: Path, tmp_path: Path) -> None:
    unknown = run(lot, "--model", model, "--wafer", "W9")
    assert isinstance(unknown.exception, ConfigError)
    assert "expected wafers of the file's 15, such as W000000; got W9" in str(unknown.exception)
    page = run(lot, "--model", model, "--format", "html")
    assert isinstance(page.exception, ConfigError)
    assert "needs --out" in str(page.exception)
    assert isinstance(run(lot, "--model", tmp_path / "none").exception, ModelError)
    assert isinstance(run(tmp_path / "none.npz", "--model", model).exception, SchemaError)
    assert run(lot).exit_code == 2


@pytest.mark.parametrize("option", ["--most", "--tiles"])
def test_numbers_outside_their_range_are_refused(sparsewatch: Command, model: Path, lot: Path, option: str) -> None:
    answer = sparsewatch("wafers", "explain", lot, "--model", model, option, 0)
    assert_refused(answer, f"{option}: expected a whole number of at least 1, got 0")


def test_a_single_defect_is_counted_in_the_singular(lot: Path) -> None:
    rows = pq.read_table(lot).to_batches()[0]
    one, evidence = next(
        (one, evidence)
        for one in explain_wafers(tiny_model(), rows, OcclusionConfig(tiles=20))
        for evidence in one.evidence
        if evidence.left is not None
    )
    single = replace(one, evidence=(replace(evidence, inside=1),))
    assert any("; without the 1 defect there " in fact.text for fact in facts(single, tiny_model()))


def test_help_teaches_by_example() -> None:
    said = run("--help").output
    assert "sparsewatch wafers explain lot.npz --model models/wafer" in said
    assert "most novel first" in " ".join(said.split())

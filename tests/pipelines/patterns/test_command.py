"""From the first wafers of a new pattern to its name: raised, seen, named, and known from the next wafer on."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.open_set.emerging import Cluster, whitening
from sparsewatch.detectors.wafers.emerging_pattern import Found, raise_pattern
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.patterns import command as commands
from sparsewatch.pipelines.patterns.command import patterns
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.pipelines.wafer.pattern_book import PatternBook, decision_record, pattern_record
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.patterns import Decision, Pattern
from sparsewatch.testing import EmbeddedBroker
from tests.kit.novel_wafers import new_pattern_wafers
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.kit.wafer_models import fresh_wafers, labelled_wafers, tiny_model

START_MS = 1_767_225_600_000


def job_file(folder: Path, bootstrap: str = "nowhere:1") -> Path:
    path = folder / "fab.toml"
    path.write_text(
        f"""
kind = "wafer"
name = "fab"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "fab"
time_column = "time"
[windows]
length = "10m"
[wafers]
model = "{folder}/model"
[wafers.patterns]
windows = 2
history = 10
level = 0.3
false_patterns_per_day = 20.0
"""
    )
    return path


def pattern(number: int, space: str | None = None) -> Pattern:
    model = tiny_model()
    members = new_pattern_wafers(model, [number + i for i in range(5)], np.random.default_rng(number))
    if space is not None:
        members = [msgspec.structs.replace(member, space=space) for member in members]
    found = Found("fab", "model/0001", number, Cluster(np.arange(5), 9.0, 0.1), 5.0)
    return raise_pattern(found, members, whitening(model.novelty.within))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, PatternBook]:
    """A job file, and a book in memory that its commands read and write."""
    book = PatternBook()

    def decide(_: object, *decisions: Decision) -> None:
        for decision in decisions:
            record = decision_record("fab.patterns", decision)
            book.take(record.key, record.value)

    monkeypatch.setattr(commands, "_read", lambda _: book)
    monkeypatch.setattr(commands, "_decide", decide)
    tiny_model().save(tmp_path / "model", metrics={"macro_f1": 0.9}, training={"wafers": 700})
    return job_file(tmp_path), book


def add(book: PatternBook, *found: Pattern) -> list[str]:
    for one in found:
        record = pattern_record("fab.patterns", one)
        book.take(record.key, record.value)
    return [one.id for one in found]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(patterns, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_named_pattern_is_in_a_new_version_and_is_decided(job: tuple[Path, PatternBook]) -> None:
    path, book = job
    [id_] = add(book, pattern(10))
    said = invoke("name", path, id_[:4], "moon")
    assert f"{id_} is now 'moon': 5 wafers, known to model/0002" in said.output
    model = WaferModel.load(path.parent / "model")
    assert (model.id, "moon" in model.classes, model.space) == ("model/0002", True, tiny_model().space)
    manifest = json.loads((path.parent / "model/0002/manifest.json").read_bytes())["meta"]
    assert manifest["metrics"] == {"macro_f1": 0.9}
    assert manifest["training"] == {
        "wafers": 700,
        "patterns": [{"name": "moon", "pattern": id_, "job": "fab"}],
    }
    assert book.status(id_) == "named"
    with pytest.raises(ConfigError, match=f"{id_} is named 'moon' already"):
        invoke("dismiss", path, id_)


def test_merged_patterns_are_named_from_the_wafers_of_all(job: tuple[Path, PatternBook]) -> None:
    path, book = job
    first, second, third = add(book, pattern(10), pattern(20), pattern(30))
    assert f"{second}, {third} merged into {first}, 15 wafers" in invoke("merge", path, first, second, third).output
    assert "15 wafers" in invoke("name", path, third, "moon").output
    assert [book.status(id_) for id_ in (first, second, third)] == ["named"] * 3
    with pytest.raises(ConfigError, match="expected at least two different patterns"):
        invoke("merge", path, second, third)


def test_a_dismissed_pattern_is_listed_only_if_asked_for(job: tuple[Path, PatternBook]) -> None:
    path, book = job
    kept, gone = add(book, pattern(10), pattern(20))
    assert "is dismissed" in invoke("dismiss", path, gone).output
    open_ones, all_ones = invoke("list", path).output, invoke("list", path, "--all").output
    assert (kept in open_ones, gone in open_ones, gone in all_ones) == (True, False, True)
    assert "1 of 2 patterns of job 'fab'" in open_ones


def test_the_list_as_json_holds_every_wafer(job: tuple[Path, PatternBook]) -> None:
    path, book = job
    [id_] = add(book, pattern(10))
    line = json.loads(invoke("list", path, "--json").stdout)
    assert (line["id"], line["status"], line["wafers"], line["nearest"]) == (id_, "open", 5, {"edge_ring": 5})
    assert [member["wafer_id"] for member in line["members"]] == [f"W{10 + i}" for i in range(5)]


def test_what_came_from_outside_is_shown_so_that_it_does_no_harm(job: tuple[Path, PatternBook]) -> None:
    path, book = job
    evil = msgspec.structs.replace(pattern(10), tools={"[red]\x1b[2J": 5}, nearest={"$x^2$\x07": 5})
    add(book, evil)
    shown = invoke("list", path, "--pictures", path.parent / "seen").output
    assert "\x1b" not in shown
    assert "[red]\\x1b[2J" in shown.replace("\n", "")
    assert (path.parent / "seen" / f"{evil.id}.png").stat().st_size > 5_000


def test_wafers_of_another_network_cannot_be_named(job: tuple[Path, PatternBook]) -> None:
    path, book = job
    [id_, other] = add(book, pattern(10, space="another"), pattern(20))
    with pytest.raises(ConfigError, match=r"embedded by another network \(another\)"):
        invoke("name", path, id_, "moon")
    with pytest.raises(ConfigError, match="embedded by different networks"):
        invoke("merge", path, id_, other)
    assert book.decisions == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("name", "P0", "moon"), "expected the id of one pattern, got 'P0'"),
        (("name", "P", "moon"), "expected the id of one pattern, got 'P'"),
        (("dismiss", ""), "expected the id of one pattern, got ''"),
    ],
)
def test_an_id_must_be_one_patterns(job: tuple[Path, PatternBook], arguments: tuple[str, ...], message: str) -> None:
    path, book = job
    add(book, msgspec.structs.replace(pattern(10), id="P1a"), msgspec.structs.replace(pattern(20), id="P1b"))
    with pytest.raises(ConfigError, match=message):
        invoke(arguments[0], path, *arguments[1:])


def test_a_name_that_is_taken_is_refused_and_nothing_is_written(job: tuple[Path, PatternBook]) -> None:
    path, book = job
    [id_] = add(book, pattern(10))
    with pytest.raises(ConfigError, match="'center'"):
        invoke("name", path, id_, "center")
    assert (book.decisions, sorted(p.name for p in (path.parent / "model").glob("0*"))) == ({}, ["0001"])


def events(rows: pa.RecordBatch, first: int) -> list[bytes]:
    """A wafer every 20 s, each of a lot of its own."""
    return [
        json.dumps({**row, "time": START_MS + 20_000 * (first + i), "lot": f"L{first + i}"}).encode()
        for i, row in enumerate(rows.to_pylist())
    ]


def test_a_new_pattern_is_raised_named_and_known_from_the_next_wafer_on(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    bootstrap, path = embedded_broker.bootstrap, job_file(tmp_path, embedded_broker.bootstrap)
    tiny_model().save(tmp_path / "model", metrics={}, training={})
    create_topic(bootstrap, "fab")
    known, new = labelled_wafers(330, seed=7)[0], fresh_wafers("half_moon", 14, seed=8)
    produce(bootstrap, "fab", ((0, event) for event in [*events(known, 0), *events(new, 330)]))
    run_job(load_job(path), "latest", "inprocess")

    alerts = [json.loads(record.value or b"") for record in read_all(bootstrap, "fab.alerts")]
    raised = [alert for alert in alerts if alert["rule"] == "emerging_pattern"]
    late = [alert for alert in raised if alert["window_end_us"] > (START_MS + 330 * 20_000) * 1000]
    assert late, alerts
    assert len(raised) - len(late) <= 1
    id_ = late[0]["subject"]
    assert id_ in invoke("list", path, "--pictures", tmp_path / "seen").output
    assert (tmp_path / "seen" / f"{id_}.png").is_file()
    assert "known to model/0002" in invoke("name", path, id_, "moon").output

    again = fresh_wafers("half_moon", 20, seed=9)
    produce(bootstrap, "fab", ((0, event) for event in events(again, 400)))
    run_job(load_job(path), "latest", "inprocess")
    results = newest_by_key(read_all(bootstrap, "fab.wafers"))
    later = [r for r in results.values() if r["event_time_us"] >= (START_MS + 400 * 20_000) * 1000]
    assert {r["model"] for r in later} == {"model/0002"}
    assert sum(r["pattern"] == "moon" and r["verdict"] == "known" for r in later) >= 14
    alerts = [json.loads(record.value or b"") for record in read_all(bootstrap, "fab.alerts")]
    assert sum(alert["rule"] == "emerging_pattern" for alert in alerts) == len(raised)

"""An emerging pattern is named by mouse: the model knows it, and the job's own topic says so."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.wafer.pattern_book import pattern_record, read_patterns
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.open import open_writer
from tests.kit.topics import create_topic
from tests.kit.wafer_models import tiny_model
from tests.pipelines.notify.incident_records import incident
from tests.pipelines.patterns.test_command import job_file, pattern
from tests.pipelines.web_console.browsing import Browser, browsing
from tests.pipelines.web_console.filled import fill

pytestmark = pytest.mark.torch
#: Another test has the job `fab` on the same broker.
JOB = "fab-by-mouse"
TOPIC, PAGE = f"{JOB}.patterns", f"/jobs/{JOB}/wafers"
ALL = [msgspec.structs.replace(pattern(number), job=JOB) for number in (10, 20, 30, 40, 50)]
KNOWN, OTHER, THIRD, FOURTH, TOLD = ALL


@pytest.fixture(scope="module")
def watched(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A job with patterns that nobody has named."""
    folder = tmp_path_factory.mktemp("fab")
    tiny_model().save(folder / "model", metrics={}, training={})
    path = job_file(folder, embedded_broker.bootstrap)
    path.write_text(path.read_text().replace('"fab"', f'"{JOB}"'))
    records = [pattern_record(TOPIC, one) for one in ALL]
    create_topic(embedded_broker.bootstrap, TOPIC)
    writer = open_writer(KafkaSettings(bootstrap_servers=[embedded_broker.bootstrap]))
    for record in records:
        writer.send(*record)
    writer.close()
    watched = Watched(load_job(path), folder / "state", file=path)
    fill(watched, "patterns", {record.key.decode(): msgspec.Raw(record.value or b"") for record in records})
    yield watched
    watched.store.close()


def decide(browser: Browser, id_: str, **form: str) -> tuple[int, str]:
    answer = browser.post(f"/jobs/{JOB}/patterns/{id_}", {"token": browser.token(PAGE), **form})
    return answer.status, answer.data.decode()


def test_a_pattern_is_named_and_another_dismissed(watched: Watched) -> None:
    with browsing(watched) as browser:
        page = browser.get(PAGE).data.decode()
        assert all(f'action="/jobs/{JOB}/patterns/{one.id}"' in page for one in (KNOWN, OTHER))
        assert decide(browser, KNOWN.id, verb="name", name='moon "new"')[0] == 303
        assert decide(browser, OTHER.id, verb="dismiss")[0] == 303
        assert "the job follows" in browser.get(f"{PAGE}?done=yes").data.decode()
        status, says = decide(browser, OTHER.id, verb="dismiss")
    assert status == 409
    assert "is dismissed already" in says
    book = read_patterns(watched.job.kafka, TOPIC)
    assert [book.status(one.id) for one in (KNOWN, OTHER)] == ["named", "dismissed"]
    assert 'moon "new"' in WaferModel.load(watched.folder.parent / "model").classes


def test_an_emerging_patterns_incident_shows_it_and_lets_it_be_named(watched: Watched) -> None:
    record = msgspec.structs.replace(incident(1, job=JOB), rule="emerging_pattern", subject=TOLD.id)
    fill(watched, "incidents", {record.id: record})
    with browsing(watched) as browser:
        page = browser.get(f"/jobs/{JOB}/incidents/{record.id}").data.decode()
    assert f"where the defects of 5 wafers of {TOLD.id} lie" in page
    assert f'action="/jobs/{JOB}/patterns/{TOLD.id}"' in page
    assert ">name it</button>" in page


def test_a_pattern_is_said_to_be_the_same_as_another(watched: Watched) -> None:
    with browsing(watched) as browser:
        assert f"<option>{FOURTH.id}</option>" in browser.get(PAGE).data.decode()
        assert decide(browser, THIRD.id, verb="merge", into=FOURTH.id)[0] == 303
        status, says = decide(browser, FOURTH.id, verb="merge", into="Pffff")
    assert status == 409
    assert "Pffff" in says
    assert read_patterns(watched.job.kafka, TOPIC).root(THIRD.id) == FOURTH.id


@pytest.mark.parametrize(
    ("id_", "form", "says"),
    [
        ("Pffff", {"verb": "dismiss"}, "Pffff"),
        (OTHER.id, {"verb": "name", "name": "  "}, "expected a name"),
        (OTHER.id, {"verb": "forget"}, "expected one of name, merge, dismiss"),
        (OTHER.id, {"verb": "merge"}, "expected another pattern"),
        ("--help", {"verb": "dismiss"}, "--help"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(watched: Watched, id_: str, form: dict[str, str], says: str) -> None:
    with browsing(watched) as browser:
        status, told = decide(browser, id_, **form)
    assert status == 409
    assert says in told


def test_a_console_without_the_jobs_file_offers_no_naming(watched: Watched, tmp_path: Path) -> None:
    bare = Watched(watched.job, tmp_path)
    record = pattern_record(TOPIC, KNOWN)
    fill(bare, "patterns", {record.key.decode(): msgspec.Raw(record.value or b"")})
    with browsing(bare) as browser:
        assert ">name it</button>" not in browser.get(PAGE).data.decode()
    bare.store.close()

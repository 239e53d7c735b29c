"""Rejects and late records are shown as they are, harmlessly, and a reject is sent back, once."""

from collections.abc import Iterator

import pytest

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.testing import EmbeddedBroker
from tests.kit.job_files import write_click_job
from tests.kit.topics import create_topic, read_all
from tests.pipelines.rejects.test_command import reject, set_aside
from tests.pipelines.web_console.browsing import Browser, browsing

JOB = "console-rejects"
PAGE, REPLAYS = f"/jobs/{JOB}/rejects", f"/jobs/{JOB}/rejects/replays"
HOSTILE = b'<script>alert(1)</script>\xff{"site": 7}'
FOUND = [
    reject(JOB, 0, value=HOSTILE),
    reject(JOB, 1),
    reject(JOB, 2, value=b"x" * 1_000),
]


@pytest.fixture(scope="module")
def browser(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A console of a job with three rejects and no late record."""
    folder, bootstrap = tmp_path_factory.mktemp("rejects"), embedded_broker.bootstrap
    set_aside(bootstrap, JOB, FOUND)
    create_topic(bootstrap, f"{JOB}.late")
    path = write_click_job(folder, bootstrap, JOB)
    watched = Watched(load_job(path), folder / "state", file=path)
    with browsing(watched) as opened:
        yield opened
    watched.store.close()


def test_they_are_shown_newest_first_and_harmlessly(browser: Browser) -> None:
    page = browser.get(PAGE).data.decode()
    assert [page.count(one.id) > 0 for one in FOUND] == [True] * 3
    assert page.index(FOUND[2].id) < page.index(FOUND[0].id)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\xff" in page
    # Of a long value the beginning.
    assert "x" * 400 + "…" in page
    assert "x" * 401 not in page
    assert "the newest 0 records" in browser.get(f"{PAGE}?kind=late").data.decode()


def test_one_is_sent_back_as_it_came_and_once(browser: Browser, embedded_broker: EmbeddedBroker) -> None:
    token = browser.token(PAGE)
    done = browser.post(REPLAYS, {"token": token, "id": FOUND[0].id})
    assert done.status == 303, done.data.decode()
    assert [one.value for one in read_all(embedded_broker.bootstrap, JOB)] == [HOSTILE]
    page = browser.get(f"{PAGE}?done=yes").data.decode()
    assert "It is sent again" in page
    assert f'value="{FOUND[0].id}"' not in page
    assert f'value="{FOUND[1].id}"' in page
    browser.post(REPLAYS, {"token": token, "id": FOUND[0].id})
    assert len(read_all(embedded_broker.bootstrap, JOB)) == 1


@pytest.mark.parametrize(("form", "status"), [({}, 409), ({"id": "no/such/id"}, 409), ({"id": "x", "token": "0"}, 403)])
def test_nothing_else_is_sent(
    browser: Browser, embedded_broker: EmbeddedBroker, form: dict[str, str], status: int
) -> None:
    before = len(read_all(embedded_broker.bootstrap, JOB))
    assert browser.post(REPLAYS, {"token": browser.token(PAGE), **form}).status == status
    assert len(read_all(embedded_broker.bootstrap, JOB)) == before

"""The latest version of a model is moved by a form, if it verifies; nothing else can be asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsewatch.detectors.artefacts.artefact import WEIGHTS, load_artefact, save_artefact
from sparsewatch.detectors.artefacts.versions import LATEST
from sparsewatch.detectors.wafers.model import KIND
from tests.kit.job_files import write_wafer_job
from tests.kit.wafer_models import tiny_model
from tests.pipelines.web_console.browsing import Browser, browsing
from tests.pipelines.web_console.test_clicks import watched_job

pytestmark = pytest.mark.torch
PAGE, MOVES, KEY = "/jobs/fab/models", "/jobs/fab/models/moves", "wafers.model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two versions of a wafer model; the second is the latest."""
    path = tmp_path / "wafer"
    tiny_model().save(path, metrics={}, training={})
    artefact = load_artefact(path, KIND)
    save_artefact(path, kind=KIND, tensors=artefact.tensors, meta=artefact.meta)
    return path


@pytest.fixture
def browser(folder: Path, tmp_path: Path) -> Iterator[Browser]:
    with watched_job(write_wafer_job(tmp_path, "127.0.0.1:1", "fab", folder)) as watched, browsing(watched) as opened:
        yield opened


def latest(folder: Path) -> str:
    return (folder / LATEST).read_text().strip()


def test_a_version_is_promoted_and_rolled_back(browser: Browser, folder: Path) -> None:
    token = browser.token(PAGE)
    done = browser.post(MOVES, {"token": token, "key": KEY, "verb": "promote", "version": "0001"})
    assert (done.status, done.headers["location"]) == (303, f"{PAGE}?done=yes")
    assert latest(folder) == "0001"
    page = browser.get(f"{PAGE}?done=yes").data.decode()
    assert "the latest version has moved" in page
    assert 'aria-label="Promote version 0002"' in page
    assert 'aria-label="Promote version 0001"' not in page
    assert browser.post(MOVES, {"token": token, "key": KEY, "verb": "rollback"}).status == 303
    assert latest(folder) == "0002"


def test_a_version_that_does_not_verify_is_refused_with_the_reason(browser: Browser, folder: Path) -> None:
    weights = folder / "0001" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    form = {"token": browser.token(PAGE), "key": KEY, "verb": "promote", "version": "0001"}
    refused = browser.post(MOVES, form)
    assert refused.status == 409
    assert "does not verify" in refused.data.decode()
    assert latest(folder) == "0002"


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"key": KEY, "verb": "promote", "version": "../0001"}, 409),
        ({"key": KEY, "verb": "promote", "version": "--help"}, 409),
        ({"key": KEY, "verb": "delete", "version": "0001"}, 409),
        ({"key": "rows.model", "verb": "promote", "version": "0001"}, 409),
        ({"key": KEY, "verb": "promote", "version": "0001", "token": "0"}, 403),
    ],
)
def test_nothing_else_can_be_asked_for(browser: Browser, folder: Path, form: dict[str, str], status: int) -> None:
    assert browser.post(MOVES, {"token": browser.token(PAGE), **form}).status == status
    assert latest(folder) == "0002"

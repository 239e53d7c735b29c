"""The event of a result is shown as the broker has it: a wafer's defects as a picture, a row's values."""

import itertools
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.testing import EmbeddedBroker
from tests.kit.job_files import write_rows_job, write_wafer_job
from tests.kit.topics import create_topic, produce
from tests.pipelines.web_console.browsing import browsing
from tests.pipelines.web_console.filled import fill
from tests.pipelines.web_console.test_clicks import ROW, WAFER

_NUMBERS = itertools.count()
EVENT = {
    "wafer_id": "W000700",
    "lot": "L00028",
    "step": "etch",
    "tool": "<b>T0</b>",
    "radius_um": 150_000,
    "x_um": [0, 1_000, 90_000],
    "y_um": [0, 2_000, -30_000],
    "t": 1_700_000_000_000,
}


def shown(watched: Watched, id_: str) -> str:
    with browsing(watched) as browser:
        asked = f"?id={quote(id_, safe='')}"
        assert f"/jobs/{watched.name}/event?" in browser.get(f"/jobs/{watched.name}/result{asked}").data.decode()
        page = browser.get(f"/jobs/{watched.name}/event{asked}")
    assert page.status == 200
    return page.data.decode()


def remembering(job: Path, kind: str, result: dict[str, object]) -> Watched:
    watched = Watched(load_job(job), job.parent / "state")
    fill(watched, kind, {str(result["id"]): result})
    return watched


@pytest.fixture
def topic(embedded_broker: EmbeddedBroker) -> str:
    name = f"event-{next(_NUMBERS)}"
    create_topic(embedded_broker.bootstrap, name)
    return name


def test_the_defects_of_a_wafer_are_a_picture_beside_its_values(
    embedded_broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    others = [(0, json.dumps({**EVENT, "wafer_id": f"W{number}"}).encode()) for number in range(2)]
    produce(embedded_broker.bootstrap, topic, [*others, (0, json.dumps(EVENT).encode()), *others])
    job = write_wafer_job(tmp_path, embedded_broker.bootstrap, topic, tmp_path / "model")
    watched = remembering(job, "wafers", {**WAFER, "id": f"{topic}/0/2/0"})
    text = shown(watched, f"{topic}/0/2/0")
    watched.store.close()
    assert 'alt="where its 3 defects lie"' in text
    assert "data:image/png;base64," in text
    assert "W000700" in text
    assert "150000" in text
    assert "W0<" not in text
    assert "<b>T0" not in text


def test_a_row_is_shown_with_the_values_that_its_score_is_of(
    embedded_broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    row = {"t": 1_700_000_000_000, "bid_price": 54.75, "machine": "press 7"}
    rows = (row, {**row, "bid_price": None}, {"t": "never"})
    produce(embedded_broker.bootstrap, topic, [(0, json.dumps(one).encode()) for one in rows])
    columns = {"bid_price": "float", "machine": "str"}
    job = write_rows_job(tmp_path, embedded_broker.bootstrap, topic, columns, tmp_path / "model")
    ids = [f"{topic}/0/{offset}/0" for offset in range(4)]
    watched = remembering(job, "rows", {**ROW, "id": ids[0]})
    for id_ in ids[1:]:
        fill(watched, "rows", {id_: {**ROW, "id": id_}})
    whole, bare, refused, gone = (shown(watched, id_) for id_ in ids)
    watched.store.close()
    assert "54.75" in whole
    assert "press 7" in whole
    assert bare.count(">missing<") == 1
    assert "The job as it is set now refuses it." in refused
    assert "&#34;never&#34;" in refused
    assert "The broker no longer has it." in gone

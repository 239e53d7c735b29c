"""Dashboards are what Grafana takes: places, ids and variables fit together, each panel says what it shows."""

import json
import re
from itertools import combinations
from typing import Any

import pytest

from deploy.generate.__main__ import ROOT, generated
from sparsewatch.schemas.metrics import METRICS

BOARDS = {path.stem: json.loads(text) for path, text in generated().items() if path.suffix == ".json"}
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
_CHOSEN = {"type": "prometheus", "uid": "${datasource}"}


def panels_of(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def test_the_dashboards_are_these_and_have_ids_of_their_own() -> None:
    assert set(BOARDS) == {"health", "clicks", "rows", "wafers"}
    for key in ("uid", "title"):
        assert len({board[key] for board in BOARDS.values()}) == len(BOARDS)


@each_board
def test_panels_have_ids_of_their_own_and_do_not_overlap(board: dict[str, Any]) -> None:
    assert sorted(panel["id"] for panel in board["panels"]) == list(range(1, len(board["panels"]) + 1))
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["h"] >= 1 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


@each_board
def test_each_panel_asks_the_chosen_source_and_says_what_it_shows(board: dict[str, Any]) -> None:
    assert len({panel["title"] for panel in panels_of(board)}) == len(panels_of(board))
    for panel in panels_of(board):
        assert panel["datasource"] == _CHOSEN
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["type"] in ("timeseries", "stat", "bargauge")
        assert panel["fieldConfig"]["defaults"]["unit"] in ("none", "short", "s", "percentunit", "cps")
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"] == _CHOSEN for target in panel["targets"])


@each_board
def test_variables_that_are_used_are_declared_and_the_other_way_round(board: dict[str, Any]) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]}
    used = {*re.findall(r"\$\{?(\w+)", json.dumps([board["panels"], board["links"]]))}
    assert used == declared == {"datasource", "job", "docs"}
    [jobs] = [variable for variable in board["templating"]["list"] if variable["name"] == "job"]
    found = re.fullmatch(r"label_values\((\w+), job\)", jobs["query"]["query"])
    assert found is not None
    assert found[1] in {metric.name for metric in METRICS}


@each_board
def test_links_lead_to_pages_and_their_sections(board: dict[str, Any]) -> None:
    links = [link["url"] for panel in panels_of(board) for link in panel["links"]]
    links += [link["url"] for link in board["links"] if link["type"] == "link"]
    assert links
    for link in links:
        page, _, section = link.removeprefix("${docs}/").partition("#")
        text = (ROOT / "docs" / page).read_text()
        assert not section or f"### `{section}`\n" in text

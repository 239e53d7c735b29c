"""What to do about an incident stands on its page, also where the docs are not at hand."""

import re
import tomllib
from pathlib import Path

import pytest

from sparsewatch.detectors.incidents.causes import RULES
from sparsewatch.pipelines.web_console import runbook
from sparsewatch.pipelines.web_console.views.incident import incident_page
from tests.kit.installed import REPO_ROOT
from tests.pipelines.web_console.filled import watched_clicks
from tests.pipelines.web_console.test_pages import shown, with_incident


@pytest.mark.parametrize("rule", RULES)
def test_the_section_of_each_rule_is_whole_and_without_marks(rule: str) -> None:
    paragraphs = runbook.section(rule)
    strong = [part.text for paragraph in paragraphs for part in paragraph if part.kind == "strong"]
    assert strong[:2] == ["Look at", "Do"]
    assert not any(re.search(r"`|\*\*|\]\(|^#", part.text) for paragraph in paragraphs for part in paragraph)
    own = (REPO_ROOT / "docs" / "runbook.md").read_text().partition(f"### `{rule}`\n")[2].partition("\n#")[0]
    plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", own).replace("`", "").replace("**", "")
    assert " ".join("".join(part.text for part in paragraph) for paragraph in paragraphs).split() == plain.split()


def test_the_runbook_is_part_of_what_is_installed() -> None:
    settings = tomllib.loads((REPO_ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "runbook.md" in settings["package-data"]["sparsewatch.pipelines.web_console"]


def test_an_incident_shows_what_to_do_about_its_root_suspect(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        text = shown(incident_page, with_incident(watched, {}))
    shown_section = text.partition('id="what-to-do"')[2].partition("</section>")[0]
    assert "<strong>Do</strong> mend that source." in shown_section
    assert "<code>evidence.test</code>" in shown_section
    assert 'href="#what-to-do"' in text


def test_of_a_rule_that_the_runbook_does_not_know_nothing_is_shown() -> None:
    assert runbook.section("a_rule_of_tomorrow") == []

"""The page on testing says what its snippets do."""

from pathlib import Path

import pytest

from tests.kit.installed import REPO_ROOT
from tests.kit.pages import run_page


@pytest.mark.usefixtures("embedded_broker")
def test_the_snippets_of_the_page_run_in_order_and_say_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    job, faults, real, window, stored = run_page(REPO_ROOT / "docs" / "testing.md", capsys)
    assert "180 counted" in job.replace(",", "")
    assert job.endswith("[60, 60, 60] [b'no JSON']\n")
    assert faults == "no disk left\nthe broker is away\n"
    assert real == "True\n"
    assert window == "{'null_share': 0.25}\n"
    assert "from byte 9 on: expected b'3}', got b'4}'" in stored

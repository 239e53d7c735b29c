from pathlib import Path

import pytest

from tests.kit.installed import REPO_ROOT
from tests.kit.pages import run_page


@pytest.mark.torch
def test_the_snippets_of_the_page_run_in_order_and_say_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run_page(REPO_ROOT / "docs" / "beam.md", capsys)
    assert len(said) == 7
    assert [line.startswith("rows/0001 RowVerdict(") for line in said[1].splitlines()] == [True, True]
    assert said[1].count("above=True") == 1
    assert said[2].count("[(1, 'model rows/0001, p ") == said[2].count("[(0, 'model rows/0001, p ") == 1
    # The sample comes in any order, and the spread between its stretches now and then explains a share of outliers.
    assert any(
        text in said[5] for text in ("rows are outliers (1.0% expected)", "row scores differs from the training")
    )
    assert "InferenceReport(" in said[6]

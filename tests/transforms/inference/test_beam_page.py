import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "beam.md"


@pytest.mark.torch
def test_the_snippets_of_the_page_run_in_order_and_say_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    space: dict[str, Any] = {"__name__": "beam_page"}
    said = []
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"{PAGE.name}, snippet {number}", "exec"), space)
        said.append(capsys.readouterr().out)
    assert len(snippets) == 7
    assert [line.startswith("rows/0001 RowVerdict(") for line in said[1].splitlines()] == [True, True]
    assert said[1].count("above=True") == 1
    assert said[2].count("[(1, 'model rows/0001, p ") == said[2].count("[(0, 'model rows/0001, p ") == 1
    assert "rows are unlike the training's" in said[5]
    assert "InferenceReport(" in said[6]

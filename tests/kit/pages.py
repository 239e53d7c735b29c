"""The Python snippets of a page of the docs, run in order as one program."""

import re
from pathlib import Path
from typing import Any

import pytest


def run_page(page: Path, capsys: pytest.CaptureFixture[str], **given: Any) -> list[str]:
    """Run the snippets of a page; returns what each printed.

    Args:
        page: Markdown.
        capsys: Takes what they print.
        **given: What the page leaves to its reader, by name.
    """
    snippets = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    space: dict[str, Any] = {"__name__": page.stem, **given}
    printed = []
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"{page.name}, snippet {number}", "exec"), space)
        printed.append(capsys.readouterr().out)
    return printed

"""What is written of the declarations of metrics is what is checked in."""

import pytest

from deploy.generate.__main__ import generated
from deploy.generate.page import with_tables


def test_the_files_are_as_the_declarations_are_now() -> None:
    for path, content in generated().items():
        assert path.read_text() == content, "run make metrics"


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="written by `make metrics`"):
        with_tables("# Metrics\n")

from importlib.resources import files
from pathlib import Path

import jinja2
import pytest
from markupsafe import Markup

from sparsewatch.pipelines.report import pages
from sparsewatch.pipelines.report.facts import Fact
from sparsewatch.pipelines.report.pages import photo, render

HOSTILE = "</title></style><script>alert('x')</script><img src=x onerror=\"y\">{{ 7 * 7 }}\x1b\u202e"


def _page() -> str:
    wafer = {
        "heading": HOSTILE,
        "facts": [Fact(HOSTILE, HOSTILE, warning=True)],
        "pictures": [photo(b"\x89PNG", HOSTILE)],
        "evidence": [{"about": HOSTILE, "rings": [(HOSTILE, [0.5])], "concentration": HOSTILE}],
    }
    return render("wafers.html", source=HOSTILE, model=HOSTILE, wafers=[wafer], sectors=[HOSTILE])


def test_whatever_a_template_shows_is_escaped() -> None:
    page = _page()
    assert page.count("<script") == 1
    assert page.count("<img") == 1
    assert page.count("&lt;script&gt;") == 10
    assert page.count("{{ 7 * 7 }}") == 10
    assert 'onerror="' not in page


def test_what_moves_a_cursor_or_turns_the_direction_is_written_out() -> None:
    page = _page()
    assert not {"\x1b", "\u202e"} & {*page}
    assert r"\x1b\u202e" in page


def test_a_picture_is_part_of_its_page() -> None:
    assert photo(b"png", "alt").source == "data:image/png;base64,cG5n"


def test_what_a_template_misses_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="model"):
        render("wafers.html", source="", wafers=[], sectors=[])


@pytest.mark.parametrize("template", sorted(file.name for file in (files(pages.__package__) / "templates").iterdir()))
def test_no_template_asks_anything_of_the_network_or_marks_data_safe(template: str) -> None:
    text = (Path(pages.__file__).parent / "templates" / template).read_text()
    assert "://" not in text
    assert "url(" not in text
    assert "safe" not in text


def test_markup_of_ours_stays() -> None:
    assert pages._harmless(Markup("<b>\n</b>")) == Markup("<b>\n</b>")

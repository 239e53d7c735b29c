"""What axe, the rules of accessible pages, has against a page in Debian's Chromium."""

import re
import tempfile
from collections.abc import Mapping
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.kit.chromium import Scheme, preferring, seen

#: Impacts that keep somebody from using a page.
_GRAVE = ("serious", "critical")
_RUN = """
axe.run(document, {resultTypes: ["violations"]}).then(
  found => { document.body.innerHTML = ""; document.body.append(JSON.stringify(found.violations.map(
    one => ({id: one.id, impact: one.impact, nodes: one.nodes.map(node => node.html)})))); },
  error => { document.body.innerText = "axe failed: " + error; });
"""


class Fault(NamedTuple):
    """A rule that a page breaks."""

    rule: str
    impact: str
    #: Elements that do, as HTML.
    where: tuple[str, ...]


class _Violation(msgspec.Struct):
    id: str
    impact: str
    nodes: list[str]


def grave_faults(html: str, styles: Mapping[str, str], scheme: Scheme) -> list[Fault]:
    """Serious and critical faults of a page; the test is skipped where there is no Chromium.

    The page's own script is left out: it is whole without, and its policy would refuse axe.

    Args:
        html: The page.
        styles: Its style sheets, by the address that it names.
        scheme: That the reader prefers.
    """
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    html = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    for address, style in styles.items():
        html = html.replace(f'<link rel="stylesheet" href="{address}">', f"<style>{style}</style>")
    assert "<link" not in html
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        whole = html.replace("</body>", f"<script>{axe}</script><script>{_RUN}</script></body>")
        path.write_text(whole, encoding="utf-8")
        dom = seen(path.as_uri(), preferring(scheme), "--virtual-time-budget=10000").dom
    told = re.search(r"<body[^>]*>(.*?)</body>", dom, flags=re.DOTALL)
    assert told is not None
    found = msgspec.json.decode(unescape(told[1]), type=list[_Violation])
    return [Fault(one.id, one.impact, tuple(one.nodes)) for one in found if one.impact in _GRAVE]

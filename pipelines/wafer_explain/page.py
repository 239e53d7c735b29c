"""Explanations as one HTML page that needs nothing else: pictures are part of it, and all text from data is escaped."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from string import Template

from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.wafers.explanation import NOVELTY, Evidence, Explanation
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.zones import RINGS, SECTORS, Zones
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.report.page_frame import PAGE
from sparsewatch.pipelines.wafer_explain import wording
from sparsewatch.pipelines.wafer_explain.pictures import draw_density, draw_wafer

#: Beside each other while there is room.
_STYLE = (
    "<style>.maps{display:flex;flex-wrap:wrap;gap:1rem}figure img{max-width:100%;height:auto}"
    "figure{max-width:100%}</style>"
)


def page(explained: Sequence[Explanation], model: WaferModel, source: str, alike: dict[str, WaferPoints]) -> str:
    """The page's HTML.

    Args:
        explained: wafers, in the order they are shown.
        model: that gave the verdicts.
        source: where the wafers come from.
        alike: wafers of each known pattern, if there are some at hand: where their defects lie is drawn beside a wafer
            whose nearest example is of that pattern.
    """
    # Drawn once, however many wafers are like it.
    densities = {name: draw_density(points, f"{name}, {len(points):,} wafers") for name, points in alike.items()}
    return Template(PAGE).substitute(
        title="Why these verdicts",
        heading="Why these verdicts",
        source=_text(f"{source}: {len(explained):,} wafers, model {model.id}"),
        body="\n".join([_STYLE, *(_wafer(one, model, densities) for one in explained)]),
    )


def _text(text: str) -> str:
    return escape(printable(text))


def _wafer(one: Explanation, model: WaferModel, densities: dict[str, bytes]) -> str:
    rows = "".join(f"<dt>{escape(f.about)}</dt><dd>{escape(f.text)}</dd>" for f in wording.facts(one, model))
    parts = [f'<dl class="facts">{rows}</dl>', _maps(one, densities), *(_zones(e) for e in one.evidence)]
    return f"<section><h2>{escape(wording.heading(one))}</h2>{''.join(parts)}</section>"


def _maps(one: Explanation, densities: dict[str, bytes]) -> str:
    """The wafer with each part's evidence, and what the nearest pattern looks like."""
    name = one.wafer["wafer_id"]
    drawn = [
        _picture(
            draw_wafer(one.points, e.occlusion.heat, f"{name}: what makes it {_what(e)}"),
            f"Map of wafer {name}, notch below. Evidence for {_what(e)}: {e.where}.",
        )
        for e in one.evidence
    ] or [_picture(draw_wafer(one.points, title=name), f"Map of wafer {name}, notch below: {one.where}.")]
    if one.nearest and (density := densities.get(one.nearest[0].pattern)):
        pattern = one.nearest[0].pattern
        drawn.append(_picture(density, f"Where the defects of wafers with the pattern {pattern} lie, notch below."))
    return f'<div class="maps">{"".join(drawn)}</div>'


def _what(evidence: Evidence) -> str:
    return "novel" if evidence.about == NOVELTY else evidence.about


def _picture(png: bytes, alt: str) -> str:
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    return f'<figure><img src="{source}" alt="{_text(alt)}"></figure>'


def _zones(evidence: Evidence) -> str:
    """Evidence by ring and sector, against what the area would have."""
    title = f"Evidence for {_what(evidence)} by zone, in multiples of an even spread"
    head = "".join(f"<th>{name}</th>" for name in ("", *SECTORS))
    body = "".join(
        f"<tr><td>{ring}</td>{''.join(_cell(x) for x in row)}</tr>"
        for ring, row in zip(RINGS, evidence.zones.density.tolist(), strict=True)
    )
    table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    return f"<p>{_text(title)}</p>{table}<p><small>{escape(_concentration(evidence.zones))}</small></p>"


def _concentration(zones: Zones) -> str:
    return f"Concentration: {wording.concentration(zones)}."


def _cell(density: float) -> str:
    return f'<td class="n" data-key="{density:.4g}">{density:.1f}</td>'

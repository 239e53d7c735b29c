"""Explanations as one HTML page; its pictures are part of it."""

from collections.abc import Sequence
from typing import Any

from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.wafers.explanation import NOVELTY, Evidence, Explanation
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.zones import RINGS, SECTORS
from sparsewatch.pipelines.report.pages import Photo, photo, render
from sparsewatch.pipelines.wafer_explain import wording
from sparsewatch.pipelines.wafer_explain.pictures import draw_density, draw_wafer
from sparsewatch.schemas.alerts import counted


def page(explained: Sequence[Explanation], model: WaferModel, source: str, alike: dict[str, WaferPoints]) -> str:
    """The page's HTML.

    Args:
        explained: wafers, in the order they are shown.
        model: that gave the verdicts.
        source: where the wafers come from.
        alike: wafers of each known pattern, if there are some: where their defects lie is drawn beside a wafer
            whose nearest example is of that pattern.
    """
    # Drawn once, however many wafers are similar.
    densities = {
        name: draw_density(points, f"{name}, {counted(len(points), 'wafer')}") for name, points in alike.items()
    }
    wafers = [_wafer(one, model, densities) for one in explained]
    return render("wafers.html", source=source, model=model.id, wafers=wafers, sectors=SECTORS)


def _wafer(one: Explanation, model: WaferModel, densities: dict[str, bytes]) -> dict[str, Any]:
    return {
        "heading": wording.heading(one),
        "facts": wording.facts(one, model),
        "pictures": _pictures(one, densities),
        "evidence": [_zones(evidence) for evidence in one.evidence],
    }


def _pictures(one: Explanation, densities: dict[str, bytes]) -> list[Photo]:
    """The wafer with each part's evidence, and what the nearest pattern looks like."""
    name = one.wafer["wafer_id"]
    shown = [
        photo(
            draw_wafer(one.points, e.occlusion.heat, f"{name}: what makes it {_what(e)}"),
            f"Map of wafer {name}, notch below. Evidence for {_what(e)}: {e.where}.",
        )
        for e in one.evidence
    ] or [photo(draw_wafer(one.points, title=name), f"Map of wafer {name}, notch below: {one.where}.")]
    if one.nearest and (density := densities.get(one.nearest[0].pattern)):
        pattern = one.nearest[0].pattern
        shown.append(photo(density, f"Where the defects of wafers with the pattern {pattern} lie, notch below."))
    return shown


def _what(evidence: Evidence) -> str:
    return "novel" if evidence.about == NOVELTY else evidence.about


def _zones(evidence: Evidence) -> dict[str, Any]:
    return {
        "about": _what(evidence),
        "rings": list(zip(RINGS, evidence.zones.density.tolist(), strict=True)),
        "concentration": wording.concentration(evidence.zones),
    }

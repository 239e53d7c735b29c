"""An explanation in words, the same on the screen and on the page; and in full as JSON types."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.wafers.explanation import NOVELTY, Evidence, Explanation, Neighbour
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.zones import RINGS, SECTORS, Zones
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.report.facts import Fact
from sparsewatch.pipelines.report.wording import probability
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.wafers import JOIN, MISFIT


def heading(one: Explanation) -> str:
    """Which wafer this is."""
    named = (f"{name} {one.wafer[name]}" for name in ("lot", "step", "tool") if one.wafer[name])
    return printable(", ".join([one.wafer["wafer_id"], *named]))


def facts(one: Explanation, model: WaferModel) -> list[Fact]:
    """The wafer's verdict and the evidence for it; most important first."""
    found = [Fact("verdict", _verdict(one, model)), *(Fact(printable(e.about), _evidence(e)) for e in one.evidence)]
    verdict = one.verdict
    outside = f", {verdict['outside']:,} outside the wafer left out" if verdict["outside"] else ""
    found.append(Fact("defects", f"{verdict['defects']:,}{outside}; {one.where}"))
    if one.nearest:
        found.append(Fact("most like", "; ".join(neighbour(n) for n in one.nearest)))
    return found


def neighbour(one: Neighbour) -> str:
    """A known wafer and how near it is."""
    return f"{printable(one.wafer_id)} ({printable(one.pattern)}) at {one.distance:.1f}, typical {one.typical:.1f}"


def concentration(zones: Zones) -> str:
    """How far out, and how much to one side."""
    return (
        f"{zones.radial:+.2f} from the centre (-1) by even (0) to the rim (1); "
        f"{zones.angular:.2f} to one side, from none (0) to all (1), about {round(zones.hour) % 12 or 12} o'clock"
    )


def as_json(one: Explanation, model: WaferModel) -> dict[str, Any]:
    """The whole explanation of a wafer, in JSON types; places in radii, angles on the clock."""
    verdict = {name: value for name, value in one.verdict.items() if name != "embedding"}
    return {
        **one.wafer,
        **verdict,
        "model": model.id,
        "threshold": model.novelty.threshold,
        "where": one.where,
        "evidence": [_evidence_json(evidence, one) for evidence in one.evidence],
        "nearest": [_neighbour_json(near) for near in one.nearest],
    }


def _neighbour_json(one: Neighbour) -> dict[str, Any]:
    usual = one.typical if np.isfinite(one.typical) else None
    return {"wafer_id": one.wafer_id, "pattern": one.pattern, "distance": one.distance, "usual": usual}


def _verdict(one: Explanation, model: WaferModel) -> str:
    verdict = one.verdict
    p = f"p {probability(verdict['p_value'])}, novel up to {model.false_novel_rate:.3g}"
    pattern = printable(" and ".join(verdict["pattern"].split(JOIN)))
    likely = f"{pattern}, probability {verdict['probability']:.2f}"
    if verdict["verdict"] == MISFIT:
        return f"not judged: the model knows wafers given as {model.inputs}, and this is not given so"
    if verdict["verdict"] == "novel":
        return f"novel; {p}; of the known patterns most likely {likely}"
    return f"{likely}; {p}" if verdict["verdict"] == "normal" else f"known, {likely}; {p}"


def _evidence(evidence: Evidence) -> str:
    if evidence.left is None:
        return evidence.where
    measure = "novelty" if evidence.about == NOVELTY else "its lead over other patterns"
    change = f"{measure} goes from {evidence.occlusion.score:.1f} to {evidence.left:.1f}"
    what = "novel" if evidence.about == NOVELTY else printable(evidence.about)
    still = f"still {what}" if evidence.holds else f"no longer {what}"
    return f"{evidence.where}; without the {counted(evidence.inside, 'defect')} there {change}: {still}"


def _evidence_json(evidence: Evidence, one: Explanation) -> dict[str, Any]:
    occlusion, points = evidence.occlusion, one.points
    counts = np.bincount(occlusion.tile, minlength=len(occlusion.drop))
    return {
        "about": evidence.about,
        "score": occlusion.score,
        "where": evidence.where,
        "defects_there": evidence.inside,
        "score_without_them": evidence.left,
        "holds_without_them": evidence.holds,
        "zones": {
            "rings": RINGS,
            "sectors": SECTORS,
            "share": _plain(evidence.zones.share),
            "area": _plain(evidence.zones.area),
            "radial": evidence.zones.radial,
            "angular": evidence.zones.angular,
            "hour": evidence.zones.hour,
        },
        "defects": {
            "x": _plain(points.x),
            "y": _plain(points.y),
            "heat": _plain(occlusion.heat),
            "tile": occlusion.tile.tolist(),
        },
        "tiles": {"drop": _plain(occlusion.drop), "defects": counts.tolist()},
    }


def _plain(values: NDArray[np.floating[Any]]) -> Any:
    """Six significant digits: more would only be more text."""
    size = np.maximum(np.abs(values.astype(np.float64)), 1e-300)
    step = 10.0 ** (np.floor(np.log10(size)) - 5)
    return np.where(values == 0, 0.0, np.round(values / step) * step).tolist()

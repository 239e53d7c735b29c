"""Where defects lie: from coordinates within a die to micrometres from the wafer's centre, notch down."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.klarf.fields import LARGEST, DieOrigin, WaferFacts
from sparsewatch.schemas.alerts import counted

#: How often DieOrigin counts in each reading of it.
_READINGS = {"added": 1.0, "ignored": 0.0, "subtracted": -1.0}
#: Micrometres and share by which a distance may differ from RADIUS.
_NEAR_UM, _NEAR = 20.0, 1e-3
#: Share of defects whose RADIUS must agree.
_AGREE = 0.9

#: Share of defects outside of their dies, number of defects, and share of a die, from which on its unit looks odd.
_MOST, _ENOUGH, _CORNER = 0.5, 20, 0.005

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Placed:
    """Defects from the wafer's centre, micrometres, notch or flat at the bottom."""

    x: Floats
    y: Floats
    #: What a person should know of how they were placed.
    notes: tuple[str, ...] = ()


def place(read: Mapping[str, Floats], facts: WaferFacts, die_origin: DieOrigin) -> Placed:
    """Positions of a wafer's defects.

    A position in the frame of die (0, 0) is that in its own die, plus its die's index times the pitch; the wafer's
    centre is given in the same frame. Makers differ on DieOrigin, where that is not 0: it is added, or it only says
    where the frame lies. A RADIUS column, the distance from the centre, settles it.

    Args:
        read: Columns of the list.
        facts: What the file says of the wafer.
        die_origin: How DieOrigin is read.
    """
    reading, note = _reading(read, facts, die_origin)
    x, y = _frame(read, facts, _READINGS[reading])
    notes = [text for text in (note, _odd_dies(read, facts)) if text is not None]
    return Placed(*turn(x, y, -facts.mark_degrees), tuple(notes))


def _frame(read: Mapping[str, Floats], facts: WaferFacts, origins: float) -> tuple[Floats, Floats]:
    """Positions from the wafer's centre, not turned yet."""
    x, y = (
        read[rel] * facts.unit_um
        + read[index] * facts.die_pitch[axis]
        + origins * facts.die_origin[axis]
        - facts.centre[axis]
        for axis, (rel, index) in enumerate((("XREL", "XINDEX"), ("YREL", "YINDEX")))
    )
    return x, y


def _reading(read: Mapping[str, Floats], facts: WaferFacts, die_origin: DieOrigin) -> tuple[str, str | None]:
    """How DieOrigin is read, and what to say of it."""
    usual = "added" if die_origin == "auto" else die_origin
    if "RADIUS" in read and _stated(read["RADIUS"]).any():
        return _by_radius(read, facts, die_origin, usual)
    if facts.die_origin == (0.0, 0.0) or die_origin != "auto" or not len(read["XREL"]):
        return usual, None
    shown = f"DieOrigin {facts.die_origin[0]:g}, {facts.die_origin[1]:g} um is added to each position"
    return usual, f"{shown}; where a maker does not mean it so, --die-origin ignored leaves it out"


def _by_radius(
    read: Mapping[str, Floats], facts: WaferFacts, die_origin: DieOrigin, usual: str
) -> tuple[str, str | None]:
    shares = {name: _agreeing(read, facts, origins) for name, origins in _READINGS.items()}
    best = max(shares, key=lambda name: (shares[name], name == usual))
    if shares[usual] >= _AGREE or (shares[best] < _AGREE and facts.die_origin == (0.0, 0.0)):
        return usual, None if shares[usual] >= _AGREE else _UNEXPLAINED
    if shares[best] < _AGREE:
        return usual, f"{_UNEXPLAINED}; DieOrigin is {usual}"
    if die_origin != "auto":
        return usual, f"DieOrigin is {usual} as stated, but the RADIUS column fits with it {best}"
    return best, f"DieOrigin is {best}: so the RADIUS column says"


def _odd_dies(read: Mapping[str, Floats], facts: WaferFacts) -> str | None:
    """Whether coordinates within dies are of another unit or frame than DiePitch: in no die, or in its corner."""
    x, y = (read[rel] * facts.unit_um / pitch for rel, pitch in zip(("XREL", "YREL"), facts.die_pitch, strict=True))
    indexed = (read["XINDEX"] != 0) | (read["YINDEX"] != 0)
    beyond = indexed & (np.maximum(abs(x - 0.5), abs(y - 0.5)) > 1)
    if beyond.sum() > _MOST * len(x):
        found = f"{beyond.sum():,} of {counted(len(x), 'defect')} lie outside of the dies that they are in"
        return f"{found}: are XREL and YREL places on the wafer, or of another unit than DiePitch?"
    if len(x) >= _ENOUGH and max(abs(x).max(), abs(y).max()) < _CORNER:
        return "all defects lie in the corners of their dies: are XREL and YREL of another unit than DiePitch?"
    return None


#: A file's RADIUS that no reading of DieOrigin explains.
_UNEXPLAINED = "the RADIUS column is not the defects' distance from the wafer's centre, and is left out"


def _stated(radius: Floats) -> NDArray[np.bool_]:
    """Which defects have a RADIUS."""
    return np.asarray(np.abs(radius) <= LARGEST)


def _agreeing(read: Mapping[str, Floats], facts: WaferFacts, origins: float) -> float:
    """Share of the defects whose distance is their RADIUS, in the file's unit or in millimetres."""
    known = _stated(read["RADIUS"])
    distance = np.hypot(*_frame(read, facts, origins))[known]
    near = max(_NEAR_UM, _NEAR * facts.radius_um)
    return max(float(np.mean(abs(read["RADIUS"][known] * unit - distance) <= near)) for unit in (facts.unit_um, 1e3))


def turn(x: Floats, y: Floats, degrees: float) -> tuple[Floats, Floats]:
    """Points turned counter-clockwise about the origin; quarter turns are exact.

    >>> turn(np.array([1.0]), np.array([0.0]), -90)
    (array([0.]), array([-1.]))
    """
    quarters, rest = divmod(degrees % 360, 90)
    for _ in range(int(quarters)):
        x, y = 0.0 - y, x
    if rest:
        c, s = np.cos(np.radians(rest)), np.sin(np.radians(rest))
        x, y = c * x - s * y, s * x + c * y
    return x, y

"""The life of an emerging pattern: raised from its first wafers, joined by more, reported as a finding.

A pattern's id comes from its first wafer, so the same wafers seen again raise the same pattern.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.emerging import Cluster, Floats, compactness, reach_of
from sparsewatch.detectors.wafers.novel_wafers import drawn, embeddings_of, total_map
from sparsewatch.schemas.alerts import Finding, counted
from sparsewatch.schemas.patterns import MAP_SIDE, NovelLooking, Pattern, WaferMap

RULE = "emerging_pattern"
#: Members whose embeddings are stored, and members whose maps are stored, too.
MOST_MEMBERS = 200
MOST_MAPS = 16
#: Wafers that an alert names.
_NAMED_WAFERS = 20

_NO_MAP = WaferMap(0, 0, b"", b"")


@dataclass(frozen=True, slots=True)
class Found:
    """Where and how a pattern was found."""

    job: str
    model: str
    #: Start of the window, microseconds since the epoch.
    window_us: int
    cluster: Cluster
    threshold: float


def raise_pattern(found: Found, wafers: Iterable[NovelLooking], whitening: Floats) -> Pattern:
    """The pattern of a cluster's wafers.

    Args:
        found: Where and how the cluster was found.
        wafers: Wafers of the cluster, of one embedding space.
        whitening: See `open_set.emerging.whitening`.
    """
    members = sorted(wafers, key=_by_time)
    first = members[0]
    white = embeddings_of(members) @ whitening
    return Pattern(
        id="P" + hashlib.sha256(f"{found.job}\x1f{first.id}".encode()).hexdigest()[:8],
        job=found.job,
        space=first.space,
        model=found.model,
        raised_us=found.window_us,
        updated_us=found.window_us,
        statistic=found.cluster.statistic,
        threshold=found.threshold,
        expected=found.cluster.expected,
        reach=reach_of(white),
        compactness=compactness(white),
        wafers=len(members),
        lots=_counts(wafer.lot for wafer in members),
        tools=_counts(wafer.tool for wafer in members),
        nearest=_counts(wafer.nearest for wafer in members),
        first_seen_us=first.event_time_us,
        last_seen_us=members[-1].event_time_us,
        members=_stored(members),
        total_map=_total(members).astype("<f4").tobytes(),
    )


def joined(pattern: Pattern, wafers: Sequence[NovelLooking], whitening: Floats, window_us: int) -> Pattern:
    """The pattern with more wafers; the same pattern if none of them is new.

    Args:
        pattern: Before the window.
        wafers: Wafers of the window that starts at `window_us`. A window that was added before adds nothing.
        whitening: See `open_set.emerging.whitening`.
        window_us: Microseconds since the epoch.
    """
    there = {member.id for member in pattern.members}
    new = sorted((wafer for wafer in wafers if wafer.id not in there), key=_by_time)
    if not new or window_us <= pattern.updated_us:
        return pattern
    members = _stored([*pattern.members, *new])
    white = embeddings_of(members) @ whitening
    return msgspec.structs.replace(
        pattern,
        updated_us=window_us,
        reach=reach_of(white),
        compactness=compactness(white),
        wafers=pattern.wafers + len(new),
        lots=_counts([w.lot for w in new], pattern.lots),
        tools=_counts([w.tool for w in new], pattern.tools),
        nearest=_counts([w.nearest for w in new], pattern.nearest),
        first_seen_us=min(pattern.first_seen_us, new[0].event_time_us),
        last_seen_us=max(pattern.last_seen_us, new[-1].event_time_us),
        members=members,
        total_map=(total_map(pattern) + _total(new)).astype("<f4").tobytes(),
    )


def centre(pattern: Pattern, whitening: Floats) -> Floats:
    """Mean of the members after whitening, float64 of shape (d,)."""
    return np.asarray((embeddings_of(pattern.members) @ whitening).mean(axis=0))


def nearest_known(pattern: Pattern) -> str:
    """The known pattern that most of its wafers are nearest to."""
    return min(pattern.nearest, key=lambda name: (-pattern.nearest[name], name))


def emerging_finding(pattern: Pattern) -> Finding:
    """Finding of the rule `emerging_pattern`, with the pattern's state when it was raised."""
    return Finding(
        rule=RULE,
        subject=pattern.id,
        severity="critical",
        value=pattern.statistic,
        threshold=pattern.threshold,
        baseline=0.0,
        message=(
            f"{counted(pattern.wafers, 'wafer')} of {counted(len(pattern.lots), 'lot')} show the same unknown "
            f"pattern, nearest to {nearest_known(pattern)!r}; {pattern.expected:.1f} such wafers are expected by chance"
        ),
        evidence={
            "pattern": pattern.id,
            "wafers": [
                {"id": w.id, "wafer_id": w.wafer_id, "lot": w.lot, "tool": w.tool, "p_value": w.p_value}
                for w in pattern.members[:_NAMED_WAFERS]
            ],
            "lots": pattern.lots,
            "tools": pattern.tools,
            "nearest": pattern.nearest,
            "compactness": pattern.compactness,
            "first_seen_us": pattern.first_seen_us,
            "last_seen_us": pattern.last_seen_us,
        },
    )


def _by_time(wafer: NovelLooking) -> tuple[int, str]:
    return wafer.event_time_us, wafer.id


def _stored(members: Sequence[NovelLooking]) -> list[NovelLooking]:
    shown = list(members[:MOST_MAPS])
    return shown + [msgspec.structs.replace(member, map=_NO_MAP) for member in members[MOST_MAPS:MOST_MEMBERS]]


def _counts(values: Iterable[str], before: dict[str, int] | None = None) -> dict[str, int]:
    return dict(sorted((Counter(before or {}) + Counter(values)).items()))


def _total(wafers: Sequence[NovelLooking]) -> NDArray[np.float32]:
    total = np.zeros((MAP_SIDE, MAP_SIDE), dtype=np.float32)
    for wafer in wafers:
        total += drawn(wafer.map)
    return total

"""Saved state of a window of wafers, and the wafers of the last windows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sparsewatch.detectors.wafers.window_counts import MOST_LOOKING_NOVEL, WaferCounts
from sparsewatch.pipelines.wafer.settings import PatternSettings
from sparsewatch.schemas.patterns import NovelLooking
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.panes import Pane, PaneState, decode_panes

FORMAT = Format("the pane of a window of wafers")
#: Most wafers that are searched, those of the lowest p-value; and most of the background, of the newest windows.
_MOST_RECENT = 1_500
_MOST_BACKGROUND = 4_000


class WaferPane(PaneState, frozen=True, array_like=True, kw_only=True):
    """Saved state of a window of wafers, for later views."""

    stored: ClassVar[Format] = FORMAT

    wafers: int
    looking_novel: list[NovelLooking]


def pane_state(counts: WaferCounts) -> bytes:
    """State of the pane that a window leaves."""
    return WaferPane(wafers=counts.wafers, looking_novel=counts.looking_novel).to_bytes()


@dataclass(frozen=True)
class Look:
    """Wafers of one search, all of one space."""

    recent: list[NovelLooking]
    #: Ids of those of the newest window.
    fresh: frozenset[str]
    #: Numbers of wafers, novel-looking or not: of the newest window, of the last windows, of the windows before.
    fresh_wafers: int
    recent_wafers: int
    earlier_wafers: int
    earlier: list[NovelLooking]
    #: Largest p-value of a wafer that looks novel: lower than the setting if there were too many to save.
    level: float


def look_over(pane: Pane, panes: Sequence[Pane], settings: PatternSettings, space: str) -> Look:
    """The wafers of a window and of those before it.

    Args:
        pane: The window's own.
        panes: Those before it, oldest first.
        settings: How many windows it covers.
        space: See `WaferModel.space`; wafers of others are left out.
    """
    own = WaferPane.from_bytes(pane.state)
    length = pane.end_us - pane.start_us
    saved = decode_panes(panes, WaferPane, length)
    since = pane.start_us - (settings.windows - 1) * length
    last = [state for p, state in saved if p.start_us >= since]
    before = [state for p, state in saved if p.start_us < since]
    full = [s.looking_novel[-1].p_value for s in (*before, *last, own) if len(s.looking_novel) >= MOST_LOOKING_NOVEL]
    level = min([settings.level, *full])
    recent = _once([*last, own], space, level)
    if len(recent) > _MOST_RECENT:
        level = sorted(wafer.p_value for wafer in recent)[_MOST_RECENT - 1]
        recent = [wafer for wafer in recent if wafer.p_value <= level]
    earlier = _once(before, space, level)
    kept_share = min(1.0, _MOST_BACKGROUND / max(len(earlier), 1))
    return Look(
        recent=recent,
        fresh=frozenset(wafer.id for wafer in own.looking_novel),
        fresh_wafers=own.wafers,
        recent_wafers=own.wafers + sum(state.wafers for state in last),
        earlier_wafers=round(kept_share * sum(state.wafers for state in before)),
        earlier=earlier[-_MOST_BACKGROUND:],
        level=level,
    )


def _once(states: Iterable[WaferPane], space: str, level: float) -> list[NovelLooking]:
    """Wafers of a space, the newest inspection of each: a wafer inspected again is no second wafer."""
    # Wafers whose lots are unknown cannot be told apart by their names within a lot.
    newest = {(w.lot or w.id, w.wafer_id): w for state in states for w in state.looking_novel if w.space == space}
    return [wafer for wafer in newest.values() if wafer.p_value <= level]

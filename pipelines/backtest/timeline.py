"""The timeline of a backtest in the coordinates of its picture: windows as lines, incidents as bars in lanes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparsewatch.pipelines.backtest.labels import Label
from sparsewatch.pipelines.backtest.outcome import Outcome, Span, WindowTold
from sparsewatch.pipelines.report.over_time import marks, usual
from sparsewatch.pipelines.report.wording import quantity, share, shortened
from sparsewatch.schemas.alerts import Severity
from sparsewatch.schemas.incidents import IncidentRecord
from sparsewatch.schemas.units import moment_text

#: Units of the picture: its width, the room left of it for numbers, heights.
WIDTH, LEFT = 1_100, 70
_PANEL, _GAP, _LANE = 120, 34, 20
#: More windows than these are drawn as means of as many in a row as it takes.
_MOST_POINTS = 1_000
#: Multiple of what all but one window in a hundred stay below, up to which is drawn.
_ROOM = 1.5
#: A letter's width, about.
_LETTER = 6.5


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of the windows over time."""

    title: str
    top: float
    bottom: float
    #: What the top and the bottom stand for.
    highest: str
    lowest: str
    #: Paths of SVG; the band is empty where too few windows are without an alert.
    line: str
    band: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An incident."""

    x: float
    y: float
    width: float
    severity: Severity
    #: Where its name begins, or ends if it stands before the bar.
    name_x: float
    is_before: bool
    #: What fits beside the bar, and all of it.
    name: str
    told: str


@dataclass(frozen=True, slots=True)
class Shade:
    """A labelled stretch."""

    x: float
    width: float
    told: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn."""

    height: float
    panels: tuple[Panel, ...]
    bars: tuple[Bar, ...]
    shades: tuple[Shade, ...]
    #: Places and names of moments.
    marks: tuple[tuple[float, str], ...]
    #: Where the bars begin.
    lanes_top: float
    #: Windows that a point of a line stands for.
    windows_a_point: int


def timeline(outcome: Outcome, labels: Sequence[Label]) -> Timeline:
    """What is drawn of an outcome with at least one window."""
    span = outcome.span
    scale = (WIDTH - LEFT) / (span.end_us - span.start_us)

    def x(time_us: int) -> float:
        return round(LEFT + (min(max(time_us, span.start_us), span.end_us) - span.start_us) * scale, 1)

    each = -(-len(outcome.windows) // _MOST_POINTS)
    panels = tuple(_panels(outcome.windows, x, each))
    lanes_top = _GAP + len(panels) * (_PANEL + _GAP)
    bars = _bars(list(outcome.incidents.values()), span, x, lanes_top)
    height = max([lanes_top, *(bar.y for bar in bars)]) + 2 * _LANE
    shades = tuple(
        Shade(x(one.span.start_us), max(1.0, x(one.span.end_us) - x(one.span.start_us)), _told(one))
        for one in labels
        if one.span.meets(*span)
    )
    return Timeline(height, panels, bars, shades, tuple(marks(span.start_us, span.end_us, x)), lanes_top, each)


def _told(label: Label) -> str:
    what = " ".join(text for text in (label.kind, label.subject) if text) or "labelled stretch"
    return f"{what}, {moment_text(label.span.start_us)} to {moment_text(label.span.end_us)}"


def _panels(windows: Sequence[WindowTold], x: Callable[[int], float], each: int) -> Iterator[Panel]:
    volumes = np.array([window.account.counted for window in windows], float)
    yield _panel("Rows a window", windows, volumes, x, each, _GAP, quantity)
    if any(window.click_rate is not None for window in windows):
        rates = np.array([np.nan if w.click_rate is None or not w.account.counted else w.click_rate for w in windows])
        yield _panel("Click rate", windows, rates, x, each, 2 * _GAP + _PANEL, share)


def _panel(
    title: str,
    windows: Sequence[WindowTold],
    values: np.ndarray,
    x: Callable[[int], float],
    each: int,
    top: float,
    shown: Callable[[float], str],
) -> Panel:
    known = values[~np.isnan(values)]
    # A window of a few rows may be far off all others.
    highest = min(float(known.max(initial=0.0)), _ROOM * float(np.quantile(known, 0.99)) if len(known) else 0.0) or 1.0
    clean = np.array([window.complete and not window.alerts for window in windows])
    low, high = usual(np.array([window.start_us for window in windows]), clean, values)
    places = [x((window.start_us + window.end_us) // 2) for window in windows]

    def points(of: np.ndarray) -> list[str]:
        found = []
        for at in range(0, len(of), each):
            group = of[at : at + each]
            if not np.isnan(group).all():
                y = top + _PANEL * (1 - min(float(np.nanmean(group)) / highest, 1.0))
                found.append(f"{places[min(at + each // 2, len(of) - 1)]:.1f},{y:.1f}")
        return found

    line = points(values)
    band = [*points(low), *reversed(points(high))] if not np.isnan(low).all() else []
    return Panel(title, top, top + _PANEL, shown(highest), shown(0.0), _path(line), _path(band))


def _path(points: Sequence[str]) -> str:
    return f"M{' L'.join(points)}" if points else ""


def _bars(incidents: Sequence[IncidentRecord], span: Span, x: Callable[[int], float], top: float) -> tuple[Bar, ...]:
    """Each in the first lane in which it and its name are free."""
    bars: list[Bar] = []
    taken: list[float] = []
    for incident in sorted(incidents, key=lambda one: one.started_us):
        start, end = x(incident.started_us), x(span.end_us if incident.ended_us is None else incident.ended_us)
        width, name = max(2.0, end - start), shortened(f"{incident.rule} {incident.subject}", 40)
        lane = next((at for at, free in enumerate(taken) if free <= start), len(taken))
        room = _LETTER * (len(name) + 2)
        # At the right edge it stands before its bar.
        before = start + width + room > WIDTH
        taken[lane : lane + 1] = [start + width + (0 if before else room)]
        told = (
            f"{incident.id}, {incident.severity}, {incident.state}: {incident.message}; since "
            f"{moment_text(incident.started_us)}"
        )
        place = start - 4 if before else start + width + 4
        bars.append(Bar(start, top + lane * _LANE, width, incident.severity, place, before, name, told))
    return tuple(bars)

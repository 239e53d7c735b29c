"""A reference that is fitted to the windows that a stream of clicks learned of itself, of each feature to its own.

Which windows these are is said in `sparsewatch.detectors.learned_windows`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsewatch.detectors.clicks.profile import WindowFigures
from sparsewatch.detectors.clicks.reference import Reference, fit_stretch
from sparsewatch.detectors.clicks.stretch import Stretch
from sparsewatch.detectors.counts.window_values import WindowValues
from sparsewatch.detectors.learned_windows import STREAM


@dataclass(frozen=True, slots=True)
class LearnedWindow:
    """A window that may be learned."""

    start_us: int
    values: WindowValues
    figures: WindowFigures
    #: Subjects on which something was wrong in it.
    suspect: frozenset[str] = frozenset()


def fit_learned(
    windows: Sequence[LearnedWindow], of: dict[str, tuple[int, ...]], window_us: int, least: int
) -> Reference:
    """The baseline fitted to chosen windows.

    Args:
        windows: All that are chosen for a subject, in the order of time.
        of: Starts of the chosen windows, by subject, see `chosen`; of `STREAM` at least `least`.
        window_us: Length of a window, microseconds.
        least: Windows that a baseline needs; features with fewer are not in it.
    """
    without = {
        name: {place for place, one in enumerate(windows) if len(starts) < least or one.start_us not in starts}
        for name, starts in ((name, set(starts)) for name, starts in of.items())
    }
    stretch = Stretch(
        [one.values for one in windows], [one.figures for one in windows], [one.start_us for one in windows]
    )
    return fit_stretch(stretch, window_us, without, without.pop(STREAM))

"""What jobs share that learn of their windows beside a model: which windows, and how that is said."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from sparsewatch.detectors.learned_windows import STREAM, Marked, Renewed, Size, chosen, ordered, spare
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.schemas.orders import Order
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane, PaneState, decode_panes

#: Kind of the baseline in a window's record.
BESIDE_MODEL = "beside the model"

P = TypeVar("P", bound=PaneState)


def own_state(found: Conclusion, layout: type[P]) -> P:
    """What a window that is judged left to be learned."""
    return layout.from_bytes(found.learnable or b"")


def decoded(kept: Sequence[Pane], layout: type[P]) -> dict[int, P]:
    """States of the windows that are kept, by their starts."""
    return {pane.start_us: state for pane, state in decode_panes(kept, layout)}


def chosen_beside(
    window: Window,
    marked: Sequence[Marked],
    subjects: Collection[str],
    settings: LearningSettings,
    orders: Sequence[Order],
) -> dict[str, tuple[int, ...]]:
    """Starts of the windows that each subject is learned of; what is kept is small, and so renewed with every window.

    Args:
        window: That is judged.
        marked: The windows that are kept.
        subjects: What is learned.
        settings: How many windows.
        orders: Those in force.
    """
    size, renewed = Size(settings.least, settings.windows), Renewed(window.start_us, window.start_us)
    return chosen(ordered(marked, orders), subjects, size, renewed)


def spare_pane(
    kept: Sequence[Pane], marked: Sequence[Marked], subjects: Collection[str], settings: LearningSettings
) -> Pane:
    """The window that is let go for a new one; see `sparsewatch.detectors.learned_windows.spare`."""
    start_us = spare(marked, subjects, settings.windows)
    return next((pane for pane in kept if pane.start_us == start_us), kept[0])


def baseline_record(
    of: Mapping[str, tuple[int, ...]], settings: LearningSettings, usual: Sequence[str]
) -> dict[str, Any]:
    """The baseline as a window's record states it, JSON types.

    Args:
        of: See `chosen_beside`.
        settings: How many windows.
        usual: What the model found and is as usual: rule and subject.
    """
    learned = of[STREAM]
    return {
        "kind": BESIDE_MODEL,
        "windows": len(learned),
        "needed": settings.least,
        "since_us": min(learned, default=None),
        "usual": list(usual),
    }

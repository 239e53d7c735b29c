"""Which figure of windows a rule judges, so that its incident can be shown over time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparsewatch.pipelines.records.reading import Record
from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.history import Series
from sparsewatch.pipelines.web_console.store import Store


@dataclass(frozen=True)
class OfFeature:
    """A figure of one feature."""

    #: Column of the table `figures`.
    column: str
    name: str
    is_share: bool = True
    #: Whether the rule judges the rest of the share: rows with a value, where rows without one are stored.
    is_rest: bool = False


@dataclass(frozen=True)
class OfWindow:
    """A figure of a whole window."""

    #: The figure by the window's record and the subject of the finding; None where it states none.
    value: Callable[[Record, str], float | None]
    name: str
    is_share: bool = True


@dataclass(frozen=True)
class OfAlerts:
    """A figure that windows do not state: alerts alone tell it."""

    name: str
    is_share: bool = False


Figure = OfFeature | OfWindow | OfAlerts


def _part(record: Record, of: str, key: str) -> float | None:
    """Part of a window's wafers."""
    counts, wafers = record.get(of), record.get("wafers")
    return counts.get(key, 0) / wafers if isinstance(counts, dict) and wafers else None


ROWS = OfWindow(lambda record, _: record.get("rows"), "rows of a window", is_share=False)
CLICK_RATE = OfWindow(lambda record, _: (record.get("profile") or {}).get("click_rate"), "share of rows with a click")
OUTLIERS = OfWindow(
    lambda record, _: (record.get("row_scores") or {}).get("share_above"), "share of rows above the threshold"
)
NOVEL = OfWindow(lambda record, _: _part(record, "verdicts", "novel"), "share of wafers that are novel")
PATTERN = OfWindow(lambda record, subject: _part(record, "patterns", subject), "share of wafers with the pattern")
NULLS = OfFeature("null_share", "share of rows without a value")
FILLED = OfFeature("null_share", "share of rows with a value", is_rest=True)
SIGNAL = OfFeature("normalised", "what the feature tells of clicks, as a share of all there is to tell")
LINKS = OfAlerts("how well clicks go with the values, nats of evidence a row")

#: By rule; see `figure_of` for rules that judge one of several.
FIGURES: dict[str, Figure] = {
    "volume_low": ROWS,
    "volume_high": ROWS,
    "no_data": ROWS,
    "click_rate_shift": CLICK_RATE,
    "rows_unlike_training": OUTLIERS,
    "novel_pattern": NOVEL,
    "pattern_rate_high": PATTERN,
    "feature_nulls": NULLS,
    "feature_vanished": FILLED,
    "feature_appeared": FILLED,
    "feature_type_changed": OfFeature("mistyped_share", "share of rows with a value of another type"),
    "feature_cardinality": OfFeature("cardinality", "distinct values", is_share=False),
    "feature_unseen_values": OfFeature("unseen_share", "share of values that the baseline does not know"),
    "feature_signal_lost": SIGNAL,
    "feature_signal_gained": SIGNAL,
    "rank_drift": SIGNAL,
    "label_signal_lost": LINKS,
}
#: What a rule judges instead, by its name and the `test` that its evidence names.
_BY_TEST: dict[tuple[str, str], Figure] = {("feature_signal_lost", "links"): LINKS}


def figure_of(rule: str, evidence: Record) -> Figure | None:
    """What a rule judged, by the evidence of its alert; None if it is not known."""
    return _BY_TEST.get((rule, str(evidence.get("test"))), FIGURES.get(rule))


def judges_several(rule: str) -> bool:
    """Whether only the evidence of an alert tells which figure a rule judged."""
    return any(rule == one for one, _ in _BY_TEST)


def series_of(
    store: Store, figure: OfFeature | OfWindow, subject: str, start_us: int, end_us: int, limit: int
) -> Series:
    """The figure in windows that start in a stretch, the newest of them; for arguments see `history.figures`."""
    if isinstance(figure, OfFeature):
        found = history.figures(store, subject, figure.column, start_us, end_us, limit)
        return Series(found.starts_us, 1 - found.values, found.is_clean) if figure.is_rest else found
    windows = history.windows(store, start_us, end_us, limit)
    return history.series([(record["window_start_us"], _number(figure, record, subject), ok) for record, ok in windows])


def _number(figure: OfWindow, record: Record, subject: str) -> float | None:
    value = figure.value(record, subject)
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None

"""The page of a day: sentences, timeline, incidents, what people decided, and what the kind of job knows besides."""

from collections.abc import Iterator
from typing import NamedTuple

from sparsewatch.pipelines.backtest.page import told
from sparsewatch.pipelines.day_report.day import Day
from sparsewatch.pipelines.orders.wording import described, stretch_text, subjects_text
from sparsewatch.pipelines.report.pages import render
from sparsewatch.schemas.alerts import counted, number
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.units import moment_text

#: Of more features those of most information are listed.
_FEATURES = 30


class Moved(NamedTuple):
    """A feature at the end of the day, and at its beginning."""

    rank: int
    feature: str
    #: Share of the label's entropy; None where it was not ranked then.
    normalised: float
    before: float | None
    rank_before: int | None


def page(job: str, source: str, day: Day) -> bytes:
    """A page's HTML.

    Args:
        job: Name of the job.
        source: Which day, and whose records.
        day: With at least one window.
    """
    return render(
        "day.html",
        **told(day.outcome, [], most=len(day.outcome.incidents)),
        job=job,
        source=source,
        sentences=list(sentences(job, day)),
        orders=[_told(order) for order in day.orders],
        features=list(moved(day))[:_FEATURES],
        wafers=day.verdicts.total(),
        verdicts=day.verdicts.most_common(),
        patterns=day.patterns.most_common(),
    ).encode()


def sentences(job: str, day: Day) -> Iterator[str]:
    """What a person should know, a line each."""
    outcome = day.outcome
    windows, whole = len(outcome.windows), sum(window.complete for window in outcome.windows)
    cut = f", {windows - whole} of which may miss rows" if whole < windows else ""
    yield (
        f"{job}: {counted(windows, 'window')} from {moment_text(outcome.span.start_us)} to "
        f"{moment_text(outcome.span.end_us)} UTC{cut}; {number(outcome.totals.counted)} rows counted"
    )
    if empty := sum(not window.account.counted for window in outcome.windows):
        yield f"{counted(empty, 'window')} had no row"
    firing = [one.id for one in outcome.incidents.values() if one.state == "firing"]
    still = f"; {', '.join(firing)} {'fires' if len(firing) == 1 else 'fire'} still" if firing else ""
    yield f"{counted(len(outcome.incidents), 'incident')}, {counted(outcome.alerts.total(), 'alert')}{still}"
    if day.rows_above is not None:
        yield f"{counted(day.rows_above, 'row')} above the threshold of the row model"


def moved(day: Day) -> Iterator[Moved]:
    """Features as they were ranked last, beside the first ranking of the day."""
    before = {one["feature"]: (rank, one["normalised"]) for rank, one in enumerate(day.first, 1)}
    for rank, one in enumerate(day.last, 1):
        rank_before, share = before.get(one["feature"], (None, None))
        yield Moved(rank, one["feature"], one["normalised"], share, rank_before)


def _told(order: Order) -> tuple[str, str, str]:
    return order.incident or "", subjects_text(order), " ".join(filter(None, (described(order), stretch_text(order))))

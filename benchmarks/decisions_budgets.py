"""Do false incidents stay within the budget of a job? Streams without a fault, by budget, features and rows.

`make bench-decisions_budgets`; `--quick` takes under a minute and writes no results. One reference is fitted to the
first windows of each stream, and a job of each budget judges the others; `learning` are jobs without a reference, which
learn of the windows before. `false_incidents_ratio` is the incidents a day over the budget, with the bounds of a
Poisson count (`benchmarks.decisions_clean.rate_bounds`).
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.decisions_clean import Running, rate_bounds
from benchmarks.decisions_job import Measured, WindowedJob, measure_window
from benchmarks.decisions_learn import learning_job, reference_job
from benchmarks.decisions_plan import JUDGED, ROWS, CleanTask, clean_stream, wafer_tasks, wafers_of
from benchmarks.decisions_streams import WINDOW_US, span_of
from benchmarks.decisions_wafers import opened as wafers_opened
from benchmarks.harness import Result, cost, print_table, write_results
from sparsewatch.schemas.units import DAY_US

BUDGETS = (0.1, 1.0, 10.0)
#: What a job compares with, as it stands in the names of results.
REFERENCE, LEARNING = "", "learning_"
_RECIPES = ("steady", "day_cycle", "heavy_tails", "autocorrelated")


class Judged(NamedTuple):
    """What jobs made of a stream without a fault."""

    #: Incidents that the job of each budget opened.
    incidents: Counter[float]
    #: Windows that were compared.
    windows: int


def opened(task: CleanTask, budgets: Sequence[float] = BUDGETS) -> dict[str, Judged]:
    """What jobs with a fixed reference or model, and of clicks jobs that learn, open in a stream without a fault."""
    if task.kind == "wafer":
        with tempfile.TemporaryDirectory() as folder:
            return {REFERENCE: Judged(*wafers_opened(wafers_of(task, Path(folder)), budgets))}
    stream, learned = clean_stream(task)
    job = learning_job(stream)
    windows = [
        measure_window(job.new, stream.columns, rows, span_of(number)) for number, rows in enumerate(stream.windows())
    ]
    with tempfile.TemporaryDirectory() as folder:
        fixed = reference_job(stream, windows[:learned], Path(folder)).settings
        return {
            REFERENCE: _judged(fixed, windows[learned:], budgets),
            LEARNING: _judged(job.settings, windows, budgets),
        }


def _judged(settings: dict[str, Any], windows: Sequence[Measured], budgets: Sequence[float]) -> Judged:
    found, compared = Counter[float](), 0
    for budget in budgets:
        own = {**settings, "alerts": {"false_incidents_per_day": budget}}
        decided = Running(WindowedJob(own, WINDOW_US)).through(windows)
        found[budget] = sum(len(one.opened) for one in decided)
        compared = sum(one.untold is None for one in decided)
    return Judged(found, compared)


def tasks(*, quick: bool = False) -> list[CleanTask]:
    """The streams: a steady one of few features, and seeded wafers, if quick."""
    shapes = [(features, rows) for features in JUDGED for rows in ROWS]
    wafers = [task for task in wafer_tasks("choose") if not task.shuffled]
    clicks = [
        CleanTask(stream=recipe, kind="ctr", part="choose", a_window=rows, features=features, judged=JUDGED[features])
        for recipe in (_RECIPES[:1] if quick else _RECIPES)
        for features, rows in (shapes[:2] if quick else shapes)
    ]
    return [*clicks, *(wafers[:2] if quick else wafers)]


def ratios(planned: Sequence[CleanTask], budgets: Sequence[float] = BUDGETS) -> list[Result]:
    """Incidents a day over the budget, by features, rows and budget, and of wafers."""
    incidents: Counter[tuple[str, float]] = Counter()
    windows: Counter[str] = Counter()
    for task in planned:
        for job, judged in opened(task, budgets).items():
            shape = f"{job}{task.features}_features_{task.a_window}_rows"
            if task.kind == "wafer":
                shape = f"{task.stream}_{task.a_window}_wafers"
            windows[shape] += judged.windows
            incidents.update({(shape, budget): judged.incidents[budget] for budget in budgets})
    return [_ratio(shape, budget, incidents[shape, budget], windows[shape]) for shape in windows for budget in budgets]


def _ratio(shape: str, budget: float, incidents: int, windows: int) -> Result:
    days = windows * WINDOW_US / DAY_US
    low, high = rate_bounds(incidents, days * budget)
    return cost(
        f"false_incidents_ratio_{shape}_budget_{budget:g}",
        incidents / days / budget,
        "of the budget",
        target=1.0,
        note=f"{incidents} incidents in {windows} windows of an hour; 95 % bounds {low:.2f} to {high:.2f}.",
    )


def main() -> None:
    """Run, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two shapes of one stream; writes no results")
    quick = parser.parse_args().quick
    found = ratios(tasks(quick=quick))
    if quick:
        print_table("false incidents over the budget, some streams", found)
    else:
        write_results("decisions_budgets", found)


if __name__ == "__main__":
    main()

"""What `benchmarks.decisions` runs: a list of tasks, each a stretch of its own that any process can take."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from benchmarks.decisions_clean import Tally, clean
from benchmarks.decisions_delay import AlarmTask, Delay, DelayTask, FalseAlarms, delay_tasks, delays, false_alarms
from benchmarks.decisions_faults import WINDOWS, Base, Before, FaultBench, Outcome
from benchmarks.decisions_seeded import RECIPES, seeded
from benchmarks.decisions_streams import (
    LABEL,
    SEEDS,
    TABLES,
    Kind,
    Part,
    RealTable,
    Stream,
    cut,
    data_folder,
    dealt,
    read_table,
    shuffled,
)
from benchmarks.decisions_wafers import STREAMS, WITH_PATTERNS, Wafers, clean_wafers, sizes
from benchmarks.faults.library import plantable
from benchmarks.faults.stretch import Target

ROWS = (500, 2_000, 20_000)
#: Features of seeded streams, and windows that are judged: closing a window takes longer the more features it has.
JUDGED = {5: 240, 50: 96, 500: 24}
#: Recipes at all numbers of features; the others at the first two.
_WIDE = ("steady", "day_cycle")
#: Windows of a real table below which it is left out, least of them that are learned, and the share learned.
_LEAST_WINDOWS, _LEAST_LEARNED, _LEARNED = 6, 4, 0.4
_FAULT_ROWS = 2_000
#: Windows that a quick run judges of a seeded stream.
_QUICK = 48
#: Wafers a window, likewise.
_QUICK_WAFERS = 100
#: Where faults are planted. Label and window length are added.
_TARGETS: dict[str, Target] = {
    "steady ctr": Target(column="f001", other="f016", third="f008", number="f010", group=("f001", "f002", "f006")),
    "steady rows": Target(column="f004", other="f009", number="f005", group=("f004", "f005", "f006")),
    "avazu": Target(
        column="site_category",
        other="app_category",
        third="device_conn_type",
        number="C14",
        group=("site_category", "site_id", "site_domain"),
    ),
    "open_bandit": Target(
        column="item_id", other="user_feature_1", third="user_feature_2", group=("item_id", "position")
    ),
    "elec2": Target(column="feat_3", other="feat_5", number="feat_2", group=("feat_3", "feat_4", "feat_5")),
    "talkingdata": Target(column="app", other="os", third="device", number="channel", group=("app", "channel")),
    "amazon_access": Target(
        column="ROLE_FAMILY",
        other="ROLE_DEPTNAME",
        third="ROLE_ROLLUP_1",
        number="RESOURCE",
        group=("ROLE_FAMILY", "ROLE_CODE"),
    ),
    "noaa_weather": Target(column="f0", other="f1", number="f2", group=("f0", "f1", "f5")),
}


class CleanTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A stretch without a fault."""

    stream: str
    kind: Kind
    part: Part
    a_window: int
    #: Of a seeded stream; 0 of a real one.
    features: int = 0
    judged: int = 0
    shuffled: bool = False


class FaultTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All faults, planted in one stretch."""

    stream: str
    kind: Kind
    seed: int


Task = CleanTask | FaultTask | DelayTask | AlarmTask


class CleanRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one job made of a stretch without a fault."""

    task: CleanTask
    job: str
    tally: Tally


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What tasks found."""

    clean: tuple[CleanRun, ...] = ()
    before: tuple[Before, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    delays: tuple[Delay, ...] = ()
    false_alarms: tuple[FalseAlarms, ...] = ()

    def __add__(self, other: "Found") -> "Found":
        """Both."""
        return Found(
            clean=self.clean + other.clean,
            before=self.before + other.before,
            outcomes=self.outcomes + other.outcomes,
            delays=self.delays + other.delays,
            false_alarms=self.false_alarms + other.false_alarms,
        )


Only = Literal["clean", "faults", "delay"]


def tasks(part: Part, *, quick: bool = False, only: Only | None = None) -> list[Task]:
    """The tasks of a part; a quick run has a stretch of each kind, one seed and no wide stream."""
    clean_ones = (
        [*_real(part), *_seeded(part), *wafer_tasks(part), *_wafers_of(WITH_PATTERNS, part)]
        if only in (None, "clean")
        else []
    )
    faults = list(_faults(part)) if only in (None, "faults") else []
    delayed = delay_tasks(part, quick=quick) if only in (None, "delay") else []
    if not quick:
        # Those that take longest first, so that no process waits at the end.
        return [*faults, *sorted(clean_ones, key=lambda task: -task.features * task.a_window), *delayed]
    few = [msgspec.structs.replace(task, judged=min(task.judged, _QUICK)) for task in clean_ones if _is_quick(task)]
    return [*(task for task in faults if task.stream == "steady" and task.seed == SEEDS[part][0]), *few, *delayed]


def _is_quick(task: CleanTask) -> bool:
    if task.kind == "wafer":
        return task.stream == "drawn" and task.a_window == _QUICK_WAFERS
    return task.a_window == 2_000 and task.features in (0, 5) and task.stream != "census_income"


def _real(part: Part) -> Iterator[CleanTask]:
    for table in _at_hand(part):
        height = read_table(table).height
        for a_window in ROWS:
            if height // a_window >= _LEAST_WINDOWS:
                one = CleanTask(stream=table.name, kind=table.kind, part=part, a_window=a_window)
                yield from (one, msgspec.structs.replace(one, shuffled=True))


def _seeded(part: Part) -> Iterator[CleanTask]:
    for kind in ("ctr", "rows"):
        for recipe in RECIPES:
            for features, judged in JUDGED.items():
                for a_window in ROWS:
                    one = CleanTask(
                        stream=recipe.name, kind=kind, part=part, a_window=a_window, features=features, judged=judged
                    )
                    if features < max(JUDGED) or recipe.name in _WIDE:
                        yield one
                    if features == min(JUDGED) and recipe.name != "steady":
                        yield msgspec.structs.replace(one, shuffled=True)


def wafer_tasks(part: Part) -> Iterator[CleanTask]:
    """Wafers without a fault, in their order and shuffled."""
    for stream in STREAMS:
        for one in _wafers_of(stream, part):
            yield from (one, msgspec.structs.replace(one, shuffled=True))


def _wafers_of(stream: str, part: Part) -> Iterator[CleanTask]:
    for a_window in sizes(stream, part):
        yield CleanTask(stream=stream, kind="wafer", part=part, a_window=a_window)


def wafers_of(task: CleanTask, folder: Path) -> Wafers:
    """The wafers of a task."""
    return Wafers(task.stream, task.part, task.a_window, is_shuffled=task.shuffled, folder=folder)


def _faults(part: Part) -> Iterator[FaultTask]:
    real = [table for table in _at_hand(part) if table.name in _TARGETS]
    for seed in SEEDS[part]:
        for kind in ("ctr", "rows"):
            yield FaultTask(stream="steady", kind=kind, seed=seed)
        yield from (FaultTask(stream=table.name, kind=table.kind, seed=seed) for table in real)


def _at_hand(part: Part) -> list[RealTable]:
    return [table for table in TABLES if table.part == part and (data_folder() / table.file).exists()]


def run_task(task: Task) -> Found:
    """Run a task in this process."""
    if isinstance(task, DelayTask):
        return Found(delays=tuple(delays(task)))
    if isinstance(task, AlarmTask):
        return Found(false_alarms=(false_alarms(task),))
    with tempfile.TemporaryDirectory() as folder:
        return _run_clean(task, Path(folder)) if isinstance(task, CleanTask) else _run_faults(task, Path(folder))


def _run_clean(task: CleanTask, folder: Path) -> Found:
    if task.kind == "wafer":
        return Found(clean=(CleanRun(task=task, job="wafers", tally=clean_wafers(wafers_of(task, folder))),))
    stream, learned = clean_stream(task)
    tallies = clean(stream, learned, folder)
    return Found(clean=tuple(CleanRun(task=task, job=job, tally=one) for job, one in tallies.items()))


def clean_stream(task: CleanTask) -> tuple[Stream, int]:
    """The stream of a task, and how many of its windows are learned."""
    seed = SEEDS[task.part][0]
    if task.features:
        recipe = next(recipe for recipe in RECIPES if recipe.name == task.stream)
        count, learned = recipe.learned + task.judged, recipe.learned
        stream = seeded(recipe, task.kind, features=task.features, a_window=task.a_window, count=count, seed=seed)
    else:
        table = _table(task.stream)
        stream = cut(table, read_table(table), task.a_window)
        learned = max(_LEAST_LEARNED, int(_LEARNED * stream.count))
    return (shuffled(stream, seed) if task.shuffled else stream), learned


def _run_faults(task: FaultTask, folder: Path) -> Found:
    base = fault_base(task)
    bench = FaultBench(base, folder)
    outcomes = [
        outcome
        for fault in plantable(base.target, base.stream.columns)
        for strength in fault.strengths
        for outcome in bench.plant(fault, strength)
    ]
    return Found(before=tuple(bench.before), outcomes=tuple(outcomes))


def fault_base(task: FaultTask) -> Base:
    """The stream of a task and where faults are planted in it."""
    if task.stream == "steady":
        recipe = replace(RECIPES[0], spread=0.03)
        stream = seeded(recipe, task.kind, features=20, a_window=_FAULT_ROWS, count=WINDOWS, seed=task.seed)
        target = _TARGETS[f"steady {task.kind}"]
    else:
        table = _table(task.stream)
        pool = read_table(table)
        stream = dealt(cut(table, pool, _FAULT_ROWS), pool, _FAULT_ROWS, WINDOWS, task.seed)
        target = _TARGETS[task.stream]
    return Base(stream, replace(target, label=LABEL if task.kind == "ctr" else None), task.seed)


def _table(name: str) -> RealTable:
    return next(table for table in TABLES if table.name == name)

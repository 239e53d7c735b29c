"""`make bench-decisions_peers`: our jobs beside other tools at their defaults, on the same windows.

Windows of 500 rows without a fault, in true order and shuffled, of the streams by which settings are chosen; and two
windows of each planted fault behind two without. Ours alarms where it alerts at all. Peers alarm where any column does
and, as another figure, where they say so of the whole data set, if they do. Each peer has an environment of its own,
which make sets up.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from benchmarks.decisions_clean import Running, rate_bounds
from benchmarks.decisions_job import Measured, WindowedJob, measure_window
from benchmarks.decisions_learn import learning_job, reference_job, rows_job
from benchmarks.decisions_plan import CleanTask, FaultTask, clean_stream, fault_base
from benchmarks.decisions_streams import LABEL, SEEDS, TABLES, Kind, Part, Stream, data_folder, span_of
from benchmarks.faults.library import plantable
from benchmarks.faults.stretch import TIME, Stretch
from benchmarks.harness import Result, cost, rate, write_results

ROOT = Path(__file__).resolve().parent.parent
#: Name of the environment and of the script, and what to know of its figures.
PEERS = {
    "river": "ADWIN takes numbers that are not missing, and most faults are planted in a column of text",
    "evidently": "the data drift preset beside all learned rows; a data set drifts where half of its columns do",
    "nannyml": "univariate drift; a chunk is a window, thresholds come of the learned ones; no verdict on a data set",
    "whylogs_viz": "drift scores beside a profile of all learned rows; no verdict on a data set",
}
OURS = "sparsewatch"
#: What to know of figures of faults.
_SHARED = "All faults share the windows before: a tool that alarms there finds nothing by this count."
KINDS: dict[Kind, str] = {"ctr": "clicks", "rows": "rows"}
_PART: Part = "choose"
#: Rows a window, and most windows that are learned and judged of a stretch without a fault.
_ROWS, _MOST_LEARNED, _JUDGED = 500, 24, 24
#: What to know of false alarms by these bounds.
_BEHIND = f"Judged are up to {_JUDGED} windows right behind those learned; an incident that lasts alerts in each."
_SEEDED = ("steady", "autocorrelated", "day_cycle")
#: Windows that are learned before faults, those before the fault, and those in which it lasts.
_LEARNED, _BEFORE, _DURING = 16, 2, 2
_PROCESS_S = 1_800
#: Peers that run at a time.
_AT_ONCE = 2
#: Peers tell their makers nothing.
_SILENT = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}


@dataclass(frozen=True)
class Case:
    """Windows in a row, and those that are learned before."""

    name: str
    stream: Stream
    learned: list[pl.DataFrame]
    windows: list[pl.DataFrame]


def clean_cases(kind: Kind, *, shuffled: bool) -> Iterator[Case]:
    """Stretches without a fault."""
    tables = [one for one in TABLES if one.part == _PART and one.kind == kind]
    real = [one.name for one in tables if (data_folder() / one.file).exists()]
    for name in (*real, *_SEEDED):
        features = 5 if name in _SEEDED else 0
        task = CleanTask(
            stream=name, kind=kind, part=_PART, a_window=_ROWS, features=features, judged=_JUDGED, shuffled=shuffled
        )
        stream, learned = clean_stream(task)
        learned = min(learned, _MOST_LEARNED)
        windows = list(islice(stream.windows(), learned + _JUDGED))
        yield Case(name, stream, windows[:learned], windows[learned:])


def fault_cases(kind: Kind) -> Iterator[Case]:
    """Each fault of middle strength behind windows without one, in a stream in which nothing else changes."""
    base = fault_base(FaultTask(stream="steady", kind=kind, seed=SEEDS[_PART][0]))
    windows = list(base.stream.windows())
    learned, before = windows[:_LEARNED], windows[_LEARNED : _LEARNED + _BEFORE]
    stretch = pl.concat(windows[_LEARNED + _BEFORE :][:_DURING])
    for fault in plantable(base.target, base.stream.columns):
        strength = fault.strengths[1]
        rng = np.random.default_rng([base.seed, *fault.name.encode()])
        planted = fault.plant(stretch, base.target, strength, rng)
        if planted.arrived is not None:
            # Tools that take frames know no arrival.
            continue
        rows = _with_wrong(planted)
        during = [part for _, part in sorted(_by_window(rows).items())]
        yield Case(f"{fault.name} {strength:g}", base.stream, learned, [*before, *during])


def _with_wrong(stretch: Stretch) -> pl.DataFrame:
    """The rows as a tool gets them whose frames hold one type a column: a value of another type is missing."""
    return stretch.rows.with_columns(
        pl.when(values.is_null()).then(pl.col(name)).otherwise(None).alias(name)
        for name, values in stretch.wrong.items()
    )


def _by_window(rows: pl.DataFrame) -> dict[int, pl.DataFrame]:
    length = span_of(0)[1] - span_of(0)[0]
    return {int(key[0]): part for key, part in rows.group_by(pl.col(TIME) // length, maintain_order=True)}


def our_alarms(case: Case, folder: Path) -> dict[str, list[bool]]:
    """Whether each of our jobs alerts in each window, by job; they have seen what they learned."""
    jobs = _click_jobs(case, folder) if case.stream.kind == "ctr" else _row_jobs(case, folder)
    return {f"{OURS}_{name}": _alerts(case, job) for name, job in jobs.items()}


def _click_jobs(case: Case, folder: Path) -> dict[str, WindowedJob]:
    learning = learning_job(case.stream)
    reference = reference_job(case.stream, _measured(case, learning, case.learned), folder, case.learned)
    return {"reference": reference, "learning": learning}


def _row_jobs(case: Case, folder: Path) -> dict[str, WindowedJob]:
    return {"row_model": rows_job(case.stream, case.learned, folder, sum(rows.height for rows in case.learned))}


def _alerts(case: Case, job: WindowedJob) -> list[bool]:
    decided = Running(job).through(_measured(case, job, [*case.learned, *case.windows]))
    return [bool(one.alerts) for one in decided[len(case.learned) :]]


def _measured(case: Case, job: WindowedJob, windows: Sequence[pl.DataFrame]) -> list[Measured]:
    return [_window(case, job, rows, number) for number, rows in enumerate(windows)]


def _window(case: Case, job: WindowedJob, rows: pl.DataFrame, number: int) -> Measured:
    # A job of clicks refuses rows without a label.
    usable = rows.drop_nulls(LABEL) if LABEL in case.stream.columns else rows
    measured = measure_window(job.new, case.stream.columns, usable, span_of(number))
    return replace(measured, rejected=rows.height - usable.height)


def peer_alarms(peer: str, cases: Sequence[Case], folder: Path) -> dict[str, list[list[bool]]]:
    """What a peer says of each window of each case, by figure; see `peers/window_files.py`."""
    folders = [_written(case, folder / f"{number:03d}") for number, case in enumerate(cases)]
    python = ROOT / ".cache" / "peers" / peer / "bin" / "python"
    command = [str(python), "-W", "ignore", str(ROOT / "benchmarks" / "peers" / f"{peer}_rows.py"), *folders]
    environment = {**os.environ, **_SILENT}
    done = subprocess.run(command, check=False, capture_output=True, timeout=_PROCESS_S, env=environment)
    if done.returncode:
        raise RuntimeError(f"{peer} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    said = msgspec.json.decode(done.stdout.splitlines()[-1], type=dict[str, list[list[bool]]])
    return {f"{peer}_{figure}": alarms for figure, alarms in said.items()}


def _written(case: Case, folder: Path) -> str:
    folder.mkdir(parents=True)
    for kind, windows in (("learned", case.learned), ("window", case.windows)):
        for at, rows in enumerate(windows):
            rows.select(list(case.stream.columns)).write_parquet(folder / f"{kind}_{at:03d}.parquet")
    return str(folder)


def all_alarms(cases: Sequence[Case], folder: Path) -> dict[str, list[list[bool]]]:
    """What each tool says of each window of each case, by tool."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        theirs = [pool.submit(peer_alarms, peer, cases, folder / peer) for peer in PEERS]
        ours = [our_alarms(case, folder / OURS / str(number)) for number, case in enumerate(cases)]
        said = {name: [one[name] for one in ours] for name in ours[0]}
        for each in theirs:
            said |= each.result()
    return said


def clean_results(kind: str, order: str, cases: Sequence[Case], said: dict[str, list[list[bool]]]) -> Iterator[Result]:
    """False alarms of each tool, in windows without a fault."""
    for tool, alarms in said.items():
        windows, false = sum(map(len, alarms)), sum(map(sum, alarms))
        low, high = rate_bounds(false, windows / 1_000)
        named = "; ".join(
            f"{case.name} {sum(own)} of {len(own)}" for case, own in zip(cases, alarms, strict=True) if any(own)
        )
        note = f"{false} of {windows} windows, per 1,000 95 % bounds {low:.1f} to {high:.1f}: {named or 'none'}."
        note = f"{note} {_BEHIND}" if order == "in_order" and tool.startswith(OURS) else note
        yield cost(f"false_alarms_{kind}_{order}_{tool}", false / windows, "of windows", note=note)


def fault_results(kind: str, cases: Sequence[Case], said: dict[str, list[list[bool]]]) -> Iterator[Result]:
    """Faults that each tool finds: those with an alarm while they last and none in the windows before."""
    for tool, alarms in said.items():
        found = [any(own[_BEFORE:]) and not any(own[:_BEFORE]) for own in alarms]
        missed = ", ".join(case.name for case, hit in zip(cases, found, strict=True) if not hit)
        before, during = (sum(any(own[part]) for own in alarms) for part in (slice(_BEFORE), slice(_BEFORE, None)))
        note = (
            f"of {len(cases)} faults of middle strength; {before} with an alarm before the fault, {during} with one "
            f"while it lasts; not found: {missed or 'none'}."
        )
        about = next((text for peer, text in PEERS.items() if tool.startswith(peer)), "")
        note = f"{note} {about[0].upper()}{about[1:]}." if about else note
        note = f"{note} {_SHARED}" if before else note
        yield rate(f"found_{kind}_{tool}", sum(found) / len(found), "of faults", note=note)


def figures_of(kind: Kind, folder: Path) -> Iterator[Result]:
    """All figures of a kind of job."""
    for order in ("in_order", "shuffled"):
        cases = list(clean_cases(kind, shuffled=order == "shuffled"))
        yield from clean_results(KINDS[kind], order, cases, all_alarms(cases, folder / order))
    cases = list(fault_cases(kind))
    yield from fault_results(KINDS[kind], cases, all_alarms(cases, folder / "faults"))


def main() -> None:
    """Run, print and write the results."""
    figures: list[Result] = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            figures += figures_of(kind, Path(folder))
    write_results("decisions_peers", figures)


if __name__ == "__main__":
    main()

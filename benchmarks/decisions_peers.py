"""`make bench-decisions_peers`: our rows job beside other tools at their defaults, on the same windows.

Windows of 500 rows without a fault, in true order and shuffled, of the streams by which settings are chosen; and two
windows of each planted fault behind two without. A window counts as an alarm where a tool says anything at all about
it. Each peer has an environment of its own, which make sets up. A minute on two cores.
"""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from benchmarks.decisions_clean import Running, rate_bounds
from benchmarks.decisions_job import measure_window
from benchmarks.decisions_learn import rows_job
from benchmarks.decisions_plan import CleanTask, FaultTask, clean_stream, fault_base
from benchmarks.decisions_streams import SEEDS, TABLES, Part, Stream, data_folder, span_of
from benchmarks.faults.library import plantable
from benchmarks.faults.stretch import TIME, Stretch
from benchmarks.harness import Result, cost, rate, write_results

ROOT = Path(__file__).resolve().parent.parent
#: Name of the environment and of the script, and what it must be excused for.
PEERS = {"river": "ADWIN takes numbers that are not missing, and most faults are planted in a column of text"}
OURS = "sparsewatch"
_PART: Part = "choose"
_ROWS, _JUDGED = 500, 48
_SEEDED = ("steady", "autocorrelated", "day_cycle")
#: Windows that are learned before faults, those before the fault, and those in which it lasts.
_LEARNED, _BEFORE, _DURING = 8, 2, 2
_PROCESS_S = 900


@dataclass(frozen=True)
class Case:
    """Windows in a row, and those that are learned before."""

    name: str
    stream: Stream
    learned: list[pl.DataFrame]
    windows: list[pl.DataFrame]


def clean_cases(*, shuffled: bool) -> Iterator[Case]:
    """Stretches without a fault."""
    tables = [one for one in TABLES if one.part == _PART and one.kind == "rows"]
    real = [one.name for one in tables if (data_folder() / one.file).exists()]
    for name in (*real, *_SEEDED):
        features = 5 if name in _SEEDED else 0
        task = CleanTask(
            stream=name, kind="rows", part=_PART, a_window=_ROWS, features=features, judged=_JUDGED, shuffled=shuffled
        )
        stream, learned = clean_stream(task)
        windows = list(stream.windows())
        yield Case(name, stream, windows[:learned], windows[learned:])


def fault_cases() -> Iterator[Case]:
    """Each fault of each strength behind windows without one, in a stream in which nothing else changes."""
    base = fault_base(FaultTask(stream="steady", kind="rows", seed=SEEDS[_PART][0]))
    windows = list(base.stream.windows())
    learned, before = windows[:_LEARNED], windows[_LEARNED : _LEARNED + _BEFORE]
    stretch = pl.concat(windows[_LEARNED + _BEFORE :][:_DURING])
    for fault in plantable(base.target, base.stream.columns):
        for strength in fault.strengths:
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


def our_alarms(case: Case, folder: Path) -> list[bool]:
    """Whether our job alerts in each window."""
    job = rows_job(case.stream, case.learned, folder, sum(rows.height for rows in case.learned))
    first = len(case.learned)
    measured = [
        measure_window(job.new, case.stream.columns, rows, span_of(first + at)) for at, rows in enumerate(case.windows)
    ]
    return [bool(decided.alerts) for decided in Running(job).through(measured)]


def peer_alarms(peer: str, cases: Sequence[Case], folder: Path) -> list[list[bool]]:
    """What a peer says of each window of each case."""
    folders = []
    for number, case in enumerate(cases):
        own = folder / f"{number:03d}"
        own.mkdir(parents=True)
        for at, rows in enumerate([pl.concat(case.learned), *case.windows]):
            rows.select(case.stream.features).write_parquet(own / f"{at:03d}.parquet")
        folders.append(str(own))
    python = ROOT / ".cache" / "peers" / peer / "bin" / "python"
    command = [str(python), str(ROOT / "benchmarks" / "peers" / f"{peer}_rows.py"), *folders]
    said = subprocess.run(command, check=True, capture_output=True, timeout=_PROCESS_S).stdout
    return msgspec.json.decode(said, type=list[list[bool]])


def all_alarms(cases: Sequence[Case], folder: Path) -> dict[str, list[list[bool]]]:
    """What each tool says of each window of each case, by tool."""
    ours = [our_alarms(case, folder / OURS / str(number)) for number, case in enumerate(cases)]
    return {OURS: ours, **{peer: peer_alarms(peer, cases, folder / peer) for peer in PEERS}}


def clean_results(order: str, cases: Sequence[Case], said: dict[str, list[list[bool]]]) -> Iterator[Result]:
    """False alarms of each tool, in windows without a fault."""
    for tool, alarms in said.items():
        windows, false = sum(map(len, alarms)), sum(map(sum, alarms))
        low, high = rate_bounds(false, windows / 1_000)
        named = "; ".join(
            f"{case.name} {sum(own)} of {len(own)}" for case, own in zip(cases, alarms, strict=True) if any(own)
        )
        note = f"{false} of {windows} windows, per 1,000 95 % bounds {low:.1f} to {high:.1f}: {named or 'none'}."
        yield cost(f"false_alarms_{order}_{tool}", false / windows, "of windows", note=note)


def fault_results(cases: Sequence[Case], said: dict[str, list[list[bool]]]) -> Iterator[Result]:
    """Faults that each tool finds: those with an alarm while they last and none in the windows before."""
    for tool, alarms in said.items():
        found = [any(own[_BEFORE:]) and not any(own[:_BEFORE]) for own in alarms]
        missed = ", ".join(case.name for case, hit in zip(cases, found, strict=True) if not hit)
        before = sum(any(own[:_BEFORE]) for own in alarms)
        note = f"of {len(cases)} faults and strengths; {before} with an alarm before the fault; not found: {missed}."
        note = f"{note} {PEERS[tool]}." if tool in PEERS else note
        yield rate(f"found_{tool}", sum(found) / len(found), "of faults", note=note)


def main() -> None:
    """Run, print and write the results."""
    figures: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for order in ("in_order", "shuffled"):
            cases = list(clean_cases(shuffled=order == "shuffled"))
            figures += clean_results(order, cases, all_alarms(cases, Path(folder) / order))
        cases = list(fault_cases())
        figures += fault_results(cases, all_alarms(cases, Path(folder) / "faults"))
    write_results("decisions_peers", figures)


if __name__ == "__main__":
    main()

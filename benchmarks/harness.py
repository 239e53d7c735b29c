"""What all benchmarks share: a result's shape, interleaved rounds, a table, and a JSON file for each benchmark.

A benchmark gives results; `write_results` prints them and writes `benchmarks/results/<benchmark>.json`, a list with an
entry for each result. Each entry names its own machine, versions, date and command, so a part can be measured again
without the rest. A peer runs in the same process or beside it, in turn with ours, so that a busy machine slows both.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"
#: Packages whose versions stand in every entry, where installed.
PACKAGES = ("sparsewatch", "apache-beam", "numpy", "polars", "pyarrow", "torch", "kafka-python", "confluent-kafka")
#: Characters; where output is no terminal, the library would take 80 and break every word.
_TABLE_WIDTH = 140


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A figure, alone or beside a peer's."""

    name: str
    value: float
    unit: str
    #: What it is compared with, in words.
    peer: str | None = None
    peer_value: float | None = None
    #: `value` over `peer_value`.
    ratio: float | None = None
    target: float | None = None
    met: bool | None = None
    #: Lowest and highest of the rounds `value` is the median of.
    spread: tuple[float, float] | None = None
    note: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    cpu: str
    #: Cores this process may use.
    cores: int
    memory_gib: float
    system: str


class _Circumstances(NamedTuple):
    machine: Machine
    versions: dict[str, str]
    date: datetime
    command: str


class Entry(Result, frozen=True, kw_only=True):
    """A result with its circumstances."""

    machine: Machine
    versions: dict[str, str]
    #: UTC, to the second.
    date: datetime
    command: str


class Rounds(msgspec.Struct, frozen=True):
    """The same figure from several rounds."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Lowest and highest."""
        return min(self.values), max(self.values)


def interleave(calls: Sequence[Callable[[], float]], rounds: int) -> list[Rounds]:
    """Call each in turn, `rounds` times; the returned values, in the order of `calls`.

    Args:
        calls: Each measures once and returns a figure.
        rounds: At least 1.

    Raises:
        ValueError: If there is no round.
    """
    if rounds < 1:
        raise ValueError(f"rounds: expected at least 1, got {rounds}")
    taken = [[call() for call in calls] for _ in range(rounds)]
    return [Rounds(values) for values in zip(*taken, strict=True)]


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes by the clock."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def rate(
    name: str,
    value: float | Rounds,
    unit: str,
    *,
    peer: str | None = None,
    peer_value: float | Rounds | None = None,
    target: float | None = None,
    note: str = "",
) -> Result:
    """A result where more is better: its ratio to the peer's, and whether it reaches the target."""
    figure, spread = _figure(value)
    other = None if peer_value is None else _figure(peer_value)[0]
    return Result(
        name=name,
        value=figure,
        unit=unit,
        peer=peer,
        peer_value=other,
        ratio=None if other is None else figure / other,
        target=target,
        met=None if target is None else figure >= target,
        spread=spread,
        note=note,
    )


def cost(name: str, value: float | Rounds, unit: str, *, target: float | None = None, note: str = "") -> Result:
    """A result where less is better: it meets a target that it does not exceed."""
    result = rate(name, value, unit, note=note)
    met = None if target is None else result.value <= target
    return msgspec.structs.replace(result, target=target, met=met)


def _figure(value: float | Rounds) -> tuple[float, tuple[float, float] | None]:
    return (value.median, value.spread) if isinstance(value, Rounds) else (value, None)


def write_results(
    benchmark: str, results: Sequence[Result], *, keep_others: bool = False, folder: Path = RESULTS
) -> Path:
    """Print the results and write them to `<benchmark>.json`.

    Args:
        benchmark: Name of the file, as in `make bench-<name>`.
        results: What was measured.
        keep_others: Leave the file's entries of other names in it, for a benchmark that measured a part of itself.
        folder: Where results lie.
    """
    run = _Circumstances(this_machine(), _versions(), datetime.now(UTC).replace(microsecond=0), command_line())
    entries = [Entry(**msgspec.structs.asdict(result), **run._asdict()) for result in results]
    print_table(benchmark, entries)
    path = folder / f"{benchmark}.json"
    if keep_others and path.exists():
        measured = {entry.name for entry in entries}
        entries = [e for e in read_results(path) if e.name not in measured] + entries
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n")
    return path


def read_results(path: Path) -> list[Entry]:
    """The entries of a file.

    Raises:
        ValueError: If they are not what `write_results` writes.
    """
    return msgspec.json.decode(path.read_bytes(), type=list[Entry])


def print_table(benchmark: str, results: Iterable[Result]) -> None:
    """Results as a table, a line for each."""
    table = Table("what", "value", "unit", "peer", "peer's", "ratio", "target", "met", title=benchmark)
    for column in (1, 4, 5, 6):
        table.columns[column].justify = "right"
    table.columns[0].no_wrap = True
    for result in results:
        table.add_row(*cells(result))
    Console(width=_TABLE_WIDTH).print(table)


def cells(result: Result) -> tuple[str, ...]:
    """A result as the texts of a row: name, value, unit, peer, peer's value, ratio, target, met."""
    return (
        result.name,
        number(result.value),
        result.unit,
        result.peer or "",
        number(result.peer_value),
        number(result.ratio),
        number(result.target),
        {None: "", True: "yes", False: "NO"}[result.met],
    )


def number(value: float | None) -> str:
    """A number to three or more figures, nothing for None.

    >>> number(41234.5), number(0.01234), number(None)
    ('41,234', '0.0123', '')
    """
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


def this_machine() -> Machine:
    """The machine this runs on."""
    cpu = [line.partition(":")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=cpu[0].strip() if cpu else platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(pages / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
    )


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def command_line() -> str:
    """How this program was called."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"python -m {spec.name}" if spec is not None else Path(sys.argv[0]).name
    return " ".join([program, *sys.argv[1:]])

"""docs/benchmarks.md from benchmarks/results: a table for each benchmark, missed targets first."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.harness import RESULTS, Entry, Machine, cells, number, read_results

PAGE = RESULTS.parent.parent / "docs" / "benchmarks.md"
_INTRODUCTION = """# Benchmarks

Written by `make bench-report` from `benchmarks/results/*.json`; `make bench-X` measures X anew. A figure is the
median of its rounds, the range is their lowest and highest. A peer was measured in the same run, alternating with
ours; the ratio is ours over the peer's.
"""
_HEADER = (
    "| what | value | unit | range | peer | peer's | ratio | target | met |\n|---|--:|---|---|---|--:|--:|--:|---|"
)


def page(results: dict[str, list[Entry]]) -> str:
    """The page of all results, by name of their benchmark."""
    short = [(name, entry) for name, entries in results.items() for entry in entries if entry.met is False]
    parts = [_INTRODUCTION, _shortfall(short)]
    parts += [_section(name, entries) for name, entries in results.items()]
    return "\n".join(parts)


def _shortfall(short: Sequence[tuple[str, Entry]]) -> str:
    if not short:
        return "Every target was met.\n"
    lines = [
        f"- `{benchmark}` {entry.name}: {number(entry.value)} {entry.unit}, "
        f"target {number(entry.target)}. {entry.note}".rstrip()
        for benchmark, entry in short
    ]
    return "\n".join(["## What falls short", "", *lines, ""])


def _section(name: str, entries: Sequence[Entry]) -> str:
    parts = [f"## {name}", ""]
    for circumstances, group in groupby(entries, _circumstances):
        parts += [circumstances, "", _HEADER, *map(_row, group), ""]
    notes = [f"- {entry.name}: {entry.note}" for entry in entries if entry.note]
    return "\n".join([*parts, *notes, ""] if notes else parts)


def _circumstances(entry: Entry) -> str:
    versions = ", ".join(f"{package} {number}" for package, number in entry.versions.items())
    return f"`{entry.command}`, {entry.date:%Y-%m-%d}, {_machine(entry.machine)}; {versions}."


def _machine(machine: Machine) -> str:
    return f"{machine.cores} cores of {machine.cpu}, {machine.memory_gib} GiB, {machine.system}"


def _row(entry: Entry) -> str:
    name, value, unit, *rest = cells(entry)
    spread = "" if entry.spread is None else " to ".join(map(number, entry.spread))
    return f"| {' | '.join([name, value, unit, spread, *rest])} |"


def load(folder: Path = RESULTS) -> dict[str, list[Entry]]:
    """All results of a folder, by name of their benchmark.

    Raises:
        ValueError: If a file is not what the harness writes.
    """
    return {path.stem: read_results(path) for path in sorted(folder.glob("*.json"))}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(load()), encoding="utf-8")


if __name__ == "__main__":
    main()

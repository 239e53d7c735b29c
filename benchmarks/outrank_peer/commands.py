"""Whole commands as processes on the same CSV file: from the shell's call to the end, and the memory they hold.

The public command reads every row (`--subsampling 1`; its default reads a tenth). It is measured with all its tasks,
as users call it, and without its summary and pictures, since our command draws none unless asked.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from benchmarks.harness import Result, Rounds
from benchmarks.outrank_peer.environment import PEER, Cost, time_command
from benchmarks.outrank_peer.figures import beside, faster

LABEL = "label"
#: Data set and least number of times ours is faster, by result.
COMMANDS = {"command_census": ("census_income", 25.0), "command_talkingdata": ("talkingdata", 10.0)}
_MEMORY = "Of the largest process; the peer's eight workers hold memory besides."
_OURS = Path(sys.executable).with_name("sparsewatch")


def our_command(data: Path) -> list[str]:
    """Ranks all features of a CSV file."""
    return [str(_OURS), "rank", str(data), "--label", LABEL]


def public_command(data: Path, task: str) -> list[str]:
    """The same with the public tool, which wants the file's folder."""
    options = {
        "--task": task,
        "--data_path": data.parent,
        "--data_source": "csv-raw",
        "--label_column": LABEL,
        "--subsampling": 1,
        "--output_folder": "ranking",
        "--disable_tqdm": True,
    }
    return [str(PEER / "outrank"), *(str(word) for option in options.items() for word in option)]


def bench_commands(data: Path, rounds: int) -> Iterator[Result]:
    """Seconds and memory of `command_census` and `command_talkingdata`, each also without the peer's pictures."""
    for name, (data_set, target) in COMMANDS.items():
        with tempfile.TemporaryDirectory(prefix="sparsewatch-bench-") as folder:
            file = Path(folder, "data.csv")
            rows = pl.read_parquet(data / "ctr" / f"{data_set}.parquet")
            rows.write_csv(file)
            commands = [our_command(file), public_command(file, "all"), public_command(file, "ranking")]
            costs = [[time_command(command, Path(folder)) for command in commands] for _ in range(rounds)]
        size = f"{rows.height:,} rows, {rows.width - 1} features"
        ours, whole, bare = zip(*costs, strict=True)
        yield from compare(name, ours, whole, target, f"{size}; the peer with `--task all`.")
        yield from compare(f"{name}_ranking", ours, bare, target, f"{size}; the peer with `--task ranking`.")


def compare(name: str, ours: tuple[Cost, ...], peer: tuple[Cost, ...], target: float, note: str) -> Iterator[Result]:
    """How much faster, and both sides' seconds and memory."""
    seconds = [Rounds([cost.seconds for cost in side]) for side in (ours, peer)]
    memory = [Rounds([cost.peak_mb for cost in side]) for side in (ours, peer)]
    yield from faster(name, *seconds, target=target, note=note)
    yield beside(f"{name}_memory", memory[0], "MB at most", memory[1], less=True, note=_MEMORY)

"""`make bench-outrank`: beside the public tool `outrank` 0.97.5, on the same data in the same run, in turn.

Kernels (`kernel_*`), whole commands (`command_*`), ranks of real features (`ranks_*`) and the public tool's faults
(`fault_*`). The tool runs in an environment of its own, which make sets up, and is no part of this project. Real data
come from the folder SPARSEWATCH_DATA.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from benchmarks.harness import Result, write_results
from benchmarks.outrank_peer.commands import bench_commands
from benchmarks.outrank_peer.faults import bench_faults
from benchmarks.outrank_peer.kernels import bench_kernels
from benchmarks.outrank_peer.ranks import bench_ranks

#: Parts by name, called with the folder of data and the number of rounds.
PARTS: dict[str, Callable[[Path, int], Iterable[Result]]] = {
    "kernel": lambda _data, rounds: bench_kernels(rounds),
    "command": bench_commands,
    "ranks": lambda data, _rounds: bench_ranks(data),
    "fault": lambda _data, _rounds: bench_faults(),
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="Measure this part alone; repeatable.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Of kernels and commands.")
def main(only: Sequence[str], rounds: int) -> None:
    """Speed, memory, ranks and faults beside the public tool."""
    data = Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data"))
    for number, name in enumerate(only or PARTS):
        # Each part is written when it is done: the whole takes half an hour.
        write_results("outrank", list(PARTS[name](data, rounds)), keep_others=bool(only) or number > 0)


if __name__ == "__main__":
    main()

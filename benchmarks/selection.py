"""`make bench-selection`: planted signals found among noise, and features chosen for a model on real data.

The real data come from the folder SPARSEWATCH_DATA.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click
import polars as pl

from benchmarks.downstream import DATA_SETS, bench_downstream
from benchmarks.harness import write_results
from benchmarks.planted import bench_planted

PLANTED = "planted"


@click.command()
@click.option("--only", multiple=True, type=click.Choice([PLANTED, *DATA_SETS]), help="This part alone; repeatable.")
def main(only: Sequence[str]) -> None:
    """Needles among noise, and features chosen for a logistic regression."""
    folder = Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data")) / "ctr"
    for number, name in enumerate(only or (PLANTED, *DATA_SETS)):
        if name == PLANTED:
            found = bench_planted()
        else:
            found = bench_downstream(name, pl.read_parquet(folder / f"{name}.parquet"))
        # Each part is written when it is done, so that an interrupted run is completed by `--only`.
        write_results("selection", list(found), keep_others=bool(only) or number > 0)


if __name__ == "__main__":
    main()

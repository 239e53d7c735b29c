"""What jobs decide: false alarms on streams without a fault, and what they make of a library of planted faults.

`make bench-decisions` runs the part `choose`, by which settings may be chosen; `python -m benchmarks.decisions --part
report` runs the other streams and seeds, for figures that are stated. Thirteen minutes on two cores, `--quick` one.

The jobs are the product's own, window by window (`benchmarks.decisions_job`), at their defaults: a click job with a
reference, one that learns its baseline, a rows job with a model of the default method, and a wafer job with its model.
"""

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from rich.console import Console
from rich.progress import track

from benchmarks.decisions_plan import Found, Task, run_task, tasks
from benchmarks.decisions_results import results
from benchmarks.decisions_streams import absent
from benchmarks.harness import print_table, write_results

#: Beside one another; each takes up to a gigabyte.
_PROCESSES = 2


def run_all(planned: Sequence[Task], processes: int = _PROCESSES) -> Found:
    """What all tasks found, in their order, whichever process ran them."""
    # Read by polars and numpy as they are imported in the new processes.
    os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(run_task, task): at for at, task in enumerate(planned)}
        found: dict[int, Found] = {}
        for done in track(as_completed(running), "decisions", total=len(running), console=Console(stderr=True)):
            found[running[done]] = done.result()
    return sum((found[at] for at in range(len(planned))), Found())


def main() -> None:
    """Run, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("choose", "report"), default="choose", help="of the streams and seeds")
    parser.add_argument("--quick", action="store_true", help="some stretches; writes no results")
    parser.add_argument("--only", choices=("clean", "faults", "delay"), help="leave the other figures as they are")
    arguments = parser.parse_args()
    for name in absent(arguments.part):
        print(f"{name} is not at hand below SPARSEWATCH_DATA and is left out")
    figures = results(run_all(tasks(arguments.part, quick=arguments.quick, only=arguments.only)))
    if arguments.quick:
        print_table("decisions, some stretches", figures)
        return
    benchmark = "decisions" if arguments.part == "choose" else "decisions_report"
    write_results(benchmark, figures, keep_others=arguments.only is not None)


if __name__ == "__main__":
    main()

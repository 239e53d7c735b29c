"""`python -m benchmarks.house [--list] [ROOT ...]`: the figures of checkouts side by side, this one by default.

What each figure counts stands where it is taken: `tree` (files, circles), `kinds`, `repeats`, `traced`. A checkout from
before the prefix `sparsewatch.` measures alike. Give an older checkout first to see before and after.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.house.figures import FIGURES
from benchmarks.house.tree import Tree

_HERE = Path(__file__).resolve().parents[2]
_WIDTH = 140


def main() -> None:
    """Measure and print."""
    arguments = _parser().parse_args()
    trees = [Tree(root.resolve()) for root in arguments.roots or [_HERE]]
    found = [[list(figure.found(tree)) for tree in trees] for figure in FIGURES]
    console = Console(width=_WIDTH, soft_wrap=True)
    console.print(_table(trees, found))
    if arguments.list:
        for figure, columns in zip(FIGURES, found, strict=True):
            console.print(f"\n{figure.name}", *(f"  {item}" for item in columns[-1]), sep="\n", markup=False)


def _table(trees: Sequence[Tree], found: Sequence[Sequence[Sequence[str]]]) -> Table:
    table = Table("figure", *(str(tree.root) for tree in trees), "at most")
    for figure, columns in zip(FIGURES, found, strict=True):
        table.add_row(
            figure.name, *(str(len(items)) for items in columns), "-" if figure.wanted is None else str(figure.wanted)
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.house", description="How the code is laid out.")
    parser.add_argument("roots", metavar="ROOT", nargs="*", type=Path, help="Checkouts; this one by default.")
    parser.add_argument("--list", action="store_true", help="Name what was counted in the last checkout.")
    return parser


if __name__ == "__main__":
    main()

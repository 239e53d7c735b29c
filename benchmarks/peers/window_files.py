"""What peers that judge windows share: the frames of a folder, and what is printed of them.

A folder holds `learned_*.parquet` and `window_*.parquet`. A peer prints by figure, for each folder, whether each window
alarms, as JSON.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

#: What a peer says of each window: alarms by figure.
Verdicts = list[dict[str, bool]]
ANY_COLUMN, DATASET = "any_column", "dataset"


def frames(folder: Path, kind: str) -> list[pd.DataFrame]:
    """Frames of a folder in their order: `learned` or `window`."""
    return [pd.read_parquet(path) for path in sorted(folder.glob(f"{kind}_*.parquet"))]


def print_verdicts(judge: Callable[[Sequence[pd.DataFrame], Sequence[pd.DataFrame]], Verdicts]) -> None:
    """Judge the windows of all folders that the command line names by what each has learned."""
    said: dict[str, list[list[bool]]] = {}
    for number, name in enumerate(sys.argv[1:]):
        folder = Path(name)
        for verdict in judge(frames(folder, "learned"), frames(folder, "window")):
            for figure, alarm in verdict.items():
                by_folder = said.setdefault(figure, [])
                by_folder.extend([] for _ in range(number + 1 - len(by_folder)))
                by_folder[number].append(bool(alarm))
    print(json.dumps(said))

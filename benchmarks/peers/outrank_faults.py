"""The public tool's faults, each shown on the tool itself in its own environment.

`python outrank_faults.py NAME ARGUMENTS…` does what the tool does with the data in question and prints one line of
JSON. A fault that ends the process ends this script.
"""

import json
import logging
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import outrank.core_ranking as tool
import pandas as pd
from outrank.algorithms.sketches.counting_ultiloglog import HyperLogLogWCache
from outrank.core_utils import internal_hash
from pathos.multiprocessing import ProcessingPool
from tqdm import tqdm


def coverage(present: str, missing: str) -> float:
    """Percent of rows that have a value, of a column with that many rows with and without a value."""
    column = pd.DataFrame({"x": ["a"] * int(present) + [None] * int(missing)})
    return float(tool.compute_coverage(column, Namespace(missing_value_symbols=",{}"))["x"])


def distinct(values: str) -> int:
    """Distinct values counted among so many."""
    sketch = HyperLogLogWCache()
    for value in range(int(values)):
        sketch.add(internal_hash(str(value)))
    return len(sketch)


def rare(*batches: str) -> dict[str, int]:
    """Rows of the values reported rare, bound 1; a value is a letter, a batch a word."""
    for batch in batches:
        tool.compute_value_counts(pd.DataFrame({"x": list(batch)}), Namespace(rare_value_count_upper_bound=1))
    return {value: count for (_, value), count in tool.GLOBAL_RARE_VALUE_STORAGE.items()}


def controls(rows: str) -> int:
    """Number of noise controls made and counted, as every batch does, for a table of two columns."""
    table = pd.DataFrame({"x": ["a"] * int(rows), "label": ["0"] * int(rows)})
    controlled = tool.include_noisy_features(table, logging, Namespace(label_column="label"))
    tool.compute_cardinalities(controlled, tqdm(disable=True), 30_000)
    return int(controlled.shape[1]) - 2


def batch(folder: str) -> float:
    """Seconds to score one batch of a feature and a label."""
    feature, label = (np.load(Path(folder) / f"{name}.npy") for name in ("features", "label"))
    table = pd.DataFrame({"x": feature[0].astype(str), "label": label.astype(str)})
    arguments = Namespace(
        heuristic="MI-numba-randomized",
        label_column="label",
        target_ranking_only="True",
        combination_number_upper_bound=1024,
        reference_model_JSON="",
        mi_stratified_sampling_ratio=1.0,
    )
    times = tool.mixed_rank_graph(table, arguments, ProcessingPool(2), tqdm(disable=True)).step_times
    return float(times["feature_score_computation"])


def interaction(*values: str) -> int:
    """Distinct values of the interaction of two columns, given as `first:second` a row."""
    table = pd.DataFrame([value.split(":") for value in values], columns=["a", "b"])
    arguments = Namespace(
        heuristic="MI-numba-randomized",
        label_column="label",
        interaction_order=2,
        combination_number_upper_bound=1024,
        reference_model_JSON="",
    )
    return int(tool.compute_combined_features(table, arguments, tqdm(disable=True))["a AND b"].nunique())


FAULTS: dict[str, Callable[..., float | dict[str, int]]] = {
    "coverage": coverage,
    "distinct": distinct,
    "rare": rare,
    "controls": controls,
    "batch": batch,
    "interaction": interaction,
}


def main() -> None:
    """Print what the tool gives."""
    name, *arguments = sys.argv[1:]
    print(json.dumps(FAULTS[name](*arguments)))


if __name__ == "__main__":
    main()

"""An example of a click-through job."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from tests.kit.kind_examples import Example
from tests.kit.row_models import ordinary_rows, tiny_model

COLUMNS = {"amount": "float", "weight": "float", "site": "str", "guess": "float", "click": "int"}
FEATURES = ("amount", "weight", "site", "guess")
NUMBERS = ("amount", "weight", "guess")


def events(number: int, seed: int) -> pa.RecordBatch:
    """Rows of which the row model knows the like, with a click that goes with the site, as is guessed."""
    rows = ordinary_rows(number, seed)
    guess = np.where(rows["site"].to_numpy(False) == "a", 0.5, 0.1)
    clicks = np.random.default_rng(seed).random(number) < guess
    return rows.append_column("guess", pa.array(guess)).append_column("click", pa.array(clicks.astype(np.int64)))


def all_settings(folder: Path) -> dict[str, Any]:
    """A job with reference, row model, panes and everything of whole rows that merges to the same bytes."""
    windows = []
    for seed in range(4):
        counts = FeatureCounts(FEATURES, "click", numbers=NUMBERS)
        counts.update(events(200, seed))
        windows.append(counts)
    fit_reference(windows, prediction="guess").save(folder / "reference")
    tiny_model().save(folder / "rows")
    return {
        "label": "click",
        "columns": COLUMNS,
        "ranking": {
            "panes": 3,
            "sample_rows": 50,
            "interactions": 2,
            "costs": True,
            "thresholds": {"min_rows": 100, "min_panes": 2},
        },
        "checks": {"reference": str(folder / "reference"), "prediction": "guess"},
        "rows": {"model": str(folder / "rows"), "alarm_rate": 0.1},
    }


EXAMPLE = Example({"label": "click", "columns": COLUMNS}, all_settings, events)

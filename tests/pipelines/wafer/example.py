"""An example of a wafer job."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.kit.kind_examples import Example
from tests.kit.wafer_models import labelled_wafers, tiny_model


def events(number: int, seed: int) -> pa.RecordBatch:
    """Wafers of patterns that the model knows."""
    return labelled_wafers(number, seed)[0]


def all_settings(folder: Path) -> dict[str, Any]:
    """A job that looks for emerging patterns."""
    tiny_model().save(folder / "wafer", metrics={}, training={})
    return {"wafers": {"model": str(folder / "wafer"), "thresholds": {"expected_rates": {"center": 0.3}}}}


EXAMPLE = Example({"wafers": {"model": "none/wafer"}}, all_settings, events)

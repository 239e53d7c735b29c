"""An example of a rows job."""

from pathlib import Path
from typing import Any

from tests.kit.kind_examples import Example
from tests.kit.row_models import ordinary_rows, tiny_model

COLUMNS = {"amount": "float", "weight": "float", "site": "str"}


def all_settings(folder: Path) -> dict[str, Any]:
    """A job that retrains."""
    tiny_model().save(folder / "rows")
    return {"columns": COLUMNS, "rows": {"model": str(folder / "rows"), "alarm_rate": 0.1, "sample_rows": 40}}


EXAMPLE = Example({"columns": COLUMNS, "rows": {"model": "none/rows"}}, all_settings, ordinary_rows)

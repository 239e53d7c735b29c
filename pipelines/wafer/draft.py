"""The draft of a wafer job: what its events hold is fixed, its model must be there."""

from sparsewatch.pipelines.init.draft import Draft, Findings
from sparsewatch.pipelines.init.toml_text import Entry, table
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import ATTRIBUTES, WAFER_COLUMNS

_SUITS = 4
_REQUIRED = [field.name for field in WAFER_COLUMNS if not field.nullable and field.name not in ATTRIBUTES]
_DEFECTS = ("x_um", "map")
#: Wafers of a window. A new pattern is looked for in 20 windows together, and found soonest where these are a few
#: hundred wafers (docs/patterns.md).
_WINDOW_WAFERS = 20


def draft_wafers(findings: Findings) -> Draft:
    """A wafer job of a sample.

    Raises:
        ConfigError: If the events are no wafers, or a label is named.
    """
    if findings.label is not None:
        raise ConfigError("a wafer job has no label")
    names = findings.sample.columns.keys()
    if lacking := [name for name in _REQUIRED if name not in names]:
        raise ConfigError(f"wafers have the columns {', '.join(_REQUIRED)}; missing: {', '.join(lacking)}")
    if not any(name in names for name in _DEFECTS):
        raise ConfigError(f"wafers have one of the columns {' and '.join(_DEFECTS)}, got neither")
    lacks = "a wafer job needs a model: `sparsewatch train wafer FILE --out FOLDER`, then --model FOLDER"
    return Draft(
        suits=_SUITS,
        keys=[],
        tables=[table("wafers", [Entry("model", findings.model or "")])],
        window_events=_WINDOW_WAFERS,
        reads=[field.name for field in WAFER_COLUMNS],
        lacks="" if findings.model else lacks,
    )

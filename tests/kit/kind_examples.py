"""An example of each kind of job, for the contract that all kinds meet (`tests/pipelines/job/test_kinds.py`).

A kind's example is `tests/pipelines/<kind>/example.py`, found by the kind's name.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

#: What any kind's job file holds besides the kind's own keys.
SHARED = MappingProxyType(
    {
        "name": "example",
        "kafka": {"bootstrap_servers": ["127.0.0.1:1"]},
        "source": {"topic": "events", "time_column": "t"},
        "windows": {"length": "1m"},
    }
)


class Example(NamedTuple):
    """A kind's example."""

    #: The kind's own keys, the fewest there can be.
    settings: dict[str, Any]
    #: Own keys of a job that does all its kind can; its models are made in the folder.
    all_settings: Callable[[Path], dict[str, Any]]
    #: Events without their time, from their number and a seed.
    events: Callable[[int, int], pa.RecordBatch]


def example_of(kind: str) -> Example:
    """The example of a kind.

    Raises:
        AssertionError: If there is none.
    """
    name = f"tests.pipelines.{kind}.example"
    try:
        example: Example = importlib.import_module(name).EXAMPLE
    except ModuleNotFoundError as error:
        if not name.startswith(error.name or name):
            raise
        file = f"{name.replace('.', '/')}.py"
        raise AssertionError(
            f"{file}: expected the example of kind {kind!r}; see CONTRIBUTING.md, A new kind of job"
        ) from error
    return example


def job_file(kind: str, own: dict[str, Any]) -> dict[str, Any]:
    """The content of a job file."""
    return {"kind": kind, **SHARED, **own}

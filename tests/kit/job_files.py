"""Job files for tests: the smallest TOML of each kind, with what a test wants to set on top."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

CLICK_COLUMNS = {"ad": "int", "site": "str", "price": "float", "mobile": "bool", "label": "int"}


def write_click_job(
    folder: Path, bootstrap: str, topic: str, columns: Mapping[str, str] = CLICK_COLUMNS, **source: str
) -> Path:
    """A click job named like its topic: time in `t`, label in `label`, windows of a minute."""
    body = ['label = "label"', *_common(bootstrap, topic, source), "[columns]"]
    return _written(folder, "ctr", topic, [*body, *(f'"{name}" = "{kind}"' for name, kind in columns.items())])


def write_wafer_job(folder: Path, bootstrap: str, topic: str, model: Path, **source: str) -> Path:
    """A wafer job named like its topic: time in `t`, windows of a minute."""
    return _written(folder, "wafer", topic, [*_common(bootstrap, topic, source), f'[wafers]\nmodel = "{model}"'])


def write_rows_job(
    folder: Path,
    bootstrap: str,
    topic: str,
    columns: Mapping[str, str],
    model: Path,
    settings: Mapping[str, object] = MappingProxyType({}),
    **source: str,
) -> Path:
    """A rows job named like its topic: time in `t`, windows of a minute; `settings` go to `[rows]`."""
    typed = [f'"{name}" = "{kind}"' for name, kind in columns.items()]
    # JSON values of these types are TOML values, too.
    rows = [f"{name} = {json.dumps(value)}" for name, value in {"model": str(model), **settings}.items()]
    return _written(folder, "rows", topic, [*_common(bootstrap, topic, source), "[columns]", *typed, "[rows]", *rows])


def _common(bootstrap: str, topic: str, source: Mapping[str, str]) -> list[str]:
    settings = {"topic": topic, "time_column": "t", "time_format": "epoch_ms", **source}
    return [
        f'[kafka]\nbootstrap_servers = ["{bootstrap}"]',
        "[source]",
        *(f'{key} = "{value}"' for key, value in settings.items()),
        '[windows]\nlength = "1m"\ndisorder = "10s"',
    ]


def _written(folder: Path, kind: str, name: str, lines: list[str]) -> Path:
    path = folder / f"{name}.toml"
    path.write_text("\n".join([f'kind = "{kind}"', f'name = "{name}"', *lines]) + "\n")
    return path

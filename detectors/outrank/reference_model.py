"""The reference model of the public `outrank` (`--reference_model_JSON`): features that a model in use has.

`{"desc": {"features": ["a", "b", "a,c"], "fields": ["d"]}}`: an entry with commas is an interaction of these features.
Other keys are ignored.
"""

from typing import Any, NamedTuple

import msgspec

from sparsewatch.detectors.outrank.columns.interactions import interaction_name
from sparsewatch.schemas.errors import NOT_JSON, ConfigError


class _Description(msgspec.Struct):
    features: list[str] = []
    fields: list[str] = []


class _File(msgspec.Struct):
    desc: _Description


class ReferenceModel(NamedTuple):
    """The features of a model."""

    #: Features taken alone, in the order of the file, each once.
    features: tuple[str, ...]
    #: Combinations, names ascending in each as in the public tool; in the order of the file, each once.
    interactions: tuple[tuple[str, ...], ...]
    #: Every feature that appears at all, in `fields` too, ascending: what `_all_from_reference_JSON` looks at.
    columns: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that the model takes."""
        return self.features + tuple(interaction_name(interaction) for interaction in self.interactions)


def parse_reference_model(data: bytes | str) -> ReferenceModel:
    """Read a reference model.

    Args:
        data: JSON.

    Raises:
        ConfigError: If it is no JSON, has something other than a list of names at `desc.features` or `desc.fields`, no
            names at all, or an entry with an empty name or a name twice.
    """
    try:
        description = msgspec.json.decode(data, type=_File).desc
    except NOT_JSON as error:
        raise ConfigError(f'reference model: expected {{"desc": {{"features": [names]}}}}, {error}') from error
    taken = _distinct([_names(entry, "features") for entry in description.features])
    fields = [_names(entry, "fields") for entry in description.fields]
    if not taken and not fields:
        raise ConfigError("reference model: expected names in desc.features or desc.fields, got none")
    return ReferenceModel(
        features=tuple(names[0] for names in taken if len(names) == 1),
        interactions=tuple(names for names in taken if len(names) > 1),
        columns=tuple(sorted({name for names in [*taken, *fields] for name in names})),
    )


def _names(entry: str, key: str) -> tuple[str, ...]:
    names = sorted(name.strip() for name in entry.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"reference model, desc.{key}: expected distinct names between commas, got {entry!r}")
    return tuple(names)


def _distinct(items: list[Any]) -> list[Any]:
    return list(dict.fromkeys(items))

"""Parts of a row model that are arrays and nothing else, stored by the names of their fields."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self

from numpy.typing import NDArray


class StoredArrays:
    """Base of a dataclass whose fields are arrays."""

    __slots__ = ()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name."""
        return {name: getattr(self, name) for name in _names(type(self))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """Inverse of `to_arrays`; None if there are none.

        Raises:
            KeyError: If one is missing.
        """
        return cls(**{name: arrays[name] for name in _names(cls)}) if arrays else None


def _names(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)]

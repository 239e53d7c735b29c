"""Labels of wafers as classes: one class for each wafer, or several at once if names are joined by `+`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import JOIN

#: Names of the class of wafers without a pattern.
NORMAL_NAMES = ("normal", "none")


@dataclass(frozen=True, slots=True)
class Classes:
    """What a network learns from labels."""

    #: The network's outputs, sorted; if several classes may occur at once, all parts but the normal class.
    outputs: tuple[str, ...]
    normal: str | None
    #: Whether labels name several classes at once.
    several: bool
    #: Pattern of each wafer: its label with the parts sorted; of shape (wafers,).
    patterns: NDArray[np.str_]
    #: Whether the wafer belongs to known classes only, bool of shape (wafers,).
    known: NDArray[np.bool_]
    #: See `sparse_net.train.Labelled.labels`; rows of wafers that are not known have no meaning.
    targets: NDArray[np.int64]

    @property
    def groups(self) -> tuple[str, ...]:
        """Known patterns, sorted: the outputs, or the mixtures if several classes may occur at once."""
        return tuple(np.unique(self.patterns[self.known]).tolist())


def read_labels(labels: Sequence[str], hold_out: Sequence[str]) -> Classes:
    """Classes of labels, without the held-out classes.

    Raises:
        ConfigError: An unknown class is held out, or fewer than two classes are left.
    """
    found, which = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    parts = [sorted(name.split(JOIN)) for name in found.tolist()]
    names = sorted({name for each in parts for name in each})
    if unknown := sorted(set(hold_out) - set(names)):
        raise ConfigError(f"cannot hold out {', '.join(unknown)}: the wafers are {', '.join(names)}")
    several = any(len(each) > 1 for each in parts)
    normal = next((name for name in NORMAL_NAMES if name in names and name not in hold_out), None)
    outputs = tuple(n for n in names if n not in hold_out and not (several and n == normal))
    if len(outputs) < 2:
        raise ConfigError(f"expected at least 2 known classes, got {list(outputs)}")
    hot = np.array([[name in each for name in outputs] for each in parts], dtype=np.int64)
    known = np.array([not set(each) & set(hold_out) for each in parts])[which]
    patterns = np.array([JOIN.join(each) for each in parts], dtype=np.str_)[which]
    targets = hot[which] if several else hot.argmax(axis=1)[which]
    return Classes(outputs, normal, several, patterns, known, targets)

"""The protocols on public tables with known outliers: which rows are learned, which are judged, by which figures.

ADBench's classical sets (Han et al., NeurIPS 2022). The split is that of the authors of arXiv 2304.00709: normal rows
and outliers are permuted apart and cut 50/25/25. *Label-free*: a method at its defaults is fitted on the first two
parts, outliers included, their labels unseen, and judged on the third. *Labelled*: settings are chosen by the labels of
the second part, see `rows_labelled`.

Sets of more than 20,000 rows are sampled to that many, normal rows and outliers in proportion, so that the few outliers
of a set leave some for every part; ADBench draws from all rows alike, to 10,000. All methods get the same rows.
"""

import os
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.apre_labelled_parts import split_by_class
from benchmarks.harness import Machine
from sparsewatch.detectors.open_set.metrics import aupr, auroc
from sparsewatch.detectors.rows.encoding.encode import EncoderConfig, fit_encoder, one_batch
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.methods.scorer import Rows

Scaling: TypeAlias = Literal["plain", "robust"]

#: Most rows of a set.
MOST_ROWS = 20_000
#: Left out where the sets are halved: by far the widest, 1,555 columns.
_NOT_HALVED = "17_InternetAds"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows with their labels."""

    #: float64 of shape (n, d).
    X: NDArray[np.float64]
    #: Shape (n,); True is an outlier.
    outlier: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> "Table":
        """The rows of these indices."""
        return Table(self.X[rows], self.outlier[rows])


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a method on a set, and where and when they were measured."""

    protocol: str
    set: str
    seed: int
    method: str
    #: Name in the tables -> figures: a single row, or four of a network by the labelled protocol.
    rows: dict[str, dict[str, Any]]
    #: Of all of it, reading and encoding included.
    seconds: float
    machine: Machine
    #: UTC, to the second.
    date: datetime
    command: str


class Parts(NamedTuple):
    """A split."""

    train: Table
    validation: Table
    test: Table

    @property
    def fit(self) -> Table:
        """What a label-free method learns: train and validation together."""
        parts = (self.train, self.validation)
        return Table(np.concatenate([p.X for p in parts]), np.concatenate([p.outlier for p in parts]))


def data_folder() -> Path:
    """Folder of the sets."""
    return Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data")) / "outliers"


def set_names() -> list[str]:
    """All sets, in the order of their sorted file names.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = [path.stem for path in sorted(data_folder().glob("*.npz"))]
    if not found:
        raise FileNotFoundError(f"no sets in {data_folder()}: set SPARSEWATCH_DATA to the folder of the data")
    return found


def halves(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The half of all sets on which the default method was chosen, and the other half."""
    chosen_on = [name for name in names if name != _NOT_HALVED][::2]
    return chosen_on, [name for name in names if name not in chosen_on]


def set_shape(name: str) -> tuple[int, int]:
    """Rows before sampling, and columns; from the file's header."""
    with zipfile.ZipFile(data_folder() / f"{name}.npz") as archive, archive.open("X.npy") as file:
        np.lib.format.read_magic(file)
        rows, columns = np.lib.format.read_array_header_1_0(file)[0]
    return rows, columns


@lru_cache(maxsize=1)
def read_set(name: str) -> Table:
    """All rows of a set."""
    with np.load(data_folder() / f"{name}.npz", allow_pickle=False) as file:
        return Table(file["X"].astype(np.float64), file["y"].astype(np.bool_))


def sampled(table: Table, seed: int, most: int = MOST_ROWS) -> Table:
    """At most a number of rows, each class in proportion, rounded up."""
    if len(table.outlier) <= most:
        return table
    rng, share = np.random.default_rng(seed), most / len(table.outlier)
    of_class = [rng.permutation(np.flatnonzero(table.outlier == kind)) for kind in (False, True)]
    return table.take(np.sort(np.concatenate([rows[: int(np.ceil(share * len(rows)))] for rows in of_class])))


@lru_cache(maxsize=2)
def split_set(name: str, seed: int) -> Parts:
    """Sample and split a set; the seed decides both."""
    table = sampled(read_set(name), seed)
    parts = split_by_class(table.outlier.astype(np.int64), seed)
    return Parts(*(table.take(rows) for rows in (parts.train, parts.valid, parts.test)))


def encoded(scaling: Scaling, fit: NDArray[np.float64], *others: NDArray[np.float64]) -> list[Rows]:
    """Tables of numbers, encoded by an encoder fitted on the first."""
    tables = [pa.table({f"x{j}": column for j, column in enumerate(X.T)}) for X in (fit, *others)]
    encoder = fit_encoder(tables[0], EncoderConfig(scaling=scaling))
    return [encoder.transform(one_batch(table)) for table in tables]


def judged(scores: NDArray[np.floating], outlier: NDArray[np.bool_]) -> dict[str, float]:
    """Area under the ROC curve, average precision, and of how many rows and outliers."""
    known, novel = scores[~outlier], scores[outlier]
    return {"auc": auroc(known, novel), "ap": aupr(known, novel), "rows": len(outlier), "outliers": len(novel)}


def judge_label_free(method: str, name: str, seed: int) -> dict[str, float]:
    """Figures of a method at its defaults; seconds are without the encoding."""
    fit, test = _encoded_parts(name, seed, METHODS[method].scaling)
    started = time.perf_counter()
    scorer = METHODS[method].fit(fit, seed)
    fitted = time.perf_counter()
    scores = scorer.score(test)
    seconds = {"fit_seconds": fitted - started, "score_seconds": time.perf_counter() - fitted}
    return {**judged(scores, split_set(name, seed).test.outlier), **seconds}


@lru_cache(maxsize=2)
def _encoded_parts(name: str, seed: int, scaling: Scaling) -> list[Rows]:
    parts = split_set(name, seed)
    return encoded(scaling, parts.fit.X, parts.test.X)

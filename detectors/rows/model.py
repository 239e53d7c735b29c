"""A row model: encoder, fitted scorer, and a calibration sample.

Scores of two models are not comparable, so a row is judged by its conformal p-value: its rank among the scores of rows
that were held out of the fit.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.detectors import conformal
from sparsewatch.detectors.artefacts.artefact import (
    Arrays,
    check_smoke,
    load_artefact,
    reading_parts,
    save_artefact,
    smoke_tensors,
)
from sparsewatch.detectors.rows.encoding.encode import RowEncoder
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.methods.scorer import RowScorer
from sparsewatch.detectors.rows.windows.blocks import BlockSpread
from sparsewatch.detectors.rows.windows.column_drift import CUTS, ColumnSpread
from sparsewatch.detectors.rows.windows.copies import RowCopies
from sparsewatch.detectors.rows.windows.links import ColumnLinks, groups_of
from sparsewatch.detectors.rows.windows.tails import ColumnTails
from sparsewatch.schemas.errors import ModelError

KIND = "rows"
#: Columns are blamed whose fall is at least this share of the row's largest.
_LEAST_FALL = 0.25
_SMOKE_ROWS = 32
_ENCODER, _SCORER = "encoder.", "scorer."
_COLUMN_BLOCKS, _SCORE_BLOCKS, _LINKS, _TAILS = "column_blocks.", "score_blocks.", "links.", "tails."
_COPIES = "copies."


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, kw_only=True, repr=False)
class RowModel:
    """A fitted model of rows, from `train_row_model` or `load`. Scoring changes nothing."""

    encoder: RowEncoder
    #: Name in `registry.METHODS`.
    method: str
    scorer: RowScorer
    #: Scores of held-out rows, ascending, float32 of shape (m,).
    calibration: np.ndarray
    #: Median contribution of each column among held-out rows, float32 of shape (columns,).
    baseline: np.ndarray
    #: How held-out rows spread over each feature.
    spread: ColumnSpread
    #: How much more stretches of the training data vary than independent rows: the shares of `spread` below and up to
    #: each cut, and the shares of rows up to each of `conformal.EDGES`; None where that was not measured.
    column_blocks: BlockSpread | None = None
    score_blocks: BlockSpread | None = None
    #: Which columns go together; None if none do, or of models stored before that was looked at.
    links: ColumnLinks | None = None
    #: How far out numbers lay; None if that is not known.
    tails: ColumnTails | None = None
    #: How many rows are equal to others; None if that is not known.
    copies: RowCopies | None = None
    #: Name and version once stored, as results state it.
    id: str = ""

    def __repr__(self) -> str:
        """In a line: name, method, columns."""
        columns, held_out = len(self.encoder.columns), len(self.calibration)
        return f"<RowModel {self.id or 'unsaved'}: {self.method}, {columns} columns, calibrated on {held_out} rows>"

    def score(self, rows: pa.RecordBatch) -> np.ndarray:
        """Score of each row, float32 of shape (n,); higher is more anomalous.

        A row's score does not depend on the rows it comes with.

        Raises:
            SchemaError: If a column is missing or its type does not fit.
        """
        return self.score_matrix(self.encoder.transform(rows))

    def score_matrix(self, X: np.ndarray) -> np.ndarray:
        """Score of encoded rows, float32 (n, d) to float32 (n,)."""
        return self.scorer.score(X)

    def attribute(self, rows: pa.RecordBatch) -> np.ndarray:
        """Contribution of each column to the score, float32 of shape (n, columns); see `RowScorer.terms`."""
        return self.attribute_matrix(self.encoder.transform(rows))

    def attribute_matrix(self, X: np.ndarray) -> np.ndarray:
        """Contribution of each column to the score of encoded rows, float32 (n, d) to (n, columns)."""
        return np.add.reduceat(self.scorer.terms(X), self.encoder.first_features, axis=1)

    def blame_matrix(self, X: np.ndarray, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
        """The columns that make encoded rows odd, and by how much the score falls without each.

        An absurd value spoils the contributions of all other columns, too. Hence the columns whose contributions most
        exceed those of held-out rows are tried in turn: each is set to its centre, and the row scored again.

        Args:
            X: Encoded rows, float32 of shape (n, d).
            n_columns: Number of columns to try, those of the largest excess; fewer if the model has fewer.

        Returns:
            Indices of columns and the fall of the score, both of shape (n, n_columns), largest fall first.
        """
        excess = self.attribute_matrix(X) - self.baseline
        tried = np.argsort(-excess, axis=1, kind="stable")[:, :n_columns]
        owner = np.repeat(np.arange(len(self.baseline)), [c.n_features for c in self.encoder.columns])
        centred = [np.where(owner == columns[:, None], np.float32(0), X) for columns in tried.T]
        scores = self.score_matrix(np.concatenate([X, *centred])).reshape(1 + len(centred), len(X))
        falls = (scores[0] - scores[1:]).T
        order = np.argsort(-falls, axis=1, kind="stable")
        return np.take_along_axis(tried, order, axis=1), np.take_along_axis(falls, order, axis=1)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Conformal p-value of each score, float64 of shape (n,); see `conformal.p_values`."""
        return conformal.p_values(scores, self.calibration)

    def threshold(self, rate: float) -> float:
        """Score above which the p-value is at most `rate`.

        Raises:
            ConfigError: If `rate` is not a share, or too small for the calibration sample.
        """
        return conformal.alarm_threshold(self.calibration, rate)

    def groups(self, X: np.ndarray) -> np.ndarray:
        """The tenth of the held-out rows that each value of encoded rows lies in, uint8 of shape (n, columns)."""
        first = self.encoder.first_features
        return groups_of(X[:, first], self.spread.cuts[first])

    def independent_rows(self, rows: int) -> dict[str, float]:
        """How many independent rows tell as much of each column, its median, as a window of so many; empty if unknown.

        Example: 1,000 readings of a sensor that changes slowly may tell as much as 10 independent ones.
        """
        if self.column_blocks is None:
            return {}
        up_to_median = self.column_blocks.independent_rows(rows)[1, self.encoder.first_features, CUTS // 2]
        return dict(zip(self.encoder.names, up_to_median.tolist(), strict=True))

    def save(self, folder: Path | str, *, about: dict[str, Any] | None = None, promote: bool = True) -> Path:
        """Store as the next version below `folder`, `<root>/<name>`.

        Args:
            folder: Of all versions; see `sparsewatch.detectors.artefacts.artefact.save_artefact`.
            about: Training data and settings, for the manifest; JSON types.
            promote: Make it the latest; else it waits for `versions.promote`.

        Returns:
            The version's folder.
        """
        arrays, encoder = self.encoder.to_state()
        weights, scorer = self.scorer.to_state()
        tensors = {_ENCODER + name: array for name, array in arrays.items()}
        tensors |= {_SCORER + name: weight for name, weight in weights.items()}
        tensors |= {"calibration": self.calibration, "usual": self.baseline}
        tensors |= {"spread.cuts": self.spread.cuts, "spread.counts": self.spread.counts}
        parts = (
            (_COLUMN_BLOCKS, self.column_blocks),
            (_SCORE_BLOCKS, self.score_blocks),
            (_LINKS, self.links),
            (_TAILS, self.tails),
            (_COPIES, self.copies),
        )
        for prefix, part in parts:
            tensors |= {} if part is None else {prefix + name: array for name, array in part.to_arrays().items()}
        tensors |= smoke_tensors({"rows": _smoke_rows(self.encoder.n_features)}, self._smoke_scores)
        meta: dict[str, Any] = {"method": self.method, "scorer": scorer, "encoder": encoder, "about": about or {}}
        meta |= {"spread_rows": self.spread.rows}

        return save_artefact(folder, kind=KIND, tensors=tensors, meta=meta, promote=promote)

    @classmethod
    def load(cls, path: Path | str) -> "RowModel":
        """Read and verify a stored model: a version's folder, or `<root>/<name>` for its latest.

        Raises:
            ModelError: If it is missing, damaged, of an unknown method or layout, or if its smoke scores differ.
        """
        artefact = load_artefact(path, KIND)
        tensors, meta = artefact.tensors, artefact.meta
        with reading_parts(f"the row model in {path} is incomplete or of another release"):
            method = METHODS[meta["method"]]
            encoder = RowEncoder.from_state(_with_prefix(tensors, _ENCODER), meta["encoder"])
            scorer = method.read(_with_prefix(tensors, _SCORER), meta["scorer"])
            model = cls(
                encoder=encoder,
                method=meta["method"],
                scorer=scorer,
                calibration=tensors["calibration"],
                baseline=tensors["usual"],
                spread=ColumnSpread(tensors["spread.cuts"], tensors["spread.counts"], meta["spread_rows"]),
                column_blocks=BlockSpread.from_arrays(_with_prefix(tensors, _COLUMN_BLOCKS)),
                score_blocks=BlockSpread.from_arrays(_with_prefix(tensors, _SCORE_BLOCKS)),
                links=ColumnLinks.from_arrays(_with_prefix(tensors, _LINKS)),
                tails=ColumnTails.from_arrays(_with_prefix(tensors, _TAILS)),
                copies=RowCopies.from_arrays(_with_prefix(tensors, _COPIES)),
                id=artefact.id,
            )
        if scorer.n_features != encoder.n_features:
            raise ModelError(
                f"the row model in {path} is incomplete: its encoder gives {encoder.n_features} features, its scorer "
                f"takes {scorer.n_features}"
            )
        with reading_parts(f"the row model in {path} cannot score"):
            check_smoke(artefact, model._smoke_scores)
        return model

    def _smoke_scores(self, given: Arrays) -> dict[str, np.ndarray]:
        return {"score": self.score_matrix(given["rows"])}


def _smoke_rows(n_features: int) -> np.ndarray:
    """Random encoded rows, from the centre to far out: their scores are stored and compared."""
    rows = np.random.default_rng(0).standard_normal((_SMOKE_ROWS, n_features))
    smoke: np.ndarray = (rows * np.geomspace(0.1, 10, _SMOKE_ROWS)[:, None]).astype(np.float32)
    return smoke


def to_blame(falls: np.ndarray) -> np.ndarray:
    """Which of a row's falls are large enough to blame their columns, shape (n, columns) to the same.

    Args:
        falls: As of `RowModel.blame_matrix`, largest first.
    """
    large: np.ndarray = (falls > 0) & (falls >= _LEAST_FALL * falls[:, :1])
    return large


def _with_prefix(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

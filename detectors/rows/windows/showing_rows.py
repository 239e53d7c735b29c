"""Rows of a window's sample that show what was found of a column: the records to look at first.

A value beyond the training data, a missing one, or, where a distribution moved, the rows furthest the way it moved.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.column_checks import BEYOND, MOVED
from sparsewatch.detectors.rows.windows.column_drift import MISSING
from sparsewatch.detectors.sample_offsets import MOST_OFFSETS, sample_offsets
from sparsewatch.schemas.alerts import Finding

Mask = NDArray[np.bool_]
Rows = NDArray[np.float32]


def with_rows(findings: Sequence[Finding], model: RowModel, sample: pa.RecordBatch) -> list[Finding]:
    """The findings, with `sample_offsets` in the evidence of those that rows of the sample show.

    Args:
        findings: Of `check_columns`.
        model: That they were found by.
        sample: The sample that was checked, with partition and offset besides.
    """
    checked = _Checked(model, sample)
    return [checked.with_rows(one) if one.rule in (BEYOND, MOVED) else one for one in findings]


@dataclass(frozen=True)
class _Checked:
    """The sample that was checked, encoded once for all findings."""

    model: RowModel
    sample: pa.RecordBatch

    @functools.cached_property
    def encoded(self) -> Rows:
        return self.model.encoder.transform(self.sample)

    @functools.cached_property
    def numbers(self) -> list[NDArray[np.float64] | None]:
        return self.model.encoder.numbers(self.sample)

    def with_rows(self, finding: Finding) -> Finding:
        if finding.subject not in self.model.encoder.names:
            return finding
        offsets = sample_offsets(self.sample, self._showing(finding))
        evidence = {**finding.evidence, "sample_offsets": offsets}
        return msgspec.structs.replace(finding, evidence=evidence) if offsets else finding

    def _showing(self, finding: Finding) -> Mask:
        column = self.model.encoder.names.index(finding.subject)
        if finding.rule == BEYOND:
            numbers, known = self.numbers[column], finding.threshold
            assert numbers is not None
            return numbers > known if finding.value > known else numbers < known
        if finding.evidence["what"] == MISSING:
            return np.asarray(self.sample.column(finding.subject).is_null())
        feature = int(self.model.encoder.first_features[column])
        return _furthest(self.encoded[:, feature], self.model.spread.cuts[feature])


def _furthest(values: NDArray[np.float32], cuts: NDArray[np.float32]) -> Mask:
    """The values furthest out on the side to which most of them moved.

    Args:
        values: Of the sample, shape (n,).
        cuts: Quantiles of the training data, ascending.
    """
    now = np.quantile(values, np.linspace(0, 1, len(cuts) + 2)[1:-1])
    # Quantiles that all moved one way, or those that moved further than the others.
    way = 1.0 if (now - cuts).sum() >= 0 else -1.0
    found = np.zeros(len(values), np.bool_)
    found[np.argsort(-way * values, kind="stable")[:MOST_OFFSETS]] = True
    return found

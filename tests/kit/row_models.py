"""A row model for tests that need one, not a good one: fitted in a second."""

import functools
from functools import cache

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.methods.apre.scorer import fit_apre
from sparsewatch.detectors.rows.methods.apre.train import TrainConfig
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model


def ordinary_rows(n: int, seed: int) -> pa.RecordBatch:
    """Rows whose `amount` follows `weight`, and whose `site` is one of three."""
    rng = np.random.default_rng(seed)
    amount = rng.normal(size=n)
    weight = amount + rng.normal(0, 0.1, n)
    return pa.record_batch({"amount": amount, "weight": weight, "site": rng.choice(["a", "b", "c"], n)})


def odd_rows(n: int, seed: int) -> pa.RecordBatch:
    """Rows whose `amount` does not fit their `weight`."""
    rows = ordinary_rows(n, seed)
    return rows.set_column(0, "amount", pa.array(rows["amount"].to_numpy() + 12))


def train_small(rows: pa.RecordBatch) -> RowModel:
    """A model of these rows."""
    fit = functools.partial(fit_apre, training=TrainConfig(steps=100))
    return train_row_model(pa.Table.from_batches([rows]), method="apre", fit=fit)


@cache
def tiny_model() -> RowModel:
    """A model of `ordinary_rows`, with 400 rows of calibration."""
    return train_small(ordinary_rows(2_000, 0))

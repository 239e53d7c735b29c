"""The record of a row that is an outlier."""

from typing import Any

import msgspec


class RowResult(msgspec.Struct, frozen=True, kw_only=True):
    """A row above the threshold. `id` is topic/partition/offset/row of its event."""

    id: str
    event_time_us: int
    #: Name and version of the model that scored it.
    model: str
    #: Higher is more anomalous; scores of two models cannot be compared.
    score: float
    #: Conformal p-value among the model's calibration rows, in (0, 1].
    p_value: float
    #: The columns that make it an outlier, main ones first: how far the score falls if the column's value is ordinary.
    columns: dict[str, float]
    #: The columns of `rows.id_columns`.
    identity: dict[str, Any] = {}

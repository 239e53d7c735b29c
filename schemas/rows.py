"""What a job says of a single row that is unlike those of the training."""

from typing import Any

import msgspec


class RowResult(msgspec.Struct, frozen=True, kw_only=True):
    """A row beyond the threshold. `id` is topic/partition/offset/row of its event."""

    id: str
    event_time_us: int
    #: Name and version of the model that scored it.
    model: str
    #: Higher is stranger; scores of two models cannot be compared.
    score: float
    #: Conformal p-value among the model's calibration rows, in (0, 1].
    p_value: float
    #: The columns that make it odd, most to blame first, and how far its score falls were they ordinary.
    columns: dict[str, float]
    #: The columns of `rows.id_columns`.
    identity: dict[str, Any] = {}

"""Wafer events and their results.

An event is one inspected wafer: either its defect points in micrometres from the wafer's centre, or
a die map (0 outside, 1 good, 2 failing) that becomes one point a failing die.
"""

from typing import Literal

import msgspec
import pyarrow as pa

#: Pattern of a wafer with nothing wrong, where data or model have no name for it.
NORMAL = "normal"
#: Between the names of the parts of a mixed pattern.
JOIN = "+"

#: Columns of a wafer event. Points and map are both nullable; one of them must be there.
WAFER_COLUMNS = pa.schema(
    [
        pa.field("wafer_id", pa.string(), nullable=False),
        pa.field("lot", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("tool", pa.string(), nullable=False),
        pa.field("radius_um", pa.float64(), nullable=False),
        pa.field("x_um", pa.list_(pa.float32())),
        pa.field("y_um", pa.list_(pa.float32())),
        pa.field("map_rows", pa.int32()),
        pa.field("map_columns", pa.int32()),
        pa.field("map", pa.list_(pa.int8())),
    ]
)

#: Verdict on a wafer that is given as its model knows none: a list of defects to a model of die maps, or the reverse.
MISFIT = "model_does_not_fit"
#: Texts of an event that recognition does not need. Where such a text is missing the result says "".
ATTRIBUTES = ("lot", "step", "tool")

Verdict = Literal["known", "normal", "novel", "model_does_not_fit"]


class WaferResult(msgspec.Struct, frozen=True, kw_only=True):
    """The job's result for one wafer. `id` is topic/partition/offset/row of its event."""

    id: str
    wafer_id: str
    lot: str
    step: str
    tool: str
    event_time_us: int
    defects: int
    verdict: Verdict
    #: Most probable known class, also when the verdict is `novel`.
    pattern: str
    #: Patterns on the wafer: several on a mixed wafer, none on a normal one.
    parts: list[str] = []
    #: Probability of `pattern` in [0, 1].
    probability: float
    #: How unlike the known patterns it is, see `sparsewatch.detectors.open_set.novelty`; higher is more novel.
    novelty: float
    #: Conformal p-value of `novelty` among calibration wafers, in (0, 1]; 1 where the model does not fit.
    p_value: float
    #: Defects outside of the wafer, which are not among `defects` and which the verdict leaves out.
    outside: int = 0
    #: Name and version of the model that judged.
    model: str
    #: Share of known wafers that this model calls novel, by its calibration.
    false_novel_rate: float

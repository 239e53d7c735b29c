"""From encodings to verdicts: pattern, probability and novelty; one row for each wafer."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.novelty import Novelty
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.detectors.sparse_net.points import offsets_of
from sparsewatch.schemas.wafers import JOIN, MISFIT

#: Columns of the verdicts of `WaferModel.recognise`, one row for each wafer.
VERDICT_COLUMNS = pa.schema(
    [
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("pattern", pa.string(), nullable=False),
        #: Patterns on the wafer: several on a mixed wafer, none on a normal wafer.
        pa.field("parts", pa.list_(pa.string()), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("novelty", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("defects", pa.int64(), nullable=False),
        #: Points outside the wafer's disc, which the verdict leaves out.
        pa.field("outside", pa.int64(), nullable=False),
        #: See `open_set.novelty`; compared by Euclidean distance.
        pa.field("embedding", pa.list_(pa.float32()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Known:
    """Classes that a model knows: those of its outputs, and which of them is normal."""

    outputs: tuple[str, ...]
    normal: str


def judge(
    known: Known,
    novelty: Novelty,
    encodings: Encodings,
    defects: NDArray[np.int64],
    outside: NDArray[np.int64],
    fits: NDArray[np.bool_] | None = None,
) -> pa.RecordBatch:
    """Columns of `VERDICT_COLUMNS`; a wafer without defects is normal by rule.

    Args:
        known: Classes that the model knows.
        novelty: Its novelty detector.
        encodings: Of the wafers.
        defects: Of each wafer, shape (wafers,).
        outside: Likewise, those outside of it.
        fits: Which wafers are given as those that the model knows; all if None.
    """
    embeddings, doubt = novelty.embed(encodings), encodings.doubt
    by_pattern = novelty.by_pattern(embeddings, doubt)
    # The least calibration score, so that an empty map never ranks among the novel wafers.
    empty = defects == 0
    scores = np.where(empty, novelty.calibration[0], by_pattern.min(axis=1))
    pattern, probability = recognised(known, novelty, encodings, by_pattern)
    pattern = np.where(empty, known.normal, pattern)
    verdict = np.where(pattern == known.normal, "normal", "known")
    verdict = np.where(~empty & (scores > novelty.threshold), "novel", verdict)
    misfit = ~empty & ~(np.ones_like(empty) if fits is None else fits)
    verdict = np.where(misfit, MISFIT, verdict)
    embeddings = embeddings.astype(np.float32)
    columns = {
        "verdict": pa.array(verdict),
        "pattern": pa.array(pattern, pa.string()),
        "parts": _parts(pattern, known.normal),
        "probability": pa.array(np.where(empty, 1.0, probability)),
        "novelty": pa.array(scores),
        "p_value": pa.array(np.where(misfit, 1.0, novelty.p_value(scores))),
        "defects": pa.array(defects),
        "outside": pa.array(outside),
        "embedding": _lists(np.full(len(embeddings), embeddings.shape[1]), pa.array(embeddings.reshape(-1))),
    }
    return pa.RecordBatch.from_pydict(columns, schema=VERDICT_COLUMNS)


def recognised(
    known: Known, novelty: Novelty, encodings: Encodings, by_pattern: NDArray[np.float64]
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """The most probable known pattern of each wafer and its probability, object and float64 of shape (wafers,).

    If the nearest Gaussian is that of an added pattern, the pattern is that, with its share of all patterns' densities;
    else the network decides.
    """
    pattern = _answers(known, encodings)
    probability = np.exp(-encodings.doubt)
    nearest = by_pattern.argmin(axis=1)
    added = nearest >= len(novelty.patterns) - novelty.added
    chosen, lowest = by_pattern[added], by_pattern[added].min(axis=1, keepdims=True, initial=np.inf)
    pattern[added] = np.array(novelty.patterns, dtype=np.object_)[nearest[added]]
    probability[added] = 1 / np.exp(lowest - chosen).sum(axis=1)
    return pattern, probability


def _answers(known: Known, encodings: Encodings) -> NDArray[np.object_]:
    """The network's answer: its most probable class, or the joined names of all classes above one half."""
    names = np.array(known.outputs, dtype=np.object_)
    if not encodings.several:
        return names[encodings.logits.argmax(axis=1)] if len(encodings) else names[:0]
    sets, which = np.unique(encodings.logits > 0, axis=0, return_inverse=True)
    answers = [JOIN.join(names[chosen]) or known.normal for chosen in sets]
    return np.array(answers, dtype=np.object_)[which.reshape(-1)]


def _parts(pattern: NDArray[np.object_], normal: str) -> pa.ListArray:
    distinct, which = np.unique(pattern.astype(np.str_), return_inverse=True)
    parts = [[] if name == normal else name.split(JOIN) for name in distinct.tolist()]
    return pa.array(parts, pa.list_(pa.string())).take(pa.array(which.reshape(-1)))


def _lists(lengths: NDArray[np.int64], values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), values)

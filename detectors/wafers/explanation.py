"""Why a wafer got its verdict: the defects that account for it, their zones, the most similar known wafers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.detectors.wafers.artefact import Examples
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.occlusion import Occlusion, OcclusionConfig, Score, class_margin, occlude, variants
from sparsewatch.detectors.wafers.zones import Block, Zones, describe, standing_out, wafer_zones, within
from sparsewatch.schemas.errors import ConfigError

#: What the evidence for the verdict `novel` is about; for other verdicts it is about a pattern.
NOVELTY = "novelty"
#: Known wafers named.
NEAREST = 5


class Neighbour(NamedTuple):
    """A known wafer, and how far it is."""

    wafer_id: str
    pattern: str
    #: Euclidean, in the embedding.
    distance: float
    #: Median distance from an example of that pattern to its nearest other; infinite for a single example.
    typical: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence for one part of a verdict."""

    #: `NOVELTY`, or the pattern.
    about: str
    occlusion: Occlusion
    #: Zones of the evidence.
    zones: Zones
    #: The zones in one line.
    where: str
    #: Where the evidence is concentrated; None if it is spread over the wafer.
    block: Block | None
    #: Defects in the block, the score of the wafer without them, and whether the verdict would still hold.
    inside: int
    left: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict and its reasons."""

    #: One row of `VERDICT_COLUMNS`.
    verdict: dict[str, Any]
    #: Wafer, lot, step and tool.
    wafer: dict[str, str]
    points: WaferPoints
    #: Where the defects lie, in one line.
    where: str
    #: For the verdict `novel` of novelty, for `known` of each part; empty for `normal`.
    evidence: tuple[Evidence, ...]
    #: Nearest first.
    nearest: tuple[Neighbour, ...]


def explain_wafers(
    model: WaferModel, rows: pa.RecordBatch, config: OcclusionConfig | None = None, nearest: int = NEAREST
) -> Iterator[Explanation]:
    """Verdict and reasons of each wafer, in order.

    Args:
        model: gives the verdicts.
        rows: columns of `WAFER_COLUMNS`.
        config: resolution and cost. Each wafer is scored `config.tiles` times at most.
        nearest: known wafers to name.

    Raises:
        SchemaError: see `WaferModel.recognise`.
    """
    verdicts = model.recognise(rows).to_pylist()
    points = read_points(rows)
    names = rows.select(["wafer_id", "lot", "step", "tool"]).to_pylist()
    for i, (verdict, wafer) in enumerate(zip(verdicts, names, strict=True)):
        own = points.take(np.array([i]))
        with torch_threads(1):
            evidence = tuple(_evidence(model, own, about, config) for about in _topics(verdict))
        near = nearest_examples(model.examples, np.array(verdict["embedding"]), nearest)
        yield Explanation(verdict, wafer, own, describe(own), evidence, near)


def novelty_score(model: WaferModel) -> Score:
    """The score that makes a wafer novel; without defects it is the least calibration score, as in the verdict."""

    def score(points: WaferPoints) -> NDArray[np.float64]:
        scores = model.novelty.score(encode(model.net, points, model.grid))
        return np.where(points.defects == 0, model.novelty.calibration[0], scores)

    return score


def pattern_score(model: WaferModel, pattern: str) -> Score:
    """By how much a pattern leads the best other pattern, in nats.

    For a pattern of the network by its outputs; for an added pattern by the novelty score under each pattern.

    Raises:
        ConfigError: the model does not know the pattern.
    """
    novelty, outputs = model.novelty, model.outputs
    if pattern not in outputs and pattern not in novelty.patterns:
        raise ConfigError(f"expected one of {', '.join(dict.fromkeys((*outputs, *novelty.patterns)))}, got {pattern!r}")

    def score(points: WaferPoints) -> NDArray[np.float64]:
        encodings = encode(model.net, points, model.grid)
        if pattern in outputs:
            return class_margin(encodings, outputs.index(pattern))
        by_pattern = novelty.by_pattern(novelty.embed(encodings), encodings.doubt)
        wanted = novelty.patterns.index(pattern)
        return np.asarray(np.delete(by_pattern, wanted, axis=1).min(axis=1) - by_pattern[:, wanted])

    return score


def nearest_examples(examples: Examples, embedding: NDArray[np.float64], most: int = NEAREST) -> tuple[Neighbour, ...]:
    """Examples by their distance from an embedding of shape (d,), nearest first."""
    distance = np.linalg.norm(examples.embeddings - embedding, axis=1)
    order = np.argsort(distance, kind="stable")[:most].tolist()
    typical = {name: _typical_distance(examples, name) for name in {examples.patterns[i] for i in order}}
    return tuple(
        Neighbour(examples.wafer_ids[i], examples.patterns[i], float(distance[i]), typical[examples.patterns[i]])
        for i in order
    )


def _typical_distance(examples: Examples, pattern: str) -> float:
    members = examples.embeddings[np.array(examples.patterns, dtype=np.str_) == pattern].astype(np.float64)
    between = np.linalg.norm(members[:, None] - members, axis=2)
    np.fill_diagonal(between, np.inf)
    return float(np.median(between.min(axis=1)))


def _topics(verdict: dict[str, Any]) -> list[str]:
    """What the evidence for a verdict is about."""
    if not verdict["defects"] or verdict["verdict"] == "normal":
        return []
    return [NOVELTY] if verdict["verdict"] == "novel" else list(verdict["parts"])


def _evidence(model: WaferModel, points: WaferPoints, about: str, config: OcclusionConfig | None) -> Evidence:
    score = novelty_score(model) if about == NOVELTY else pattern_score(model, about)
    occlusion = occlude(points, score, config)
    weight = occlusion.evidence
    # A wafer may be novel for the defects it lacks.
    where = describe(points, weight, "evidence") if weight.any() else "no ring of defects speaks for it"
    zones = wafer_zones(points, weight)
    block = standing_out(points, weight)
    if block is None:
        return Evidence(about, occlusion, zones, where, None, 0, None, None)
    inside = within(points, block)
    left = float(score(variants(points, ~inside[None]))[0])
    holds = left > (model.novelty.threshold if about == NOVELTY else 0)
    return Evidence(about, occlusion, zones, where, block, int(inside.sum()), left, holds)

"""Made-up novel-looking wafers: embeddings like those of a model's calibration wafers, or of a made-up pattern."""

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.emerging import whitening
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.schemas.patterns import NovelLooking, WaferMap

#: Failing dies on the diagonal of a 4 x 4 grid.
DIAGONAL = WaferMap(4, 4, np.array([0, 5, 10, 15], dtype="<u2").tobytes(), np.ones(4, dtype=np.uint8).tobytes())


def looking_novel(
    number: int, embedding: NDArray[np.floating], space: str, *, p_value: float = 0.01, nearest: str = "center"
) -> NovelLooking:
    """Wafer `number`, each of a lot of its own, at `number` seconds."""
    return NovelLooking(
        p_value=p_value,
        id=f"t/0/{number}/0",
        wafer_id=f"W{number}",
        lot=f"L{number}",
        tool=f"T{number % 3}",
        event_time_us=number * 1_000_000,
        novelty=9.0,
        nearest=nearest,
        space=space,
        embedding=np.asarray(embedding, dtype="<f4").tobytes(),
        map=DIAGONAL,
    )


def novel_looking_known(
    model: WaferModel, first: int, wafers: int, rng: np.random.Generator, level: float
) -> list[NovelLooking]:
    """The novel-looking among `wafers` known wafers: drawn from the model's calibration wafers, and moved a little."""
    novelty = model.novelty
    drawn = rng.choice(len(novelty.calibration), wafers, replace=False)
    p_values = novelty.p_value(novelty.calibration)[drawn]
    near = novelty.calibration_embeddings[drawn] + 0.2 * rng.standard_normal((wafers, len(novelty.within)))
    return [
        looking_novel(first + i, near[i], model.space, p_value=float(p_values[i]))
        for i in np.flatnonzero(p_values <= level).tolist()
    ]


def new_pattern_wafers(
    model: WaferModel, numbers: list[int], rng: np.random.Generator, away: float = 25.0
) -> list[NovelLooking]:
    """Wafers of a compact pattern that lies `away` from the known wafers' middle, in whitened units."""
    white = whitening(model.novelty.within)
    middle = model.novelty.calibration_embeddings.mean(axis=0) @ white
    points = middle + away * np.eye(len(white))[0] + 0.5 * rng.standard_normal((len(numbers), len(white)))
    embeddings = points @ np.linalg.inv(white)
    return [
        looking_novel(n, e, model.space, p_value=0.005, nearest="edge_ring")
        for n, e in zip(numbers, embeddings, strict=True)
    ]

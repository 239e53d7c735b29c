"""PyOD's detectors at their defaults, in their own environment: scores of rows they were not fitted on.

`python pyod_rows.py` reads one job a line from its standard input, `DETECTOR SEED FOLDER`. The folder holds `fit.npy`
and `test.npy`, float64 of shapes (n, d) and (m, d); it gets `scores.npy`, shape (m,), high is strange. The answer is
one line of JSON: seconds to fit and to score, or the error. One thread. Every detector works once on made-up rows
before the first job, so that nothing is loaded or compiled while the clock runs.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN

#: A seed makes a detector; two of them know no chance.
DETECTORS: dict[str, Callable[[int], Any]] = {
    "AutoEncoder": lambda seed: AutoEncoder(random_state=seed, verbose=0),
    "ECOD": lambda _: ECOD(),
    "IForest": lambda seed: IForest(random_state=seed),
    "KNN": lambda _: KNN(),
}


def judge(
    name: str, seed: int, fit: NDArray[np.float64], test: NDArray[np.float64]
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Scores of `test`, and what they took."""
    detector = DETECTORS[name](seed)
    started = time.perf_counter()
    detector.fit(fit)
    fitted = time.perf_counter()
    scores = detector.decision_function(test)
    seconds = {"fit_seconds": fitted - started, "score_seconds": time.perf_counter() - fitted}
    return np.asarray(scores, dtype=np.float64), seconds


def answer(job: str) -> dict[str, float | str]:
    """Do one job."""
    name, seed, folder = job.split(maxsplit=2)
    fit, test = (np.load(Path(folder) / f"{part}.npy") for part in ("fit", "test"))
    try:
        scores, seconds = judge(name, int(seed), fit, test)
    except (ValueError, RuntimeError, FloatingPointError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    np.save(Path(folder) / "scores.npy", scores)
    return {**seconds}


def main() -> None:
    """Answer until the input ends."""
    torch.set_num_threads(1)
    answers = sys.stdout
    # What a detector prints must not look like an answer.
    with redirect_stdout(sys.stderr):
        made_up = np.random.default_rng(0).normal(size=(128, 4))
        for name in DETECTORS:
            judge(name, 0, made_up, made_up)
        for job in sys.stdin:
            print(json.dumps(answer(job.strip())), file=answers, flush=True)


if __name__ == "__main__":
    main()

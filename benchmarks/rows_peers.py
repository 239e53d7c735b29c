"""PyOD's detectors beside ours: the same rows, z-scored by the fitted part, in an environment of their own."""

import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.rows_protocol import judged, split_set
from sparsewatch.detectors.rows.encoding.encode import SPREAD_EPSILON

_ROOT = Path(__file__).resolve().parent.parent
#: Made by `make bench-rows`.
PYTHON = _ROOT / ".cache" / "peers" / "pyod" / "bin" / "python"
REQUIREMENTS = _ROOT / "benchmarks" / "peers" / "pyod.txt"
SCRIPT = _ROOT / "benchmarks" / "peers" / "pyod_rows.py"
#: Name of a peer in the tables -> PyOD's detector.
PEERS = {f"PyOD {name}": name for name in ("AutoEncoder", "ECOD", "IForest", "KNN")}


class Peer:
    """A process with PyOD loaded, which runs detectors one after the other; it ends with this process."""

    def __init__(self) -> None:
        if not PYTHON.exists():
            raise FileNotFoundError(f"no environment of PyOD in {PYTHON}: `make bench-rows` sets it up")
        self._process = subprocess.Popen(
            [str(PYTHON), "-W", "ignore", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, detector: str, seed: int, folder: Path) -> dict[str, float]:
        """Fit and score the rows in `folder`, see `peers/pyod_rows.py`.

        Raises:
            RuntimeError: If the detector fails or the process has ended.
        """
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None or self._process.poll() is not None:
            raise RuntimeError(f"PyOD's process ended with {self._process.returncode}")
        asked.write(f"{detector} {seed} {folder}\n".encode())
        asked.flush()
        answer: dict[str, float] = msgspec.json.decode(answers.readline() or b'{"error": "no answer"}')
        if "error" in answer:
            raise RuntimeError(f"{detector} failed: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@lru_cache(maxsize=1)
def the_peer() -> Peer:
    """The only peer of this process: loading PyOD takes longer than most of its fits."""
    return Peer()


def judge_peer(peer: str, name: str, seed: int) -> dict[str, float]:
    """Figures of a detector of PyOD at its defaults, label-free."""
    parts = split_set(name, seed)
    fit, test = parts.fit.X, parts.test.X
    centre, spread = fit.mean(axis=0), fit.std(axis=0, ddof=1) + SPREAD_EPSILON
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "fit.npy", (fit - centre) / spread)
        np.save(Path(folder) / "test.npy", (test - centre) / spread)
        seconds = the_peer().ask(PEERS[peer], seed, Path(folder))
        scores = np.load(Path(folder) / "scores.npy", allow_pickle=False)
    return {**judged(scores, parts.test.outlier), **seconds}

"""Wafers recognised per second on one CPU thread: 1,000 defects on 16,384 cells a side.

`recognise` is what the job calls: validation, cells, network, mixture and verdicts. `neighbours` is one level of it,
beside spconv's own hash table for the same sites. Normal wafers cost the most, their defects touch no others and so
share no coarse cells.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.harness import Rounds, interleave, rate, seconds, write_results
from detectors.open_set.novelty import NoveltyConfig
from detectors.sparse_net.data import to_sites
from detectors.sparse_net.engine import ConvAlgo, get_indice_pairs
from detectors.sparse_net.events import read_points
from detectors.sparse_net.grid import rule_book, to_grid
from detectors.sparse_net.train import TrainConfig
from detectors.torch_threads import torch_threads
from detectors.wafer_model import WaferModel
from detectors.wafer_patterns import PATTERNS, make_wafers
from detectors.wafer_training import GRID, WaferTrainingConfig, train_wafer_model

WAFERS = 300
DEFECTS = 1_000
ROUNDS = 7
#: What the whole job must reach; the network alone leaves it room.
TARGET = 300.0


def main() -> None:
    """Measure and write the results."""
    rng = np.random.default_rng(0)
    model = _model(rng)
    normal = make_wafers(["normal"] * WAFERS, rng, defects=DEFECTS)
    mixed = make_wafers(rng.choice(list(PATTERNS), WAFERS).tolist(), rng, defects=DEFECTS)
    grid = to_grid(to_sites(read_points(normal.slice(0, 100)), GRID))
    indices = torch.stack([grid.wafer, grid.row, grid.column], dim=1).int()
    space, three, one, none = [grid.height, grid.width], [3, 3], [1, 1], [0, 0]
    actions: tuple[Callable[[], object], ...] = (
        lambda: model.recognise(normal),
        lambda: model.recognise(mixed),
        lambda: rule_book(grid),
        lambda: get_indice_pairs(indices, 100, space, ConvAlgo.Native, three, one, one, one, none, True),
    )
    with torch_threads(1):
        for action in actions:
            action()
        taken = interleave([partial(seconds, action) for action in actions], ROUNDS)
    normals, patterns = (Rounds([WAFERS / s for s in times.values]) for times in taken[:2])
    ours, theirs = (Rounds([grid.sites / s for s in times.values]) for times in taken[2:])
    results = [
        rate("recognise_normal", normals, "wafers/s", target=TARGET),
        rate("recognise_patterns", patterns, "wafers/s", target=TARGET),
        rate("neighbours", ours, "sites/s", peer="spconv hash table", peer_value=theirs),
    ]
    write_results("wafer_net", results)


def _model(rng: np.random.Generator) -> WaferModel:
    """A model of full size; how well it recognises does not change what it costs."""
    labels = rng.choice(list(PATTERNS), 400).tolist()
    config = WaferTrainingConfig(grid=GRID, train=TrainConfig(epochs=1), novelty=NoveltyConfig(false_novel_rate=0.05))
    return train_wafer_model(make_wafers(labels, rng, defects=100), labels, config)[0]


if __name__ == "__main__":
    main()

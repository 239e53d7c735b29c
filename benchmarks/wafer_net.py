"""Wafers recognised per second on one CPU thread, and how time and memory grow with defects and resolution.

`recognise` is what the job calls: validation, cells, network, statistics, novelty and verdicts. `wafers_per_s` is of
normal wafers, which cost the most: their defects touch no others and so share no coarse cells. It takes one thread; two
workers share two cores. `neighbours` is one level of it, beside spconv's own hash table for the same sites, and
`encode_gather` the network on the convolution in plain torch, beside the same weights on spconv's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import torch

from benchmarks.harness import RESULTS, Result, Rounds, cost, interleave, rate, seconds, write_results
from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.engine import CONVOLUTIONS, VARIABLE
from sparsewatch.detectors.sparse_net.grid import rule_book, to_grid
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.sparse_net.spconv_layer import ConvAlgo, get_indice_pairs
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.detectors.wafers.drawn import PATTERNS, make_wafers
from sparsewatch.detectors.wafers.inputs import GRID
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model
from sparsewatch.schemas.wafers import WAFER_COLUMNS

WAFERS = 300
DEFECTS = 1_000
ROUNDS = 7
#: Verdicts on a single wafer whose 99th percentile is taken.
SINGLE = 500
#: What the whole job must reach, and how long a single wafer may take.
TARGET, TARGET_MS = 300.0, 100.0
#: Megabytes that a wafer of a million defects may take.
TARGET_MB = 500.0
GROWTH = (100, 1_000, 10_000, 100_000, 1_000_000)
SIDES = (1_024, 4_096, 16_384, 20_480)

Results = list[Result]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each figure")
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    model = _model(rng)
    cpu = replace(model, net=deepcopy(model.net).cpu())
    with torch_threads(1):
        results = [
            *_throughput(cpu, rng, rounds),
            _single(cpu, rng),
            _million(cpu, rng),
            *_growth(cpu, rng, rounds),
            *_sides(rng, rounds),
            *_parts(rng, rounds),
            *_on_gpu(model, cpu, rng, rounds),
        ]
    write_results("wafer_net", results)


def _throughput(model: WaferModel, rng: np.random.Generator, rounds: int) -> Results:
    batches = (
        make_wafers(["normal"] * WAFERS, rng, defects=DEFECTS),
        make_wafers(rng.choice(list(PATTERNS), WAFERS).tolist(), rng, defects=DEFECTS),
        _die_maps(WAFERS, rng),
    )
    normal, patterns, maps = _timed([partial(model.recognise, rows) for rows in batches], rounds, WAFERS)
    return [
        rate("wafers_per_s", normal, "wafers/s", target=TARGET, note="Normal wafers of 1,000 defects, one thread."),
        rate("patterns_per_s", patterns, "wafers/s", target=TARGET, note="All patterns, 1,000 defects, one thread."),
        rate("die_maps_per_s", maps, "wafers/s", note="26 to 50 dies a side, 100 to 1,000 failing, one thread."),
    ]


def _single(model: WaferModel, rng: np.random.Generator) -> Result:
    rows = make_wafers(["normal"] * 50, rng, defects=DEFECTS)
    single = [rows.slice(i % 50, 1) for i in range(SINGLE)]
    taken = [1e3 * seconds(partial(model.recognise, wafer)) for wafer in single]
    note = f"99th percentile of {SINGLE} calls of one wafer; median {np.median(taken):.3g} ms."
    return cost("single_wafer_ms", float(np.percentile(taken, 99)), "ms", target=TARGET_MS, note=note)


def _million(model: WaferModel, rng: np.random.Generator) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        version = model.save(Path(folder) / "wafer", metrics={}, training={})
        files = [Path(folder) / f"{defects}.arrow" for defects in (DEFECTS, 1_000_000)]
        for path, defects in zip(files, (DEFECTS, 1_000_000), strict=True):
            rows = make_wafers(["normal"], rng, defects=defects)
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
                writer.write_batch(rows)
        command = [sys.executable, "-m", "benchmarks.recognise_memory", str(version), *map(str, files)]
        done = subprocess.run(command, cwd=RESULTS.parent.parent, capture_output=True, check=True)
    note = "Peak of a process while it recognises one wafer, above its memory before; its event is 8 MB."
    return cost("million_defects_mb", float(done.stdout), "MB", target=TARGET_MB, note=note)


def _growth(model: WaferModel, rng: np.random.Generator, rounds: int) -> Results:
    results = []
    for defects in GROWTH:
        wafers = int(np.clip(100_000 // defects, 1, WAFERS))
        rows = make_wafers(["normal"] * wafers, rng, defects=defects)
        taken = [1e3 * seconds(partial(model.recognise, rows)) / wafers for _ in range(rounds)]
        note = f"{1e3 * np.median(taken) / defects:.3g} us a defect, {wafers} wafers at a time."
        results.append(cost(f"growth_{defects}", Rounds(taken), "ms a wafer", note=note))
    return results


def _sides(rng: np.random.Generator, rounds: int) -> Results:
    """The same wafers on ever finer cells; each side has a network of the levels it asks for."""
    points = read_points(make_wafers(["normal"] * 100, rng, defects=DEFECTS))
    nets = [WaferNet(NetConfig.for_grid(side, len(PATTERNS))) for side in SIDES]
    actions = [partial(encode, net, points, side) for net, side in zip(nets, SIDES, strict=True)]
    taken = interleave([partial(seconds, action) for action in actions], rounds)
    notes = [f"Statistics and network of {len(net.levels)} levels." for net in nets]
    return [
        cost(f"side_{side}", Rounds([1e3 * s / len(points) for s in times.values]), "ms a wafer", note=note)
        for side, times, note in zip(SIDES, taken, notes, strict=True)
    ]


def _parts(rng: np.random.Generator, rounds: int) -> Results:
    points = read_points(make_wafers(["normal"] * 100, rng, defects=DEFECTS))
    grid = to_grid(to_sites(points, GRID))
    indices = torch.stack([grid.wafer, grid.row, grid.column], dim=1).int()
    space, three, one, none = [grid.height, grid.width], [3, 3], [1, 1], [0, 0]
    tables: Sequence[Callable[[], object]] = (
        lambda: rule_book(grid),
        lambda: get_indice_pairs(indices, 100, space, ConvAlgo.Native, three, one, one, one, none, True),
    )
    ours, theirs = _timed(tables, rounds, grid.sites)
    nets = {kind: _net_on(kind) for kind in CONVOLUTIONS}
    gather, spconv = _timed([partial(encode, nets[kind], points, GRID) for kind in CONVOLUTIONS], rounds, len(points))
    return [
        rate("neighbours", ours, "sites/s", peer="spconv hash table", peer_value=theirs),
        rate("encode_gather", gather, "wafers/s", peer="spconv convolution", peer_value=spconv),
    ]


def _on_gpu(model: WaferModel, cpu: WaferModel, rng: np.random.Generator, rounds: int) -> Results:
    if not torch.cuda.is_available():
        return []
    rows = make_wafers(["normal"] * WAFERS, rng, defects=DEFECTS)
    gpu, one_thread = _timed([partial(m.recognise, rows) for m in (model, cpu)], rounds, WAFERS)
    name = torch.cuda.get_device_name()
    return [rate("wafers_per_s_gpu", gpu, "wafers/s", peer="one CPU thread", peer_value=one_thread, note=f"{name}.")]


def _timed(actions: Sequence[Callable[[], object]], rounds: int, items: int) -> list[Rounds]:
    """Items a second of each action, in turn, after one call of each that does not count."""
    for action in actions:
        action()
    taken = interleave([partial(seconds, action) for action in actions], rounds)
    return [Rounds([items / s for s in times.values]) for times in taken]


def _die_maps(wafers: int, rng: np.random.Generator) -> pa.RecordBatch:
    """Maps of 26 to 50 dies a side, of which 100 to 1,000 fail, at most half."""
    sides = rng.integers(26, 51, (wafers, 2))
    failing = np.minimum(rng.integers(100, 1_001, wafers), sides.prod(axis=1) // 2)
    maps = [rng.permutation(np.repeat([2, 1], [n, r * c - n])) for n, (r, c) in zip(failing, sides, strict=True)]
    names = ("wafer_id", "lot", "step", "tool")
    columns = {name: [f"{name}{i}" for i in range(wafers)] for name in names} | {
        "radius_um": np.full(wafers, 150_000.0),
        "x_um": [None] * wafers,
        "y_um": [None] * wafers,
        "map_rows": sides[:, 0],
        "map_columns": sides[:, 1],
        "map": maps,
    }
    return pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS)


def _net_on(convolution: str) -> WaferNet:
    with patch.dict(os.environ, {VARIABLE: convolution}):
        return WaferNet(NetConfig.for_grid(GRID, len(PATTERNS)))


def _model(rng: np.random.Generator) -> WaferModel:
    """A model of full size; how well it recognises does not change what it costs."""
    labels = rng.choice(list(PATTERNS), 400).tolist()
    config = WaferTrainingConfig(grid=GRID, train=TrainConfig(epochs=1), novelty=NoveltyConfig(false_novel_rate=0.05))
    return train_wafer_model(make_wafers(labels, rng, defects=100), labels, config)[0]


if __name__ == "__main__":
    main()

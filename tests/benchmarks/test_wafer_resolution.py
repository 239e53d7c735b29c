"""The study's figures are whole, named by side, and each class is there as often as any other."""

import numpy as np

from benchmarks.wafer_resolution import CLASSES, Study, bench_resolution, fine_wafers


def test_every_class_has_as_many_wafers() -> None:
    wafers = fine_wafers(4, np.random.default_rng(0))
    assert np.bincount(wafers.labels).tolist() == [4] * len(CLASSES)
    assert len(wafers.points) == len(wafers.labels)
    assert wafers.points.defects.min() >= 300


def test_a_small_study_gives_every_figure() -> None:
    lines: list[str] = []
    study = Study(sides=(64, 256), bins=(16,), seeds=(0,), wafers=(3, 1, 2), epochs=1, longer=1, rounds=1)
    results = {result.name: result for result in bench_resolution(study, lines.append)}
    for name in ("balanced_accuracy", "macro_f1"):
        figures = [f"{name}_64", f"{name}_256", f"dense_{name}_16", f"dense_longer_{name}_16"]
        assert all(0 <= results[figure].value <= 1 for figure in figures)
        assert results[f"{name}_64"].peer == "dense CNN, 16 bins"
        assert results[f"{name}_64"].target == results[f"dense_{name}_16"].value
    assert results["time_constancy"].target is not None
    assert results["wafers_per_cpu_second_256"].value > 0
    assert len(lines) == 4

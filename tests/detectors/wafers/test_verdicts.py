from typing import Any

import numpy as np

from sparsewatch.detectors.open_set.novelty import NoveltyConfig, fit_novelty
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.detectors.wafers.verdicts import Known, judge
from tests.kit.encodings import CLASSES, LATENT, encodings_of, known_wafers, novel_wafers

NAMES = ("a", "b", "c", "d")
KNOWN = Known(NAMES, "a")


def judged(
    encodings: Encodings, known: Known = KNOWN, defects: int = 5, added: str | None = None
) -> list[dict[str, Any]]:
    seen, labels = known_wafers(800)
    calibration, _ = known_wafers(400, seed=3)
    novelty = fit_novelty(NoveltyConfig(), seen, [NAMES[i] for i in labels], calibration)
    if added:
        novelty = novelty.with_pattern(added, novelty.embed(novel_wafers(10, seed=5)))
    n = len(encodings)
    counts = np.full(n, defects)
    rows: list[dict[str, Any]] = judge(known, novelty, encodings, counts, np.zeros(n, dtype=np.int64)).to_pylist()
    return rows


def test_the_network_names_the_pattern_and_normal_wafers_have_no_parts() -> None:
    encodings, _ = known_wafers(60, seed=7)
    rows = judged(encodings)
    assert [row["pattern"] for row in rows] == [NAMES[i] for i in encodings.logits.argmax(axis=1)]
    for row in rows:
        assert row["parts"] == ([] if row["pattern"] == "a" else [row["pattern"]])
    verdicts = {row["verdict"] for row in rows if row["pattern"] == "a"}
    assert verdicts <= {"normal", "novel"}


def test_a_wafer_without_a_defect_is_normal_by_rule() -> None:
    rows = judged(novel_wafers(5), defects=0)
    assert {(row["verdict"], row["pattern"], row["probability"]) for row in rows} == {("normal", "a", 1.0)}


def test_an_added_pattern_is_named_from_its_gaussian() -> None:
    before, after = judged(novel_wafers(50)), judged(novel_wafers(50), added="new")
    assert np.mean([row["verdict"] == "novel" for row in before]) > 0.9
    assert np.mean([(row["verdict"], row["pattern"]) == ("known", "new") for row in after]) > 0.8
    assert all(0 < row["probability"] <= 1 for row in after)


def test_mixed_wafers_are_reported_as_their_parts() -> None:
    logits = np.full((3, CLASSES), -4.0)
    logits[0, [1, 3]] = 4
    logits[1, 2] = 4
    mixed = encodings_of(np.zeros((3, LATENT)), logits)
    mixed = Encodings(
        mixed.latent, mixed.logits, mixed.occupied, mixed.statistics, mixed.levels, mixed.outlier, several=True
    )
    rows = judged(mixed, Known(NAMES, "normal"))
    assert [row["pattern"] for row in rows] == ["b+d", "c", "normal"]
    assert [row["parts"] for row in rows] == [["b", "d"], ["c"], []]

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.wafers.artefact import Examples
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.explanation import (
    NOVELTY,
    Explanation,
    explain_wafers,
    nearest_examples,
    novelty_score,
    pattern_score,
)
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.occlusion import OcclusionConfig, variants
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model
from sparsewatch.detectors.wafers.zones import within
from sparsewatch.schemas.errors import ConfigError

KNOWN = ("cluster", "edge_ring", "normal")
DEFECTS = (100, 200)
COARSE = OcclusionConfig(tiles=80)


@pytest.fixture(scope="module")
def model() -> WaferModel:
    """One that has learnt its patterns: explanations of a model that has not are as odd as it is."""
    rng = np.random.default_rng(0)
    labels = rng.choice(KNOWN, 600).tolist()
    config = WaferTrainingConfig(grid=128, train=TrainConfig(epochs=7), novelty=NoveltyConfig(false_novel_rate=0.05))
    return train_wafer_model(make_wafers(labels, rng, defects=DEFECTS), labels, config)[0]


def fresh(*patterns: str, seed: int = 9) -> pa.RecordBatch:
    return make_wafers(patterns, np.random.default_rng(seed), defects=DEFECTS)


def left(model: WaferModel, explanation: Explanation, keep: np.ndarray) -> float:
    """Lead of the wafer's pattern with some of its defects."""
    return float(pattern_score(model, explanation.verdict["pattern"])(variants(explanation.points, keep[None]))[0])


def test_explanations_come_in_order_with_the_verdicts_of_the_model(model: WaferModel) -> None:
    rows = fresh("cluster", "half_moon", "normal", "edge_ring")
    explained = list(explain_wafers(model, rows, COARSE))
    assert [explanation.verdict for explanation in explained] == model.recognise(rows).to_pylist()
    assert [explanation.wafer["wafer_id"] for explanation in explained] == rows["wafer_id"].to_pylist()
    for explanation in explained:
        expected = {"known": explanation.verdict["parts"], "novel": [NOVELTY], "normal": []}
        assert [e.about for e in explanation.evidence] == expected[explanation.verdict["verdict"]]


def explained_as_known(model: WaferModel, pattern: str) -> list[Explanation]:
    explained = explain_wafers(model, fresh(*[pattern] * 6), COARSE)
    wanted = ("known", pattern)
    return [e for e in explained if (e.verdict["verdict"], e.verdict["pattern"]) == wanted]


def test_an_edge_ring_is_explained_by_its_edge(model: WaferModel) -> None:
    found = explained_as_known(model, "edge_ring")
    assert len(found) > 3
    for explanation in found:
        (evidence,) = explanation.evidence
        assert evidence.zones.share[3].sum() > 0.8
        assert evidence.where.split(" evidence ")[1].startswith("in the edge zone")


def test_a_cluster_is_explained_by_its_defects(model: WaferModel) -> None:
    found = explained_as_known(model, "cluster")
    assert len(found) > 3
    for explanation in found:
        middle = np.median(explanation.points.x), np.median(explanation.points.y)
        near = np.hypot(explanation.points.x - middle[0], explanation.points.y - middle[1]) < 0.3
        weight = explanation.evidence[0].occlusion.evidence
        # On less than a tenth of the area.
        assert weight[near].sum() > 0.5 * weight.sum()


def test_what_is_left_without_the_defects_of_a_place_is_the_score_of_such_a_wafer(model: WaferModel) -> None:
    for explanation in explained_as_known(model, "edge_ring"):
        (evidence,) = explanation.evidence
        assert evidence.block is not None
        keep = ~within(explanation.points, evidence.block)
        assert evidence.inside == (~keep).sum() > 30
        assert evidence.left == pytest.approx(left(model, explanation, keep), abs=1e-4)
        assert evidence.holds == (left(model, explanation, keep) > 0)


def test_without_its_hottest_defects_a_pattern_leads_by_less_than_without_as_many_others(model: WaferModel) -> None:
    rng = np.random.default_rng(0)
    for explanation in (*explained_as_known(model, "cluster")[:2], *explained_as_known(model, "edge_ring")[:2]):
        heat, n = explanation.evidence[0].occlusion.heat, len(explanation.points.x)
        hot = np.argsort(-heat) >= 0
        hot[np.argsort(-heat)[: n // 3]] = False
        others = []
        for _ in range(10):
            keep = np.ones(n, dtype=np.bool_)
            keep[rng.choice(n, n // 3, replace=False)] = False
            others.append(left(model, explanation, keep))
        assert left(model, explanation, hot) < np.mean(others)


def test_scores_are_those_the_verdicts_come_from(model: WaferModel) -> None:
    rows = fresh("cluster", "half_moon", "edge_ring", "normal")
    points, verdicts = read_points(rows), model.recognise(rows)
    np.testing.assert_allclose(novelty_score(model)(points), verdicts["novelty"].to_numpy(), rtol=1e-4)
    leads = np.stack([pattern_score(model, name)(points) for name in KNOWN])
    assert [KNOWN[i] for i in leads.argmax(axis=0)] == verdicts["pattern"].to_pylist()
    assert ((leads > 0).sum(axis=0) == 1).all()


def test_an_added_pattern_is_explained_too(model: WaferModel) -> None:
    moons = read_points(make_wafers(["half_moon"] * 30, np.random.default_rng(3), defects=DEFECTS))
    added = model.with_pattern("moon", model.novelty.embed(encode(model.net, moons, model.grid)))
    patterns = added.recognise(fresh(*["half_moon"] * 6))["pattern"].to_pylist()
    leads = pattern_score(added, "moon")(read_points(fresh(*["half_moon"] * 6)))
    assert ((leads > 0) == (np.array(patterns) == "moon")).all()
    explained = list(explain_wafers(added, fresh(*["half_moon"] * 6), COARSE))
    assert {e.about for explanation in explained for e in explanation.evidence} <= {"moon", NOVELTY}
    assert any(e.about == "moon" for explanation in explained for e in explanation.evidence)


def test_a_wafer_without_defects_has_no_evidence_and_the_least_novelty(model: WaferModel) -> None:
    rows = make_wafers(["normal"], np.random.default_rng(0), defects=0)
    (explanation,) = explain_wafers(model, rows)
    assert (explanation.evidence, explanation.where) == ((), "no defects")
    empty: WaferPoints = explanation.points
    assert novelty_score(model)(empty)[0] == model.novelty.calibration[0]


def test_the_nearest_examples_are_those_of_a_search_one_by_one() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((30, 4)).astype(np.float32)
    names = tuple(f"p{i % 3}" for i in range(30))
    examples = Examples(tuple(f"W{i}" for i in range(30)), names, embeddings)
    at = rng.standard_normal(4)
    found = nearest_examples(examples, at, 6)
    distances = [float(np.sqrt(((row - at) ** 2).sum())) for row in embeddings.astype(np.float64)]
    order = sorted(range(30), key=lambda i: distances[i])[:6]
    assert [n.wafer_id for n in found] == [f"W{i}" for i in order]
    assert [n.pattern for n in found] == [names[i] for i in order]
    np.testing.assert_allclose([n.distance for n in found], [distances[i] for i in order], rtol=1e-6)
    members = embeddings[::3].astype(np.float64)
    nearest = [min(np.linalg.norm(a - b) for j, b in enumerate(members) if j != i) for i, a in enumerate(members)]
    typical = [n.typical for n in found if n.pattern == "p0"]
    assert typical
    np.testing.assert_allclose(typical, np.median(nearest), rtol=1e-6)


def test_a_single_example_has_no_typical_distance_and_none_give_no_neighbour() -> None:
    single = Examples(("W0",), ("p",), np.ones((1, 2), dtype=np.float32))
    assert nearest_examples(single, np.zeros(2))[0].typical == np.inf
    none = Examples((), (), np.zeros((0, 2), dtype=np.float32))
    assert nearest_examples(none, np.zeros(2)) == ()


def test_an_unknown_pattern_is_refused(model: WaferModel) -> None:
    with pytest.raises(ConfigError, match="expected one of cluster, edge_ring, normal, got 'moon'"):
        pattern_score(model, "moon")

"""Novel-looking wafers are those of a low p-value; their maps hold every defect, coarser or on the wafer's own grid."""

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.novel_wafers import drawn, embeddings_of, novel_looking, wafer_maps
from sparsewatch.schemas.patterns import MAP_SIDE, NovelLooking
from sparsewatch.schemas.wafers import WAFER_COLUMNS, WaferResult
from tests.kit.wafer_models import fresh_wafers, tiny_model

LEVEL = 0.3


def results(verdicts: pa.RecordBatch) -> list[WaferResult]:
    names = ["verdict", "pattern", "probability", "novelty", "p_value", "defects"]
    return [
        WaferResult(
            id=f"t/0/{i}/0",
            wafer_id=f"W{i}",
            lot="L",
            step="s",
            tool="T",
            event_time_us=i,
            model="m/1",
            false_novel_rate=0.05,
            **row,
        )
        for i, row in enumerate(verdicts.select(names).to_pylist())
    ]


def judged(rows: pa.RecordBatch) -> tuple[pa.RecordBatch, list[WaferResult], list[NovelLooking]]:
    model = tiny_model()
    verdicts = model.recognise(rows)
    verdict_results = results(verdicts)
    return verdicts, verdict_results, novel_looking(rows, verdict_results, verdicts["embedding"], model.space, LEVEL)


def test_wafers_of_a_low_p_value_are_stored_with_their_embedding() -> None:
    verdicts, verdict_results, stored = judged(fresh_wafers("half_moon"))
    assert [w.id for w in stored] == [r.id for r in verdict_results if r.p_value <= LEVEL]
    assert len(stored) > 1
    places = [int(w.id.split("/")[2]) for w in stored]
    expected = np.array([verdicts["embedding"][i].as_py() for i in places])
    np.testing.assert_array_equal(embeddings_of(stored), expected)
    assert {w.space for w in stored} == {tiny_model().space}


def test_no_wafer_is_stored_if_none_looks_novel() -> None:
    rows = make_wafers(["normal"] * 3, np.random.default_rng(0), defects=0)
    assert judged(rows)[2] == []
    assert embeddings_of([]).shape == (0, 0)


def test_a_map_of_points_holds_each_of_them_in_its_cell() -> None:
    points = read_points(make_wafers(["donut", "scratch"], np.random.default_rng(1), defects=(50, 300)))
    for wafer, small in enumerate(wafer_maps(points)):
        of = points.wafer == wafer
        slow = np.zeros((MAP_SIDE, MAP_SIDE))
        for x, y in zip(points.x[of], points.y[of], strict=True):
            slow[int((y + 1) / 2 * MAP_SIDE), int((x + 1) / 2 * MAP_SIDE)] += 1
        np.testing.assert_array_equal(drawn(small), slow)


@pytest.mark.parametrize("side", [3, 20, 64])
def test_a_die_map_keeps_its_own_grid_and_is_drawn_as_it_is(side: int) -> None:
    dies = np.random.default_rng(2).integers(1, 3, (side, side + 1 if side < 64 else side))
    rows = pa.RecordBatch.from_pydict(
        {
            "wafer_id": ["W"],
            "lot": ["L"],
            "step": ["s"],
            "tool": ["T"],
            "radius_um": [1.0],
            "x_um": [None],
            "y_um": [None],
            "map_rows": [dies.shape[0]],
            "map_columns": [dies.shape[1]],
            "map": [dies.reshape(-1).tolist()],
        },
        schema=WAFER_COLUMNS,
    )
    [small] = wafer_maps(read_points(rows))
    assert (small.rows, small.columns) == dies.shape
    at = np.arange(MAP_SIDE)
    rows_at, columns_at = at * dies.shape[0] // MAP_SIDE, at * dies.shape[1] // MAP_SIDE
    np.testing.assert_array_equal(drawn(small), dies[np.ix_(rows_at, columns_at)] == 2)

"""Ids of single rows' results."""

from sparsewatch.detectors.rows.windows.summary import WorstRow
from sparsewatch.pipelines.rows.scoring import row_result
from sparsewatch.schemas.block import EVENT_TIME_US, SOURCE


def test_a_result_of_a_topic_made_anew_has_an_id_of_its_own() -> None:
    context = {EVENT_TIME_US: 60, "wafer": "w7"}
    before = WorstRow(0.001, 9.0, 2, 77, 0, (("a", 3.0),), "rows/0001", context)
    after = WorstRow(0.001, 9.0, 2, 77, 0, (("a", 3.0),), "rows/0001", {**context, SOURCE: "fab@LrUU9CXG"})
    first, second = row_result(before, "fab"), row_result(after, "fab")
    assert (first.id, second.id) == ("fab/2/77/0", "fab@LrUU9CXG/2/77/0")
    assert first.identity == second.identity == {"wafer": "w7"}
    assert before.as_json() == after.as_json()

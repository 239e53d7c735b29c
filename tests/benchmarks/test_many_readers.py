"""Rates of readers are those between two sizes of a topic, and ways that give other windows are no measurement."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import many_readers
from benchmarks.many_readers import WAYS, Comparison, Way, Whole, results_of
from benchmarks.whole_jobs import Bench, Topic


def test_starting_does_not_count_towards_a_rate() -> None:
    one = [Whole(100, 5.0, 4.0), Whole(100, 6.0, 4.0), Whole(500, 9.0, 8.0), Whole(500, 8.0, 8.0)]
    two = [Whole(100, 10.0, 4.0), Whole(100, 10.0, 4.0), Whole(500, 11.0, 12.0), Whole(500, 11.0, 12.0)]
    results = {result.name: result for result in results_of({"one": one, "two": two})}
    assert (results["one"].value, results["one"].spread) == (150.0, (100.0, 200.0))
    assert results["two"].value == 400.0
    assert results["two"].ratio == pytest.approx(400 / 150)
    assert (results["two, cpu"].value, results["two, cpu"].ratio) == (20_000.0, 2.0)
    assert results["two, start"].value == 9.75


def test_a_larger_topic_that_took_no_longer_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="measure more rows"):
        list(results_of({"one": [Whole(100, 5.0, 4.0), Whole(500, 5.0, 8.0)]}))


def test_processes_are_asked_of_the_runner_only_where_wanted() -> None:
    assert Way("x", 1).options() == []
    assert "--direct_num_workers=3" in Way("x", 3, 3).options()


@pytest.mark.parametrize("difference", [{"rows": 5}, {"ranking": ["b"]}])
def test_other_windows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: dict[str, Any]) -> None:
    comparison = Comparison(Bench("", tmp_path, 1), Topic("clicks", rows=4))
    window = {"window_start_us": 0, "job": "first", "rows": 4, "ranking": ["a"]}
    written = iter([{"first/0": window}, {"again/0": {**window, "job": "again"}}, {"other/0": window | difference}])
    monkeypatch.setattr(many_readers, "read_all", lambda _, topic: topic)
    monkeypatch.setattr(many_readers, "newest_by_key", lambda _: next(written))
    comparison.same(WAYS[0], "first")
    comparison.same(WAYS[1], "again")
    with pytest.raises(RuntimeError, match="two readers in one process: other windows than one reader"):
        comparison.same(WAYS[1], "other")

"""Lines stand beside the first, cost beyond proportion has a reason, and spoiled records are what they should be."""

import json

from benchmarks.scaling import SPOILED, TEN, Line, padded, table
from benchmarks.timed_job import Timing
from benchmarks.whole_jobs import click_values
from benchmarks.workloads import LABEL


def _line(name: str, seconds: float, units: float = 1.0, least_share: float | None = None) -> Line:
    run = Timing(last_commit=seconds, processor_at_last_commit=seconds / 2)
    return Line(name, 1_000, [run], units, least_share)


def test_each_line_has_its_ratio_to_the_first_and_a_target_of_its_rate() -> None:
    lines = [_line("none", 1.0), _line("some", 1.25, least_share=0.75), _line("many", 2.0, least_share=0.75)]
    results = {result.name: result for result in table(lines, reason="So it is.")}
    assert [results[name].ratio for name in ("none", "some", "many")] == [1.0, 0.8, 0.5]
    assert [results[name].met for name in ("none", "some", "many")] == [None, True, False]
    assert (results["many, cpu"].value, results["many, cpu"].ratio) == (1_000.0, 2.0)


def test_cost_beyond_its_proportion_has_a_reason() -> None:
    lines = [_line("10", 1.0, 10), _line("40", 4.5, 40), _line("100", 20.0, 100)]
    results = {result.name: result for result in table(lines, "cells", "So it is.")}
    assert (results["10, cells"].value, results["100, cells"].ratio) == (10_000.0, 0.5)
    assert results["40, cpu"].note == ""
    assert results["100, cpu"].note == "2.00 times its proportion; So it is."


def test_a_record_is_as_long_as_asked_and_means_the_same() -> None:
    for value in click_values(20, shapes=TEN):
        longer = padded(value, 250)
        assert len(longer) == 250
        assert {**json.loads(longer), "more": ""} == {**json.loads(value), "more": ""}


def test_a_spoiled_record_is_broken_or_has_a_text_for_its_label() -> None:
    (value,) = click_values(1)
    assert json.loads(SPOILED["label"](value)) == {**json.loads(value), LABEL: "none"}
    assert value.startswith(SPOILED["broken"](value))
    assert not SPOILED["broken"](value).endswith(b"}")

"""Readers are told apart by what they take of odd records, and decoding is measured where records are bad."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.json_readers import KINDS, READERS, cases, compare_decoding, results_of
from benchmarks.peers.json_trial import Trial, trial
from benchmarks.workloads import LABEL, click_table, json_records

RECORDS = json_records(click_table(50, 0, rows_per_second=1_000.0))


def by_python(records: Sequence[bytes], kinds: Mapping[str, str]) -> object:
    return [json.loads(record) for record in records]


@pytest.mark.parametrize("name", READERS)
def test_every_reader_reads_the_clicks_and_ours_take_nothing_odd(name: str) -> None:
    found = trial(READERS[name], RECORDS, KINDS)
    assert found["us"] > 0
    if name not in ("pyarrow.json", "polars"):
        assert found["takes"] == []


def test_what_a_reader_takes_is_named() -> None:
    assert trial(by_python, RECORDS, KINDS)["takes"] == [
        "a number for a text",
        "a text for an integer",
        "a fraction for an integer",
        "a truth value for an integer",
        "NaN",
    ]
    assert trial(READERS["polars"], RECORDS, KINDS)["takes"] == ["a number for a text"]


def test_a_reader_that_refuses_right_records_is_no_peer() -> None:
    with pytest.raises(ValueError, match="got `array`"):
        trial(READERS["ours"], [b"[]"], KINDS)


def test_each_reader_stands_beside_ours() -> None:
    rounds: list[dict[str, Trial]] = [
        {"ours": {"us": us, "takes": []}, "orjson": {"us": 4 * us, "takes": ["NaN"]}} for us in (0.4, 0.5, 0.6)
    ]
    ours, theirs = results_of(rounds)
    assert (ours.value, ours.peer, ours.note) == (0.5, None, "takes nothing that is not right")
    assert (theirs.ratio, theirs.peer_value, theirs.note) == (4, 0.5, "a dictionary of each record; takes NaN")


def test_a_tenth_of_the_records_is_spoiled_or_all() -> None:
    found = cases(RECORDS)
    spoiled = {name: sum(map(bytes.__ne__, RECORDS, values)) for name, values in found.items()}
    assert list(spoiled.values()) == [0, 5, 5, 5, 5, 50]
    (without,) = {name: json.loads(values[0]) for name, values in found.items() if "without its label" in name}.values()
    assert {LABEL, *without} == set(KINDS)


def test_decoding_is_measured_with_the_part_in_c_and_without(tmp_path: Path) -> None:
    found = {result.name: result for result in compare_decoding(RECORDS, 1, tmp_path)}
    assert list(found) == [f"decoding, {name}" for name in cases(RECORDS)]
    assert all(result.value > 0 and result.peer_value for result in found.values())

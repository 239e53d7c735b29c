"""Results survive their file, rounds alternate, and a missed target cannot look met."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.harness import (
    Result,
    Rounds,
    cost,
    interleave,
    print_table,
    rate,
    read_results,
    this_machine,
    write_results,
)


def test_calls_take_turns_and_keep_their_own_figures() -> None:
    order: list[str] = []
    figures = iter(range(6))

    def call(name: str) -> float:
        order.append(name)
        return float(next(figures))

    ours, peer = interleave([lambda: call("ours"), lambda: call("peer")], 3)
    assert order == ["ours", "peer"] * 3
    assert (ours.values, peer.values) == ((0.0, 2.0, 4.0), (1.0, 3.0, 5.0))
    assert (ours.median, ours.spread) == (2.0, (0.0, 4.0))


def test_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        interleave([lambda: 1.0], 0)


def test_a_rate_is_compared_with_peer_and_target() -> None:
    result = rate("x", Rounds((90.0, 100.0, 130.0)), "rows/s", peer="other", peer_value=50.0, target=101.0)
    assert (result.value, result.ratio, result.met, result.spread) == (100.0, 2.0, False, (90.0, 130.0))
    assert rate("x", 101.0, "rows/s", target=101.0).met is True
    assert rate("x", 1.0, "rows/s").met is None


def test_a_cost_meets_a_target_it_does_not_exceed() -> None:
    assert cost("x", Rounds((9.0, 10.0, 11.0)), "ms", target=10.0).met is True
    assert cost("x", 10.5, "ms", target=10.0).met is False
    assert cost("x", 10.5, "ms").met is None


def test_a_file_is_a_list_of_results_with_their_circumstances(tmp_path: Path) -> None:
    path = write_results("some", [rate("a", 3.0, "rows/s", target=2.0)], folder=tmp_path)
    entry = msgspec.json.decode(path.read_bytes())[0]
    assert {"name", "value", "unit", "peer", "peer_value", "ratio", "target", "met"} <= set(entry)
    assert (entry["value"], entry["peer"], entry["met"]) == (3.0, None, True)
    assert entry["machine"]["cores"] >= 1
    assert entry["versions"]["polars"]
    assert entry["date"].endswith("Z")
    assert str(Path.home()) not in path.read_text()


def test_a_part_measured_again_leaves_the_others(tmp_path: Path) -> None:
    write_results("some", [rate("a", 1.0, "s"), rate("b", 2.0, "s")], folder=tmp_path)
    path = write_results("some", [rate("b", 5.0, "s")], folder=tmp_path, keep_others=True)
    assert [(e.name, e.value) for e in read_results(path)] == [("a", 1.0), ("b", 5.0)]
    write_results("some", [rate("b", 7.0, "s")], folder=tmp_path)
    assert [(e.name, e.value) for e in read_results(path)] == [("b", 7.0)]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('[{"name": "a"}]')
    with pytest.raises(ValueError, match="missing required field"):
        read_results(path)


def test_the_table_says_plainly_what_is_not_met(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("some", [Result(name="a", value=1.0, unit="s", target=2.0, met=False)])
    assert "NO" in capsys.readouterr().out


def test_the_machine_has_memory_and_a_processor() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.memory_gib > 0.1

"""Ratios are those of rounds, features of chance do not count as ranks, and a missing peer says how to get it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness import Rounds
from benchmarks.outrank_peer import environment
from benchmarks.outrank_peer.commands import our_command, public_command
from benchmarks.outrank_peer.figures import beside, faster
from benchmarks.outrank_peer.kernels import ROWS, noise_columns
from benchmarks.outrank_peer.ranks import ORDERS, compare
from sparsewatch.detectors.outrank.columns.codes import Codes
from sparsewatch.detectors.outrank.ranking import rank_codes


def test_a_speed_up_is_the_middle_of_the_rounds_own_ratios() -> None:
    speed, seconds = faster("x", Rounds([1.0, 2.0, 4.0]), Rounds([30.0, 20.0, 20.0]), target=10.0, note="")
    assert (speed.name, speed.value, speed.spread, speed.met) == ("x", 10.0, (5.0, 30.0), True)
    assert (seconds.name, seconds.value, seconds.peer_value, seconds.ratio) == ("x_seconds", 2.0, 20.0, 0.1)


def test_a_speed_up_below_the_target_is_not_met() -> None:
    assert faster("x", Rounds([1.0]), Rounds([9.0]), target=10.0, note="")[0].met is False


@pytest.mark.parametrize(("ours", "met"), [(400.0, True), (500.0, False), (600.0, False)])
def test_less_memory_is_met_only_below_the_peer(ours: float, met: bool) -> None:
    assert beside("x", Rounds([ours]), "MB", Rounds([500.0]), less=True).met is met


def test_both_commands_rank_all_rows_of_the_same_file(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    ours, public = our_command(data), public_command(data, "all")
    assert ours[1:] == ["rank", str(data), "--label", "label"]
    options = dict(zip(public[1::2], public[2::2], strict=True))
    assert (options["--data_path"], options["--subsampling"], options["--task"]) == (str(tmp_path), "1", "all")


def test_a_process_is_timed_with_its_memory(tmp_path: Path) -> None:
    cost = environment.time_command([sys.executable, "-c", "x = bytearray(50_000_000)"], tmp_path)
    assert cost.seconds > 0
    assert cost.peak_mb > 50


def test_a_process_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with 3: so it is"):
        environment.time_command([sys.executable, "-c", "print('so it is'); raise SystemExit(3)"], tmp_path)


def test_a_missing_peer_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PEER", tmp_path)
    with pytest.raises(FileNotFoundError, match="make bench-outrank"):
        environment.ask_peer("outrank_kernel.py", "seconds")


@pytest.mark.parametrize("long_tail", [False, True])
def test_noise_columns_tell_nothing(long_tail: bool) -> None:
    feature, label = noise_columns(1_000, long_tail=long_tail)
    (found,) = rank_codes({"x": feature}, label)
    assert (feature.codes.size, label.n_values) == (ROWS, 2)
    assert found.cardinality > 950
    assert abs(found.score) < 4 * found.noise


def test_only_features_that_stand_out_of_chance_are_compared() -> None:
    rng = np.random.default_rng(0)
    label = Codes(rng.integers(0, 2, 2_000).astype(np.int32), 2)
    flips = {f"f{i}": Codes(np.where(rng.random(2_000) < i / 10, 1 - label.codes, label.codes), 2) for i in range(4)}
    features = {**flips, **{f"noise{i}": Codes(rng.integers(0, 5, 2_000).astype(np.int32), 5) for i in range(3)}}
    scores = {found.feature: found.score for found in rank_codes(features, label)}
    public = np.tile([[scores[name]] for name in features], 2 * ORDERS)
    # Noise that the peer ranks first, were it asked.
    public[4:] = 10.0
    each, whole = compare("some", features, label, public)
    assert (each.value, each.peer_value, whole.value, whole.met) == (1.0, 1.0, 1.0, True)
    assert each.note.startswith("4 of 7 features stand out")

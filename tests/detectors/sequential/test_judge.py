import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pytest

from sparsewatch.detectors.sequential.judge import MOST_WATCHED, judge_shares
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.slow_changes import Observation, Observed, Watched
from sparsewatch.schemas.units import HOUR_US

EXPECTED, ROWS = 0.05, 2_000
BASELINE = {"kind": "fixed", "version": "0001", "windows": 300}


def clicks(count: int, rows: int = ROWS, expected: float = EXPECTED) -> Observation:
    """The click rate of a window, against a baseline of two weeks of hours."""
    return Observation(
        rule="click_rate_shift",
        subject="stream",
        count=count,
        rows=rows,
        expected=expected,
        step=0.03 * expected,
        spread=0.0,
        level=0.0003,
        windows=336,
        alpha=0.01 / 24,
    )


def nulls(count: int, subject: str = "site") -> Observation:
    """A share of missing values: only a rise matters."""
    return msgspec.structs.replace(
        clicks(count, expected=0.1), rule="feature_nulls", subject=subject, step=0.02, falls=False
    )


def judged(
    windows: Sequence[Sequence[Observation]], found: Sequence[str] = (), before: Sequence[Watched] = ()
) -> Iterator[tuple[list[Finding], tuple[Watched, ...]]]:
    """Windows of an hour in turn."""
    watched = tuple(before)
    for at, shares in enumerate(windows):
        findings, watched = judge_shares(
            Observed(tuple(shares), BASELINE), watched, (at * HOUR_US, (at + 1) * HOUR_US), found
        )
        yield findings, watched


def told(windows: Sequence[Sequence[Observation]]) -> list[int]:
    """Places of the windows with a finding."""
    return [at for at, (findings, _) in enumerate(judged(windows)) if findings]


def drawn(rates: Sequence[float], seed: int = 0) -> list[list[Observation]]:
    rng = np.random.default_rng(seed)
    return [[clicks(int(rng.binomial(ROWS, rate)))] for rate in rates]


def test_a_loss_of_a_tenth_is_told_that_no_single_window_shows() -> None:
    places = told(drawn([EXPECTED] * 20 + [0.9 * EXPECTED] * 60))
    assert 20 < places[0] < 60
    # Once told, it is told until the end.
    assert places == list(range(places[0], 80))


def test_it_ends_soon_after_the_change_does() -> None:
    rates = [EXPECTED] * 10 + [0.6 * EXPECTED] * 10 + [EXPECTED] * 20
    places = told(drawn(rates))
    assert places[0] in (11, 12, 13)
    assert places[-1] <= 22


def test_nothing_is_told_of_a_stream_that_does_not_change() -> None:
    assert told(drawn([EXPECTED] * 200, seed=7)) == []


def test_a_finding_says_how_far_since_when_and_against_what() -> None:
    windows = [[clicks(100)]] * 5 + [[clicks(70)]] * 6
    finding = next(findings[0] for findings, _ in judged(windows) if findings)
    assert (finding.rule, finding.subject, finding.baseline) == ("click_rate_shift", "stream", EXPECTED)
    assert finding.value == pytest.approx(0.035, rel=0.05)
    assert finding.threshold == pytest.approx(0.97 * EXPECTED)
    assert finding.p_value is not None
    assert finding.p_value < 0.01 / 24
    assert finding.evidence == {
        "test": "sequential",
        "rows": ROWS,
        "effect": pytest.approx(-0.015, rel=0.05),
        "since_us": 5 * HOUR_US,
        "windows": finding.evidence["windows"],
        "baseline": {**BASELINE, "windows": 336},
    }
    assert finding.message == (
        f"{finding.value:.2%} of rows are clicks since 1970-01-01 05:00:00, over {finding.evidence['windows']} "
        "windows; 5.00% expected"
    )


def test_a_rise_is_told_as_a_fall_is_but_of_missing_values_only_a_rise() -> None:
    assert told([[clicks(140)]] * 6)
    assert told([[nulls(300)]] * 6)
    assert not told([[nulls(0)]] * 60)


def test_a_subject_that_another_rule_names_begins_anew() -> None:
    windows = [[clicks(85), nulls(250)]] * 12
    assert {finding.subject for findings, _ in judged(windows) for finding in findings} == {"stream", "site"}
    found = [finding for findings, _ in judged(windows, found=["stream"]) for finding in findings]
    assert {finding.subject for finding in found} == {"site"}
    *_, (_, watched) = judged(windows, found=["stream", "site"])
    assert watched == ()


def test_a_change_the_other_way_is_a_change_of_its_own() -> None:
    windows = [[clicks(60)]] * 6 + [[clicks(150)]] * 6
    values = [findings[0].value for findings, _ in judged(windows) if findings]
    assert values[0] < EXPECTED < values[-1]


@pytest.mark.parametrize("cut", [3, 9, 14])
def test_what_is_remembered_is_all_that_is_needed(cut: int) -> None:
    windows = drawn([EXPECTED] * 6 + [0.6 * EXPECTED] * 6 + [EXPECTED] * 8)
    whole = list(judged(windows))
    stored = msgspec.json.decode(msgspec.json.encode(whole[cut - 1][1]), type=tuple[Watched, ...])
    watched = stored
    for at in range(cut, len(windows)):
        findings, watched = judge_shares(
            Observed(tuple(windows[at]), BASELINE), watched, (at * HOUR_US, (at + 1) * HOUR_US)
        )
        assert (findings, watched) == whole[at]


def test_the_order_of_shares_and_of_what_is_remembered_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    names = [f"f{at}" for at in range(20)]
    watched: tuple[Watched, ...] = ()
    turned: tuple[Watched, ...] = ()
    for at in range(12):
        shares = [nulls(int(rng.binomial(ROWS, 0.13 if name == "f3" else 0.1)), name) for name in names]
        window = (at * HOUR_US, (at + 1) * HOUR_US)
        findings, watched = judge_shares(Observed(tuple(shares), BASELINE), watched, window)
        others, turned = judge_shares(Observed(tuple(shares[::-1]), BASELINE), turned[::-1], window)
        assert sorted(findings, key=lambda one: one.subject) == sorted(others, key=lambda one: one.subject)
        assert set(watched) == set(turned)
    assert [finding.subject for finding in findings] == ["f3"]


def test_shares_that_a_window_does_not_have_are_forgotten() -> None:
    _, (_, watched) = judged([[clicks(90), nulls(220)], [clicks(90)]])
    assert [one.subject for one in watched] == ["stream"]


def test_a_thousand_features_are_remembered_in_less_than_a_tenth_of_a_megabyte() -> None:
    rng = np.random.default_rng(2)
    shares = [[nulls(int(rng.binomial(ROWS, 0.1)), f"a_feature_{at}") for at in range(1_000)] for _ in range(10)]
    shares[-1][0] = nulls(220, "a_feature_0")
    shares[-2][0] = nulls(260, "a_feature_0")
    *_, (_, watched) = judged(shares)
    assert len(watched) == MOST_WATCHED
    assert "a_feature_0" in {one.subject for one in watched}
    assert len(msgspec.json.encode(watched)) < 50_000


def test_evidence_on_other_alternatives_is_that_of_another_release() -> None:
    stale = Watched("click_rate_shift", "stream", np.full(4, 9.0, "<f4").tobytes())
    (findings, _), *_ = judged([[clicks(100)]], before=[stale])
    assert findings == []


def test_the_chance_of_a_false_alarm_is_as_asked_for() -> None:
    rng = np.random.default_rng(11)
    names = [f"r{at}" for at in range(200)]
    alarms = 0
    for _ in range(4):
        watched: tuple[Watched, ...] = ()
        fired: set[str] = set()
        for at in range(60):
            shares = tuple(
                msgspec.structs.replace(clicks(int(count)), subject=name, alpha=0.01)
                for name, count in zip(names, rng.binomial(ROWS, EXPECTED, 200), strict=True)
            )
            findings, watched = judge_shares(Observed(shares, {}), watched, (at * HOUR_US, (at + 1) * HOUR_US))
            fired |= {finding.subject for finding in findings}
        alarms += len(fired)
    expected = 800 * 60 * 0.01
    assert 0 < alarms < expected + 4 * math.sqrt(expected)

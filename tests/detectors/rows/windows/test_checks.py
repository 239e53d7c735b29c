import bisect
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from sparsewatch.detectors.conformal import FINE_BINS
from sparsewatch.detectors.rows.windows.checks import check_rows
from sparsewatch.detectors.rows.windows.summary import ModelScores, RowScores, WorstRow
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import read_settings

#: Share of p-values in each of the fine bins, under no change.
SHARES = np.diff([0, 0.001, 0.002, 0.005, 0.01, 0.02, *np.arange(1, 21) / 20])


def spread(rows: int, below: int = 0) -> tuple[int, ...]:
    """So many rows, as even as can be; `below` of them in the first bins up to 0.01."""
    tail = np.arange(FINE_BINS) < 4
    shares = np.where(tail, 0, SHARES) / SHARES[4:].sum()
    counts = np.floor(shares * (rows - below)).astype(int)
    counts[3] = below
    counts[-1] += rows - counts.sum()
    return tuple(counts.tolist())


def counts(rows: int, above: int, calibration_rows: int = 20_000, **changes: Any) -> ModelScores:
    given: dict[str, Any] = {
        "model": "rows/0001",
        "alarm_rate": 0.01,
        "columns": ("a", "b"),
        "calibration": spread(calibration_rows, calibration_rows // 100),
        "p_values": spread(rows, above),
        "above": above,
        "carried": (above - above // 4, above // 4),
    }
    return ModelScores(**(given | changes))


def summary(rows: int, above: int, calibration_rows: int = 20_000) -> RowScores:
    return RowScores(models=(counts(rows, above, calibration_rows),))


def fires(scores: RowScores, **check: Any) -> bool:
    return any(finding.rule == "rows_unlike_training" for finding in check_rows(scores, RowCheck(**check)))


def test_a_finding_names_columns_rows_and_models() -> None:
    worst = WorstRow(0.001, 9.0, 2, 77, 0, (("a", 3.0),), "rows/0001", {"wafer": "w7"})
    scores = msgspec.structs.replace(summary(4000, 600), worst=(worst,))
    (finding,) = check_rows(scores, RowCheck())
    assert (finding.rule, finding.subject) == ("rows_unlike_training", "a")
    assert finding.value == 0.15 >= finding.threshold >= 0.03
    assert finding.baseline == 0.01
    assert finding.evidence["carried_by"] == {"a": 0.75, "b": 0.25}
    assert finding.evidence["models"] == {"rows/0001": 4000}
    [row] = finding.evidence["worst"]
    assert (row["offset"], row["columns"], row["identity"]) == (77, {"a": 3.0}, {"wafer": "w7"})
    assert "a (75%)" in finding.message
    assert msgspec.json.encode(finding)


def test_rows_like_the_training_data_are_no_finding() -> None:
    assert check_rows(summary(4000, 40), RowCheck()) == []
    assert check_rows(RowScores(), RowCheck()) == []


@pytest.mark.parametrize("rows", [1, 30, 1000, 50_000, 5_000_000])
def test_it_fires_from_the_stated_threshold_on(rows: int) -> None:
    first = bisect.bisect_left(range(rows + 1), True, key=lambda above: fires(summary(rows, above)))
    assert not fires(summary(rows, first - 1))
    if first <= rows:
        (finding,) = check_rows(summary(rows, first), RowCheck())
        assert finding.value == finding.threshold == first / rows
        assert finding.value >= 0.03
        assert stats.binom.sf(first - 1, rows, 0.01) < 1e-6


def test_a_small_excess_is_no_alarm_however_many_rows() -> None:
    assert not fires(summary(10_000_000, 290_000))
    assert fires(summary(10_000_000, 290_000), least_ratio=2.0)


def test_a_few_calibration_rows_ask_for_more_evidence() -> None:
    """Two of 200 held-out rows are above the threshold: its true rate may well be 5 %."""
    assert fires(summary(10_000, 500))
    assert not fires(summary(10_000, 500, calibration_rows=199))
    assert fires(summary(10_000, 2_500, calibration_rows=199))


def test_false_alarms_stay_within_the_level() -> None:
    """The threshold's true rate and the counts are drawn anew each time; level 5 %."""
    rng = np.random.default_rng(0)
    draws = 500
    rates = rng.beta(2, 198, draws)
    above = rng.binomial(5000, rates)
    alarms = sum(fires(summary(5000, n, 199), level=0.05, least_ratio=1.0) for n in above.tolist())
    assert 0 < alarms / draws < 0.05


def test_two_models_are_compared_with_the_less_certain_threshold() -> None:
    one, other = counts(5000, 100), counts(5000, 400, 199, model="rows/0002")
    both = RowScores(models=(one, other))
    assert not fires(both), "the second threshold's true rate may be 5 %"
    assert fires(RowScores(models=(one, counts(5000, 400, model="rows/0002"))))
    assert fires(RowScores(models=(one, counts(5000, 4000, 199, model="rows/0002"))))


def test_false_alarms_of_two_models_stay_within_the_level() -> None:
    rng = np.random.default_rng(1)
    draws, alarms = 400, 0
    for _ in range(draws):
        above = [rng.binomial(2000, rng.beta(m // 100, m + 1 - m // 100)) for m in (199, 999)]
        pair = (counts(2000, above[0], 199), counts(2000, above[1], 999, model="rows/0002"))
        alarms += fires(RowScores(models=pair), level=0.05, least_ratio=1.0)
    assert alarms / draws < 0.05


def test_moved_scores_alone_are_a_finding_of_their_own() -> None:
    """Rows gather in the middle: none is odd, and yet their distribution is another."""
    moved = np.zeros(FINE_BINS, dtype=int)
    moved[12:16] = 500
    [finding] = check_rows(RowScores(models=(counts(2000, 0, p_values=tuple(moved.tolist())),)), RowCheck())
    assert (finding.rule, finding.severity) == ("row_scores_drift", "warning")
    assert finding.value > 0.3 >= finding.threshold == 0.1
    assert finding.evidence["chance"] < 1e-6
    assert finding.evidence["also"] == []
    assert "100.0% of 2000 rows have p-values up to 0.55 (55.0% expected)" in finding.message
    assert msgspec.json.encode(finding)


def test_of_two_findings_with_one_cause_the_stronger_explanation_is_reported() -> None:
    [finding] = check_rows(summary(4000, 2000), RowCheck())
    assert (finding.rule, finding.evidence["also"]) == ("rows_unlike_training", ["row_scores_drift"])


def test_a_certain_but_small_drift_is_no_finding() -> None:
    moved = np.array(spread(1_000_000, 10_000))
    moved[10:14] -= 10_000
    moved[20:24] += 10_000
    scores = RowScores(models=(counts(1_000_000, 10_000, p_values=tuple(moved.tolist())),))
    assert check_rows(scores, RowCheck()) == []
    assert [finding.rule for finding in check_rows(scores, RowCheck(least_drift=0.03))] == ["row_scores_drift"]


@pytest.mark.parametrize(
    "wrong",
    [{"level": 1.0}, {"level": 0.0}, {"least_ratio": 0.5}, {"drift_level": 1.0}, {"least_drift": 0.0}],
)
def test_thresholds_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RowCheck(**wrong)
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        read_settings(wrong, RowCheck)

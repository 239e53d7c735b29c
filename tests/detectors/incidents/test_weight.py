"""What lasts or reaches far is graver than its findings."""

import pytest

from sparsewatch.detectors.incidents.lifecycle import Changed, Seen, advance
from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.detectors.incidents.weight import effect, weight_of
from sparsewatch.schemas.alerts import Finding, Severity
from sparsewatch.schemas.incidents import Incidents, incident_record

MINUTE_US = 60_000_000


def found(
    subject: str, value: float, baseline: float = 0.0, rule: str = "feature_nulls", severity: Severity = "warning"
) -> Finding:
    return Finding(
        rule=rule, subject=subject, severity=severity, value=value, threshold=0.1, baseline=baseline, message="m"
    )


def windows(*of: list[Finding], critical_from: float = 12.0) -> list[list[Changed]]:
    """What each window changed."""
    state, told = Incidents(), []
    for minute, findings in enumerate(of):
        seen = Seen(minute * MINUTE_US, (minute + 1) * MINUTE_US, is_judged=True)
        advanced = advance(state, seen, findings, IncidentSettings(critical_from=critical_from))
        state = advanced.incidents
        told.append(advanced.changed)
    return told


@pytest.mark.parametrize(
    ("rule", "value", "baseline", "expected"),
    [
        ("feature_nulls", 0.5, 0.1, 0.4),
        ("feature_vanished", 0.0, 1.0, 1.0),
        ("click_rate_shift", 0.01, 0.04, 0.75),
        ("click_rate_shift", 0.04, 0.01, 0.75),
        ("volume_low", 0.0, 9_000.0, 1.0),
        ("feature_signal_lost", -0.1, 0.4, 1.0),
        ("no_data", 0.0, 0.0, 0.0),
    ],
)
def test_the_effect_is_a_part_from_nothing_to_all(rule: str, value: float, baseline: float, expected: float) -> None:
    assert effect(found("site", value, baseline, rule)) == pytest.approx(expected)


def test_a_window_weighs_the_largest_effect_on_each_subject() -> None:
    both = [found("site", 0.5), found("site", 0.25, rule="feature_unseen_values"), found("ad", 0.125)]
    assert weight_of(both) == 0.625


def test_half_of_a_feature_for_twenty_four_windows_is_critical_once() -> None:
    told = windows(*([found("site", 0.5)] for _ in range(30)))
    grave = [minute for minute, changed in enumerate(told) if any(one.change == "worse" for one in changed)]
    assert grave == [23]
    (worse,) = told[23]
    assert (worse.incident.severity, worse.incident.weight) == ("critical", 12.0)
    assert incident_record(worse.incident, "worse", "clicks", 0, 1).weight == 12.0


def test_eight_features_are_critical_sooner_and_a_fault_of_all_at_once() -> None:
    told = windows(*([found(f"f{i}", 0.25) for i in range(8)] for _ in range(6)))
    assert [one.change for one in told[5]] == ["worse"]
    ((opened,),) = windows([found(f"f{i}", 1.0) for i in range(12)])
    assert (opened.change, opened.incident.severity) == ("opened", "critical")


def test_information_stays_information_however_long_it_lasts() -> None:
    told = windows(*([found("site", 1.0, severity="info")] for _ in range(40)))
    assert {one.incident.severity for changed in told for one in changed} == {"info"}

"""Faults against windows of other lengths, and how long each took to be found."""

from sparsewatch.pipelines.demo.faults import Fault, first_delay_s, judge
from sparsewatch.schemas.alerts import Alert, Finding, raise_alert

FAULT = Fault(name="f", stream="clicks", rules=("feature_nulls",), subject="site", start_us=300, end_us=600)


def alert(start_us: int, end_us: int, rule: str = "feature_nulls") -> Alert:
    finding = Finding(
        rule=rule, subject="site", severity="warning", value=1.0, threshold=0.5, baseline=0.0, message="m"
    )
    return raise_alert(finding, "clicks", start_us, end_us)


def test_windows_longer_than_the_fault_are_explained_where_they_overlap() -> None:
    assert FAULT.explains(alert(0, 1000))
    assert FAULT.explains(alert(500, 1500))
    assert not FAULT.explains(alert(600, 1600))


def test_the_delay_of_a_fault_is_that_of_its_first_window_whatever_came_first() -> None:
    alerts = [(alert(400, 500), 1.0), (alert(300, 400), 3.0), (alert(300, 400, "volume_low"), 0.5)]
    assert first_delay_s(FAULT, alerts) == 3.0


def test_a_missed_fault_has_no_delay() -> None:
    assert first_delay_s(FAULT, [(alert(600, 700), 1.0)]) is None
    assert first_delay_s(FAULT, []) is None


def test_an_alert_that_follows_from_a_fault_is_no_other_alert_and_does_not_find_it() -> None:
    rising = Fault(
        name="rising",
        stream="clicks",
        rules=("pattern_rate_high",),
        subject="site",
        start_us=300,
        end_us=600,
        also=("emerging_pattern",),
    )
    follows, other = alert(300, 400, "emerging_pattern"), alert(700, 800, "emerging_pattern")
    verdict = judge([rising], [follows, other])
    assert verdict.consequences == (follows,)
    assert verdict.false_alarms == (other,)
    assert verdict.missed == (rising,)

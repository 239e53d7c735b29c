"""What incidents made of labelled stretches, on outcomes made by hand; and where the timeline draws them."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from sparsewatch.pipelines.backtest.labels import Label, LabelFound, read_labels, score
from sparsewatch.pipelines.backtest.outcome import Outcome, Span, WindowTold
from sparsewatch.pipelines.backtest.timeline import LEFT, WIDTH, timeline
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.incidents import Change, Incident, IncidentRecord, Member, incident_record
from sparsewatch.schemas.units import DAY_US, HOUR_US

_START_US = 20_454 * DAY_US


def hour(number: int) -> Span:
    return Span(_START_US + number * HOUR_US, _START_US + (number + 1) * HOUR_US)


def told(window: int, change: Change, number: int = 1, subject: str = "site") -> IncidentRecord:
    span = hour(window)
    member = Member("feature_nulls", subject, "warning", *span, 1.0, 0.5, 0.0, "half is gone")
    incident = Incident(number, (member,), *span, is_resolved=change == "resolved")
    return incident_record(incident, change, "clicks", *span)


def outcome_of(changes: Sequence[IncidentRecord], windows: int = 24, rows: Sequence[int] = ()) -> Outcome:
    volumes = rows or [100] * windows
    alerting = {change.window_start_us for change in changes}
    return Outcome(
        windows=[
            WindowTold(*hour(at), Account(counted=n), complete=True, alerts=hour(at)[0] in alerting, click_rate=None)
            for at, n in enumerate(volumes)
        ],
        incidents={change.id: change for change in changes},
        changes=list(changes),
    )


def labelled(first: int, last: int, subject: str = "") -> Label:
    return Label(Span(hour(first)[0], hour(last)[1]), subject)


def test_a_stretch_is_found_by_the_first_incident_that_begins_in_it_or_grows() -> None:
    opened = [told(5, "opened"), told(6, "lasts"), told(8, "resolved"), told(9, "grew")]
    scored = score(outcome_of(opened), [labelled(4, 6, "site"), labelled(8, 10), labelled(12, 13)])
    assert scored.labels == (
        LabelFound(labelled(4, 6, "site"), 1, ("clicks-1",), is_right=True),
        LabelFound(labelled(8, 10), 1, (), is_right=None),
        LabelFound(labelled(12, 13), None, (), is_right=None),
    )
    assert (len(scored.found), scored.incidents_per_fault, scored.false) == (2, 0.5, ())
    assert scored.clean_days == pytest.approx((24 - 8) / 24)


def test_what_begins_outside_is_false_each_time_that_it_begins() -> None:
    changes = [told(1, "opened"), told(2, "resolved"), told(3, "reopened"), told(5, "opened", 2, "ad")]
    scored = score(outcome_of(changes), [labelled(5, 5, "site")])
    assert scored.false == ("clicks-1", "clicks-1")
    assert scored.labels[0].is_right is False
    assert scored.record()["false_incidents_per_day"] == pytest.approx(2 / (23 / 24))


@pytest.mark.parametrize(
    "text",
    [
        "start,end,kind\n2026-01-01T05:00:00Z,2026-01-01T06:00:00+00:00,loss\n",
        '[{"start": "2026-01-01T05:00", "end": "2026-01-01T06:00", "kind": "loss"}]',
        '{"start": "2026-01-01T05:00", "end": "2026-01-01T06:00", "kind": "loss", "subject": null}\n',
    ],
)
def test_labels_are_read_from_any_of_the_forms(tmp_path: Path, text: str) -> None:
    file = tmp_path / "labels"
    file.write_text(text)
    assert read_labels(file) == [Label(hour(5), "", "loss")]


def test_all_is_drawn_inside_of_the_picture_and_bars_do_not_meet() -> None:
    changes = [told(at, "opened", number=at + 1, subject=f"a feature {at}") for at in range(0, 400, 7)]
    picture = timeline(outcome_of(changes, 400), [labelled(390, 500)])
    assert len(picture.bars) == len(changes)
    assert all(bar.x >= LEFT and bar.x + bar.width <= WIDTH for bar in picture.bars)
    assert all(LEFT <= shade.x <= shade.x + shade.width <= WIDTH for shade in picture.shades)
    assert max(bar.y for bar in picture.bars) < picture.height
    for lane in {bar.y for bar in picture.bars}:
        places = sorted((bar.x, bar.x + bar.width) for bar in picture.bars if bar.y == lane)
        assert all(one[1] <= other[0] for one, other in pairwise(places))


def test_many_windows_are_few_points() -> None:
    picture = timeline(outcome_of([], 5_000), [])
    assert picture.windows_a_point == 5
    assert picture.panels[0].line.count("L") == 999

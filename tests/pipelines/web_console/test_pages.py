"""What pages show, and that what came from outside does no harm in them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sparsewatch.pipelines.web_console.asked import Asked, NotThereError, Shown
from sparsewatch.pipelines.web_console.rendering import page
from sparsewatch.pipelines.web_console.views.accounts import accounts_page
from sparsewatch.pipelines.web_console.views.features import feature_page, features_page
from sparsewatch.pipelines.web_console.views.incident import incident_page
from sparsewatch.pipelines.web_console.views.models import models_page
from sparsewatch.pipelines.web_console.views.now import incidents_page, now_page, words_page
from sparsewatch.pipelines.web_console.views.redundancy import redundancy_page
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.pipelines.web_console.words import WORDS
from sparsewatch.schemas.incidents import IncidentRecord
from tests.pipelines.notify.incident_records import found, incident
from tests.pipelines.web_console.filled import MINUTE_US, START_US, TWINS, alert, fill, watched_clicks, window, windows

HOSTILE = "</title><script>alert('x')</script><img src=x onerror=\"y\">{{ 7 * 7 }}\x00\x1b\u202e" + "A" * 10_000
SLICE = {
    "kind": "slice",
    "where": "sdk = 3.2",
    "share_of_change": 0.9,
    "rows": 100,
    "rows_before": 90,
    "before": 0.01,
    "after": 0.975,
    "text": "92 % of it where sdk = 3.2",
}


def shown(view: Callable[[Asked], Shown], asked: Asked) -> str:
    return page(view(asked), asked, "token")


def asked_of(watched: Watched, query: dict[str, str] | None = None, **names: str) -> Asked:
    return Asked({watched.name: watched}, {"job": watched.name, **names}, query or {}, user="ada")


def with_incident(watched: Watched, evidence: dict[str, Any], **given: Any) -> Asked:
    fill(watched, "windows", windows(range(-20, 0)) | windows(range(3), features={"site": 0.5}, alerts=1))
    fill(watched, "incidents", {"clicks-1": incident(1, **given)})
    one = alert(0, "clicks-1", evidence)
    fill(watched, "alerts", {one.id: one})
    return asked_of(watched, incident="clicks-1")


def test_the_first_page_names_what_is_wrong_since_when_and_where(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        unread = shown(now_page, Asked({"clicks": watched}, user="ada"))
        for what in ("windows", "incidents", "alerts", "orders"):
            fill(watched, what, {})
        quiet = shown(now_page, Asked({"clicks": watched}, user="ada"))
        fill(watched, "incidents", {"clicks-1": incident(1), "clicks-2": incident(2, "resolved", "resolved")})
        text = shown(now_page, Asked({"clicks": watched}, user="ada"))
    assert "No incident is known: not all topics can be read" in unread
    assert "Nothing is wrong now" in quiet
    assert "1 incident now" in text
    assert "still firing" in text
    for said in ("feature_nulls", "site", "half of it is gone", "2027-01-15 08:00:00", "sdk = 3.2", "not tested"):
        assert said in text
    assert 'href="/jobs/clicks/incidents/clicks-1"' in text
    assert "clicks-2" not in text


def test_a_job_that_cannot_be_read_says_so_in_its_own_place_since_when_and_what_was_last_known(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with watched_clicks(tmp_path / "other", name="other") as fine, watched_clicks(tmp_path) as watched:
        jobs = {"other": fine, "clicks": watched}
        unread = part_of(watched, shown(now_page, Asked(jobs, user="ada")))
        for one in jobs.values():
            for what in ("windows", "incidents", "alerts", "orders"):
                fill(one, what, {})
        fill(watched, "windows", windows(range(3)))
        for followed in watched.followed:
            followed.taking.seen_s = START_US / 1e6
            followed.taking.lost()
        text = shown(now_page, Asked(jobs, user="ada"))
        listed = shown(incidents_page, asked_of(watched))
        fill(watched, "incidents", {"clicks-1": incident(1)})
        watched.followed[1].taking.lost()
        firing = shown(now_page, Asked(jobs, user="ada"))
    assert "nor at any time since this console was started" in unread
    assert "Nothing is known of it." in unread
    assert text.index("<bdi>clicks</bdi> <span") < text.index("<bdi>other</bdi> <span")
    mine = part_of(watched, text)
    assert "cannot be read</span>" in mine
    assert "no incident</span>" not in mine
    assert "no incident</span>" in part_of(fine, text)
    assert "cannot be read since 2027-01-15 08:00:00" in mine
    assert "of windows until 2027-01-15 08:03:00: no incident." in mine
    assert "None is known: not all topics can be read." in listed
    assert "1 incident known: not all topics can be read" in firing
    assert "of windows until 2027-01-15 08:03:00: 1 incident." in firing
    assert "fired when last known" in firing


def test_a_job_that_cannot_be_asked_is_no_all_clear(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        for what in ("windows", "incidents", "alerts"):
            fill(watched, what, {})
        without_orders = shown(now_page, Asked({"clicks": watched}, user="ada"))
        fill(watched, "orders", {})
        watched.standing.fault = "no broker answers"
        text = shown(now_page, Asked({"clicks": watched}, user="ada"))
    assert "Its incidents can be read." in without_orders
    assert "It cannot be known" not in without_orders
    assert "Nothing is wrong now" not in text


def part_of(watched: Watched, text: str) -> str:
    """The place of a job on the first page."""
    return text.partition(f"<bdi>{watched.name}</bdi> <span")[2].partition("</section>")[0]


def test_an_incident_shows_its_value_over_time_where_it_is_and_what_changed(tmp_path: Path) -> None:
    moved = [{"value": "a", "before": 0.5, "now": 0.25}, {"value": "b", "before": 0.1, "now": 0.1}]
    with watched_clicks(tmp_path) as watched:
        asked = with_incident(watched, {"slice": SLICE, "moved": moved, "sample_offsets": [[0, 7], [1, 9]]})
        text = shown(incident_page, asked)
    assert "share of rows without a value, over time" in text
    assert text.count('<circle class="dot"') == 1
    assert 'class="band"' in text
    assert "97.5 %" in text
    assert "50.0 %" in text
    assert "25.0 %" in text
    assert text.index(">a</bdi>") < text.index(">b</bdi>")
    assert "Show 2 records" in text
    assert "clicks-1/orders" in text


def test_windows_of_an_incident_are_counted_once_it_is_over(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        firing = shown(incident_page, with_incident(watched, {}))
        over = shown(incident_page, with_incident(watched, {}, state="resolved", change="resolved"))
    assert "2027-01-15 08:00:00, still firing" in firing
    assert "with a finding" not in firing
    assert "at least to" in firing
    assert "2027-01-15 08:00:00 until 2027-01-15 08:01:00, 3 windows with a finding" in over
    assert "at least to" not in over
    # It was told of in its first window; there are three by now.
    assert shaded(firing) == pytest.approx(3 * shaded(over), rel=0.05)


def shaded(text: str) -> float:
    """Width of the stretch of an incident in its chart."""
    (width,) = re.findall(r'class="shade"[^>]* width="([\d.]+)"', text)
    return float(width)


def test_an_incident_whose_rule_judges_no_figure_of_windows_shows_what_its_alerts_told(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        record = msgspec.structs.replace(incident(1), rule="a_rule_of_tomorrow")
        fill(watched, "incidents", {"clicks-1": record})
        bare = shown(incident_page, asked_of(watched, incident="clicks-1"))
        one = msgspec.structs.replace(alert(0, "clicks-1", {}), rule="a_rule_of_tomorrow")
        fill(watched, "alerts", {one.id: one})
        text = shown(incident_page, asked_of(watched, incident="clicks-1"))
    assert "over time" not in bare
    assert text.count('<circle class="dot"') == 1


def lost_signal(watched: Watched, *tests: str | None) -> str:
    """The page of an incident of a lost signal: a window by each test, the last of them told by the incident, too."""
    fill(watched, "windows", windows(range(-20, 0)) | windows(range(3), alerts=1))
    judged = {None: (0.01, 0.1, 0.2), "links": (-0.004, 0.001, 0.006)}
    value, threshold, baseline = judged[tests[-1] if tests else None]
    record = msgspec.structs.replace(
        incident(1), rule="feature_signal_lost", value=value, threshold=threshold, baseline=baseline
    )
    fill(watched, "incidents", {"clicks-1": record})
    ones = [
        msgspec.structs.replace(
            alert(minute, "clicks-1", {"test": test} if test else {}), rule="feature_signal_lost", value=judged[test][0]
        )
        for minute, test in enumerate(tests)
    ]
    fill(watched, "alerts", {one.id: one for one in ones})
    return shown(incident_page, asked_of(watched, incident="clicks-1"))


def test_evidence_of_links_is_not_drawn_over_the_share_of_what_there_is_to_tell(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        text = lost_signal(watched, None, "links", "links")
    assert "nats of evidence a row, over time" in text
    assert "<dd>-0.004; " in text
    assert text.count("nats of evidence a row") == 2
    assert 'class="band"' not in text
    assert 'class="threshold"' in text
    assert text.count('<circle class="dot"') == 2
    assert "the last is -0.004, the least -0.004, the most -0.004" in text


def test_a_lost_share_of_what_there_is_to_tell_is_drawn_with_its_own_levels(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        text = lost_signal(watched, "links", None)
    assert "as a share of all there is to tell, over time" in text
    assert 'class="band"' in text
    assert 'class="threshold"' in text
    assert text.count('<circle class="dot"') == 1


def test_levels_are_not_drawn_where_no_alert_tells_of_which_figure_they_are(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        text = lost_signal(watched)
    assert "as a share of all there is to tell, over time" in text
    assert 'class="threshold"' not in text
    assert 'class="expected"' not in text
    assert "Dashed" not in text


def test_an_incident_that_is_not_there_is_named(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched, pytest.raises(NotThereError, match="no incident 'clicks-9'"):
        incident_page(asked_of(watched, incident="clicks-9"))


def test_accounts_that_do_not_balance_have_no_buttons(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        books = msgspec.structs.replace(incident(1), findings=(found("books_unbalanced", "stream"),))
        fill(watched, "incidents", {"clicks-1": books})
        text = shown(incident_page, asked_of(watched, incident="clicks-1"))
    assert "/orders" not in text
    assert "can be neither silenced nor accepted" in text


def test_a_thousand_features_are_searched_and_paged(tmp_path: Path) -> None:
    features = {f"feature_{i:03}": i / 1_000 for i in range(1_000)}
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(2), features=features))
        first = shown(features_page, asked_of(watched))
        last = shown(features_page, asked_of(watched, {"page": "20"}))
        one = shown(features_page, asked_of(watched, {"q": "FEATURE_123"}))
        nulls = shown(features_page, asked_of(watched, {"by": "null_share"}))
    assert "1,000 features" in first
    assert "page 1 of 20" in first
    assert "feature_000" in first
    assert "feature_999" not in first
    assert "feature_999" in last
    assert "<p>1 feature." in one
    assert "feature_123" in one
    assert nulls.index("feature_999") < nulls.index("feature_998")


def test_features_are_sorted_by_what_they_cost(tmp_path: Path) -> None:
    costs = [
        {"feature": name, "bytes_a_row": size, "score_a_byte": 1 / size} for name, size in (("site", 2.5), ("ad", 40.0))
    ]
    features = {"site": 0.0, "ad": 0.0, "price": 0.0}
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(1), features=features))
        without = shown(features_page, asked_of(watched))
        fill(watched, "windows", {f"clicks/{START_US + MINUTE_US}": {**window(1, features=features), "costs": costs}})
        by_size = shown(features_page, asked_of(watched, {"by": "bytes_a_row"}))
        by_worth = shown(features_page, asked_of(watched, {"by": "score_a_byte"}))
        one = shown(feature_page, asked_of(watched, {"name": "ad"}))
    assert "bytes a row</a>" not in without
    assert "costs = true" in without
    assert "bytes a row</a>" in by_size
    assert by_size.index(">ad<") < by_size.index(">site<") < by_size.index(">price<")
    assert by_worth.index(">site<") < by_worth.index(">ad<")
    assert "<dd>40; " in one


def test_features_that_say_the_same_are_shown_as_a_map_and_as_groups(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        nothing = shown(redundancy_page, asked_of(watched))
        fill(watched, "windows", windows(range(1)))
        unasked = shown(redundancy_page, asked_of(watched))
        fill(watched, "windows", {f"clicks/{START_US + MINUTE_US}": {**window(1), "twins": TWINS}})
        text = shown(redundancy_page, asked_of(watched))
        site = shown(feature_page, asked_of(watched, {"name": "site"}))
        alone = {**TWINS, "groups": [], "map": {"features": ["site"], "percent": [[]]}}
        fill(watched, "windows", {f"clicks/{START_US + 2 * MINUTE_US}": {**window(2), "twins": alone}})
        one = shown(redundancy_page, asked_of(watched))
    assert "sample_rows" in nothing
    assert "sample_rows" in unasked
    assert "3 features; most alike are site and site_copy: 97 %" in text
    assert text.count('class="ground"') == 3
    assert text.count('fill-opacity="0.97"') == 1
    assert text.index(">site<") < text.index(">site_copy<")
    assert "says the same as" in site
    assert ">site_copy<" in site
    assert "None: no two of them" in one
    assert "<rect" not in one


def test_a_feature_is_shown_over_time_with_its_incidents(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(5)))
        fill(watched, "incidents", {"clicks-1": incident(1)})
        text = shown(feature_page, asked_of(watched, {"name": "site", "days": "1"}))
        with pytest.raises(NotThereError, match="no window of the last 7 days"):
            feature_page(asked_of(watched, {"name": "nobody"}))
    assert "Share of rows without a value" in text
    assert "clicks-1" in text
    assert "unseen" not in text.partition("<main")[2].partition("</main>")[0]


def hostile_incident() -> IncidentRecord:
    plain = msgspec.structs.replace(
        incident(1), subject=HOSTILE, message=HOSTILE, where=HOSTILE, rule=HOSTILE, runbook=HOSTILE
    )
    return msgspec.structs.replace(plain, findings=(found(HOSTILE, HOSTILE),))


def test_hostile_names_and_values_are_shown_harmlessly(tmp_path: Path) -> None:
    evidence = {
        "slice": {**SLICE, "text": HOSTILE, "where": HOSTILE},
        "moved": [{"value": HOSTILE, "before": 0.1, "now": 0.2}],
        "top_values": [{"value": HOSTILE, "rows": 3}],
        "carried_by": {HOSTILE: 0.5},
        "wafers": [{"id": HOSTILE, "wafer_id": HOSTILE, "lot": HOSTILE, "tool": HOSTILE, "p_value": 0.1}],
    }
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(3), features={HOSTILE: 0.1, "site": 0.0}))
        fill(watched, "incidents", {"clicks-1": hostile_incident()})
        one = msgspec.structs.replace(alert(0, "clicks-1", evidence, HOSTILE), rule=HOSTILE, message=HOSTILE)
        fill(watched, "alerts", {one.id: one})
        order = {"id": "1", "job": "clicks", "verb": "ack", "by": HOSTILE[:100], "at_us": 1, "why": HOSTILE[:300]}
        fill(watched, "orders", {"clicks/1": {**order, "from_us": 1, "incident": "clicks-1"}})
        watched.standing.fault = HOSTILE
        asked = asked_of(watched, {"name": HOSTILE, "q": HOSTILE}, incident="clicks-1")
        pages = [
            shown(view, asked)
            for view in (now_page, incidents_page, incident_page, features_page, feature_page, accounts_page)
        ]
    for text in pages:
        assert len(re.findall(r"<script", text)) == 1
        assert "<img" not in text
        assert 'onerror="' not in text
        assert not {"\x00", "\x1b", "\u202e"} & {*text}
        assert "{{ 7 * 7 }}" in text
        assert len(text) < 60_000


def test_what_a_page_links_to_as_a_word_is_explained(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        asked = with_incident(watched, {"slice": SLICE})
        texts = [shown(view, asked) for view in (now_page, incidents_page, incident_page, features_page, accounts_page)]
        words = shown(words_page, asked)
    linked = {key for text in texts for key in re.findall(r'href="/words#([\w-]+)"', text)}
    assert len(linked) > 8
    assert linked <= set(WORDS)
    assert all(f'id="{key}"' in words for key in linked)


def test_the_words_in_templates_are_explained() -> None:
    from sparsewatch.pipelines import web_console

    folder = Path(web_console.__file__).parent / "templates"
    asked = {key for file in folder.glob("*.html") for key in re.findall(r'word\("([\w-]+)"', file.read_text())}
    assert asked <= set(WORDS)


def test_no_template_asks_another_site_or_trusts_what_came_from_outside() -> None:
    from sparsewatch.pipelines import web_console

    for file in (Path(web_console.__file__).parent / "templates").iterdir():
        text = file.read_text()
        assert "://" not in text, file
        assert "| safe" not in text, file
        assert " style=" not in text, file
        assert "onclick" not in text, file


def test_a_job_that_compares_with_nothing_says_so(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        text = shown(models_page, asked_of(watched))
    assert "learned from the job" in text or "only its volume" in text

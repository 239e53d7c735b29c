"""What a console remembers: as it stands in the topics, within its bounds, and over a restart."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from sparsewatch.pipelines.web_console import history
from sparsewatch.pipelines.web_console.store import Bounds, Store
from sparsewatch.pipelines.web_console.taking import Taking, light
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import DAY_US, HOUR_US
from tests.pipelines.notify.incident_records import incident
from tests.pipelines.web_console.filled import MINUTE_US, START_US, alert, fill, watched_clicks, windows

_ALL = (0, 1 << 62, 10_000)


def times(store: Store) -> list[int]:
    return [record["window_start_us"] for record, _ in history.windows(store, *_ALL)]


def test_an_incident_is_remembered_as_it_stands_last(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "incidents", {"clicks-1": incident(1), "clicks-2": incident(2)})
        assert [one["id"] for one in history.firing(watched.store)] == ["clicks-1", "clicks-2"]
        [one] = [one for one in watched.followed if one.name == "clicks.incidents"]
        one.taking.take([(b"clicks-1", msgspec.json.encode(incident(1, "resolved", "resolved")))])
        assert [one["id"] for one in history.firing(watched.store)] == ["clicks-2"]


def test_a_topic_made_anew_replaces_what_stood_in_it_but_not_the_past(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "incidents", {"clicks-1": incident(1)})
        fill(watched, "windows", windows(range(3)))
        fill(watched, "incidents", {"clicks-7": incident(7)})
        fill(watched, "windows", windows(range(5, 6)))
        assert history.incidents(watched.store, 10).total == 1
        assert times(watched.store) == [START_US + minute * MINUTE_US for minute in (0, 1, 2, 5)]


def test_what_most_needs_a_person_comes_first() -> None:
    decided = {"by": "ada", "at_us": 0, "why": ""}
    known = [
        {"severity": "warning", "weight": 9.0, "started_us": 1, "id": "heavy"},
        {"severity": "critical", "weight": 1.0, "started_us": 2, "id": "critical"},
        {"severity": "warning", "weight": 1.0, "started_us": 0, "id": "old"},
        {"severity": "critical", "weight": 9.0, "started_us": 0, "id": "taken on", "acked": decided},
    ]
    assert [one["id"] for one in sorted(known, key=history.urgency)] == ["critical", "heavy", "old", "taken on"]


def test_windows_beyond_the_bounds_are_forgotten(tmp_path: Path) -> None:
    with watched_clicks(tmp_path, Bounds(keep_us=10 * MINUTE_US, most=5)) as watched:
        fill(watched, "windows", windows(range(8)))
        assert len(times(watched.store)) == 5
        fill(watched, "windows", windows(range(30, 31)))
        assert times(watched.store) == [START_US + 30 * MINUTE_US]


def test_of_old_windows_one_an_hour_has_figures_of_features(tmp_path: Path) -> None:
    hour = -(-START_US // HOUR_US) * HOUR_US
    ago = (hour - START_US) // MINUTE_US
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(ago - 30, ago + 100)))
        fill(watched, "windows", windows(range(ago + 10 * DAY_US // MINUTE_US, ago + 10 * DAY_US // MINUTE_US + 1)))
        kept = history.figures(watched.store, "site", "null_share", *_ALL).starts_us.tolist()
    assert kept == [hour, hour + HOUR_US, hour + 10 * DAY_US]


def test_figures_and_windows_are_there_again_after_a_restart_and_not_twice(tmp_path: Path) -> None:
    for _ in range(2):
        with watched_clicks(tmp_path) as watched:
            fill(watched, "windows", windows(range(4), features={"site": 0.25, "ad": 0.0}))
            series = history.figures(watched.store, "site", "null_share", *_ALL)
            assert (len(series), series.values.tolist()) == (4, [0.25] * 4)


def test_records_that_cannot_be_read_are_counted_and_cost_no_other(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        [one] = [one for one in watched.followed if one.name == "clicks.incidents"]
        good = msgspec.json.encode(incident(1))
        odd = [b"no json", b"{}", b"[1]", b'{"id": 1e400}', good.replace(b"1800000000000000", b"9" * 40), b"\xff"]
        one.taking.begin([(b"k", value) for value in (*odd, good)])
        assert one.taking.bad == len(odd)
        assert history.incidents(watched.store, 10).total == 1


def test_records_of_another_job_in_the_same_topic_are_passed_over(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "incidents", {"other-1": incident(1, job="other")})
        assert history.incidents(watched.store, 10).total == 0


def test_the_first_alert_of_the_root_suspect_is_found(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        alerts = [alert(2, "clicks-1", {"n": 2}), alert(1, "clicks-1", {"n": 1}), alert(0, "clicks-2", {})]
        fill(watched, "alerts", {one.id: one for one in alerts})
        found = history.first_alert(watched.store, "clicks-1", "feature_nulls", "site")
    assert found is not None
    assert found["evidence"] == {"n": 1}


def test_a_window_is_remembered_without_its_ranking() -> None:
    features = {f"feature {i}": {"null_share": 0.0} for i in range(200)}
    record = {
        "rows": 3,
        "ranking": [{"feature": name} for name in features],
        "profile": {"rows": 3, "features": features},
    }
    assert light(record) == {"rows": 3, "profile": {"rows": 3}}


def test_a_file_that_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(ConfigError, match=r"store\.sqlite cannot be used: .*delete it"):
        Store(path)


def test_a_store_of_another_version_is_filled_anew(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = Store(path)
    with store.writing() as connection:
        connection.execute("INSERT INTO patterns VALUES ('pattern/P1', '{}')")
    store._writing.execute("PRAGMA user_version = 77")
    store.close()
    store = Store(path)
    assert history.pattern_records(store) == []
    store.close()


def test_two_consoles_with_one_store_do_each_other_no_harm(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as one, watched_clicks(tmp_path) as other, ThreadPoolExecutor(2) as pool:

        def filled(watched: Watched) -> int:
            for minute in range(20):
                fill(watched, "windows", windows(range(minute, minute + 3)))
                fill(watched, "incidents", {f"clicks-{i}": incident(i) for i in range(1, 4)})
            return sum(followed.taking.bad for followed in watched.followed)

        assert list(pool.map(filled, (one, other))) == [0, 0]
        assert one.store.path == other.store.path
        for watched in (one, other):
            assert times(watched.store) == [START_US + minute * MINUTE_US for minute in range(22)]
            assert len(history.firing(watched.store)) == 3


def test_a_transaction_holds_few_large_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    put_all = Taking._put_all

    def counted(taking: Taking, connection: sqlite3.Connection, found: list[tuple[bytes, bytes | None]]) -> None:
        held.append(len(found))
        put_all(taking, connection, found)

    monkeypatch.setattr(Taking, "_put_all", counted)
    features = {f"feature {number}": 0.0 for number in range(1_000)}
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(40), features=features))
        fill(watched, "windows", windows(range(40, 60)))
        assert len(history.newest_window(watched.store) or {}) > 0
    assert max(held[:-1]) < 40
    assert sum(held[:-1]) == 40
    assert held[-1] == 20

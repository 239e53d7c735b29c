"""Addresses, headers, sessions and forms of a console, by HTTP."""

import os
import threading
from pathlib import Path

import pytest
import urllib3

from sparsewatch.pipelines.console.stopping import join_until
from sparsewatch.pipelines.notify.alert import Leads, console_url
from sparsewatch.pipelines.web_console.access import SESSION_S, Guard, read_users
from sparsewatch.pipelines.web_console.server import Server
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.secrets import Secret
from tests.kit.certificates import make_certificates
from tests.pipelines.notify.incident_records import incident
from tests.pipelines.web_console.browsing import browsing
from tests.pipelines.web_console.filled import fill, watched_clicks, windows

ORDERS = "/jobs/clicks/incidents/clicks-1/orders"
PASSWORD = "a long enough one"


def test_every_page_answers_and_says_where_its_parts_may_come_from(tmp_path: Path) -> None:
    paths = ["/", "/words", *(f"/jobs/clicks/{page}" for page in ("incidents", "features", "accounts", "models"))]
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(3)))
        fill(watched, "incidents", {"clicks-1": incident(1)})
        with browsing(watched) as browser:
            told = console_url({"job": "clicks", "id": "clicks-1"}, Leads(console="https://console.example.org"))
            for path in (*paths, told.removeprefix("https://console.example.org"), "/jobs/clicks/feature?name=site"):
                answer = browser.get(path)
                assert answer.status == 200, path
                assert "default-src 'none'" in answer.headers["content-security-policy"]
                assert answer.headers["cache-control"] == "no-store"
            assert browser.get("/static/console.css").headers["content-type"].startswith("text/css")
            assert browser.get("/static/console.js").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/jobs/clicks/incidents/clicks-2",
        "/jobs/other/incidents",
        "/jobs/clicks/feature?name=%00%f0",
        "/static/..%2fpage.html",
        "/jobs/clicks/result?id=x",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(tmp_path: Path, path: str) -> None:
    with watched_clicks(tmp_path) as watched, browsing(watched) as browser:
        answer = browser.get(path)
    assert answer.status == 404
    assert b"Traceback" not in answer.data


def test_it_is_ready_once_its_topics_were_read(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched, browsing(watched) as browser:
        assert browser.get("/-/healthy").status == 200
        assert browser.get("/-/ready").status == 503
        for one in watched.followed:
            one.follower.has_read = True
        assert browser.get("/-/ready").status == 200


def test_another_name_than_this_machines_is_not_answered_to(tmp_path: Path) -> None:
    """A page of another site may make its own name lead here."""
    with watched_clicks(tmp_path) as watched, browsing(watched) as browser:
        assert browser.get("/", host="evil.example").status == 421
        assert browser.get("/", host="[").status == 421
        assert browser.get("/", host="localhost:80").status == 200


def test_a_form_of_another_page_orders_nothing(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "incidents", {"clicks-1": incident(1)})
        with browsing(watched) as browser:
            token = browser.token("/jobs/clicks/incidents/clicks-1")
            assert browser.post(ORDERS, {"verb": "ack"}).status == 403
            assert browser.post(ORDERS, {"verb": "ack", "token": "0" * 64}).status == 403
            assert browser.post(ORDERS, {"verb": "ack", "token": token}, origin="http://evil.example").status == 403
            assert browser.post(ORDERS, {"verb": "ack", "token": token, "why": "x" * 100_000}).status == 403
            browser.cookies.clear()
            assert browser.post(ORDERS, {"verb": "ack", "token": token}).status == 403


def test_what_cannot_be_ordered_is_said(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "incidents", {"clicks-1": incident(1)})
        with browsing(watched) as browser:
            token = browser.token("/jobs/clicks/incidents/clicks-1")
            odd = browser.post(ORDERS, {"verb": "<b>", "token": token})
            long = browser.post(ORDERS, {"verb": "ack", "token": token, "why": "x" * 301})
    assert (odd.status, long.status) == (409, 409)
    assert b"expected one of ack, unmute, close, accept, mute, got &#39;&lt;b&gt;&#39;" in odd.data
    assert b"301 characters" in long.data


def test_with_users_nothing_is_shown_before_a_login_and_nothing_after_a_logout(tmp_path: Path) -> None:
    guard = Guard({"ada": Secret(PASSWORD)}, "owner")
    with watched_clicks(tmp_path) as watched, browsing(watched, guard=guard) as browser:
        asked = browser.get("/jobs/clicks/incidents?page=2")
        assert (asked.status, asked.headers["location"]) == (303, "/login?next=/jobs/clicks/incidents%3Fpage%3D2")
        assert b"clicks" not in browser.get("/login").data
        token = browser.token("/login")
        assert browser.post("/login", {"name": "ada", "password": "wrong", "token": token}).status == 403
        done = browser.post("/login", {"name": "ada", "password": PASSWORD, "token": token, "next": "//evil.example"})
        assert (done.status, done.headers["location"]) == (303, "/")
        assert "HttpOnly" in done.headers["set-cookie"]
        assert "strict" in done.headers["set-cookie"].lower()
        shown = browser.get("/")
        assert shown.status == 200
        assert b"ada" in shown.data
        session = dict(browser.cookies)
        browser.post("/logout", {"token": browser.token("/")})
        browser.cookies = session
        assert browser.get("/").status == 303


def test_passwords_cannot_be_guessed_one_after_the_other() -> None:
    now = [0.0]
    guard = Guard({"ada": Secret(PASSWORD)}, "owner", lambda: now[0])
    assert [guard.login("ada", "wrong") for _ in range(10)] == [None] * 10
    assert guard.login("ada", PASSWORD) is None
    now[0] = 61.0
    session = guard.login("ada", PASSWORD)
    assert session is not None
    assert guard.user(session) == "ada"
    now[0] += SESSION_S
    assert guard.user(session) is None


@pytest.mark.parametrize("text", ["", "ada", "ada:short", ":a long enough one", "x" * 101 + ":a long enough one"])
def test_a_file_of_users_that_is_wrong_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as refused:
        read_users(path)
    assert "short" not in str(refused.value)
    assert "enough one" not in str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="files have no mode here")
def test_a_file_of_users_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# who\nada:{PASSWORD}\n")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_users(path)
    path.chmod(0o600)
    assert {name: password.reveal() for name, password in read_users(path).items()} == {"ada": PASSWORD}


def test_certificate_and_key_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    whole, other = made.broker.read_text(), made.expired.read_text()
    texts = {
        "cert": whole[whole.index("-----BEGIN CERT") :],
        "key": whole[: whole.index("-----BEGIN CERT")],
        "other": other[: other.index("-----BEGIN CERT")],
        "closed": "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    def refused(certificate: str, key: str) -> str:
        with pytest.raises(ConfigError) as error:
            Server(None, "127.0.0.1", 0, (tmp_path / certificate, tmp_path / key))
        return str(error.value)

    assert refused("key", "cert").endswith("the first holds no certificate (PEM); are the two swapped?")
    assert refused("key", "key").endswith("the first holds no certificate (PEM)")
    assert refused("cert", "cert").endswith("the second holds no key (PEM)")
    assert refused("cert", "closed").endswith("the key has a password, expected one without")
    assert "the key is of another certificate, or one of the two is damaged" in refused("cert", "other")
    assert refused("cert", "absent").endswith("No such file or directory")


def test_all_threads_are_waited_for_until_one_moment() -> None:
    now_s, waits = [100.0], []

    class Stuck(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            assert timeout is not None
            waits.append(timeout)
            now_s[0] += timeout

    join_until([Stuck() for _ in range(6)], 101.0, lambda: now_s[0])
    assert (waits, now_s) == ([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [101.0])


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched, browsing(watched) as browser:
        port = urllib3.util.parse_url(browser.url).port
        assert port is not None
        with pytest.raises(ConfigError, match=rf"--port {port} on 127\.0\.0\.1: Address already in use; --port 0"):
            Server(None, "127.0.0.1", port)

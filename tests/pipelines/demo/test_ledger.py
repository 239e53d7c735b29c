"""Numbers told three times, read from the text an exporter serves."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from sparsewatch.pipelines.demo.ledger import Ledger, exported_account, scraped_account
from sparsewatch.schemas.accounts import Account

METRICS = """# HELP sparsewatch_records_total Records read, by outcome.
# TYPE sparsewatch_records_total counter
sparsewatch_records_total{job="clicks",outcome="counted"} 1200.0
sparsewatch_records_total{job="clicks",outcome="late"} 3.0
sparsewatch_records_total{job="clicks",outcome="rejected"} 2.0
sparsewatch_records_total{job="wafers",outcome="counted"} 7.0
# HELP sparsewatch_window_rows Rows of the last closed window.
# TYPE sparsewatch_window_rows gauge
sparsewatch_window_rows{job="clicks"} 99.0
"""
CLICKS = Account(counted=1200, late=3, rejected=2)


@pytest.fixture
def url() -> Iterator[str]:
    """Serves `METRICS` from the third request on, nothing before."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(METRICS.encode() if len(asked) > 2 else b"")

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_each_job_has_its_own_numbers() -> None:
    assert exported_account(METRICS, "clicks") == CLICKS
    assert exported_account(METRICS, "wafers") == Account(counted=7)
    assert exported_account(METRICS, "other") == Account()


def test_an_exporter_is_given_time_to_catch_up(url: str) -> None:
    assert scraped_account(url, "clicks", CLICKS) == CLICKS


def test_one_number_that_differs_is_no_balance() -> None:
    assert Ledger(CLICKS, CLICKS, CLICKS).balanced
    for other in (Account(counted=1200, late=2, rejected=3), Account(counted=1205)):
        assert not Ledger(other, CLICKS, CLICKS).balanced
        assert not Ledger(CLICKS, other, CLICKS).balanced
        assert not Ledger(CLICKS, CLICKS, other).balanced

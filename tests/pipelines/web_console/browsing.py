"""A console served from this process, and a browser without a picture."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode

import urllib3

from sparsewatch.pipelines.web_console.access import Guard
from sparsewatch.pipelines.web_console.app import Console, application
from sparsewatch.pipelines.web_console.server import Server
from sparsewatch.pipelines.web_console.watched import Watched


class Browser:
    """Asks one console for pages, with the cookies that it sets; follows nothing by itself.

    Args:
        url: Of the console.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.cookies: dict[str, str] = {}
        self._http = urllib3.PoolManager(retries=False)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self._asked("GET", path, None, headers)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> urllib3.BaseHTTPResponse:
        return self._asked("POST", path, urlencode(form).encode(), headers)

    def token(self, path: str) -> str:
        """What the forms of a page carry."""
        found = re.search(r'name="token" value="(\w+)"', self.get(path).data.decode())
        assert found is not None
        return found[1]

    def close(self) -> None:
        self._http.clear()

    def _asked(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        sent = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **headers}
        answer = self._http.request(method, self.url + path, body=body, headers=sent, redirect=False)
        for cookie in answer.headers.getlist("set-cookie"):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer


@contextmanager
def browsing(*jobs: Watched, guard: Guard | None = None) -> Iterator[Browser]:
    """A browser of a console that shows these jobs."""
    console = Console({job.name: job for job in jobs}, guard or Guard({}, "ada"))
    with Server(application(console), "127.0.0.1", 0) as server:
        browser = Browser(server.url)
        try:
            yield browser
        finally:
            browser.close()

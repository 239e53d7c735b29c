"""The pages that an exporter serves: its metrics, whether it runs, whether it has read its topic."""

import socket
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from sparsewatch.schemas.errors import ConfigError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

#: As Prometheus and its relatives name them.
HEALTHY, READY = "/-/healthy", "/-/ready"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerOnIPv6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log no request."""


class Pages:
    """Serves from a thread until it is closed.

    Args:
        host: Address to listen on.
        port: Port to listen on, a free one if 0.
        registry: What `/metrics` states.
        is_ready: Whether that is all there is.

    Raises:
        ConfigError: If the port cannot be bound.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> None:
        self._metrics, self._is_ready = make_wsgi_app(registry), is_ready
        server = _ServerOnIPv6 if ":" in host else _Server
        try:
            self._server = make_server(host, port, self._page, server, handler_class=_Silent)
        except OSError as error:
            raise ConfigError(f"--port {port} on {host}: {error.strerror}") from error
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="exporter-pages", daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def _page(self, asked: "WSGIEnvironment", begin: "StartResponse") -> Iterable[bytes]:
        path = asked["PATH_INFO"]
        if path == HEALTHY:
            return _said(begin, HTTPStatus.OK, "it runs\n")
        if path == READY:
            ready = self._is_ready()
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            return _said(begin, status, "the topic is read\n" if ready else "the topic was not read yet\n")
        metrics: Iterable[bytes] = self._metrics(asked, begin)
        return metrics


def _said(begin: "StartResponse", status: HTTPStatus, text: str) -> list[bytes]:
    begin(f"{status.value} {status.phrase}", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]

"""Serves an application from a thread until it is closed."""

import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from sparsewatch.schemas.errors import ConfigError

_JOIN_S = 5.0
_GRACE_S = 2
_LARGEST_BACKLOG = 128
#: What begins and ends the parts of a PEM file.
_CERTIFICATE, _KEY = b"CERTIFICATE-----", b"PRIVATE KEY-----"


class Server:
    """A web server; a context manager.

    Args:
        app: An ASGI application.
        host: Address to listen on.
        port: Port to listen on, a free one if 0.
        certificate: File of its certificate and file of the key, for TLS.

    Raises:
        ConfigError: If the address cannot be bound, or certificate and key do not fit.
    """

    def __init__(self, app: Any, host: str, port: int, certificate: tuple[Path, Path] | None = None) -> None:
        if certificate is not None:
            _check(*certificate)
        self._socket = _bound(host, port)
        self.port = int(self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http{'s' if certificate else ''}://{shown}:{self.port}/"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=None if certificate is None else str(certificate[0]),
            ssl_keyfile=None if certificate is None else str(certificate[1]),
        )
        self._server = uvicorn.Server(config)
        # Signals stay with the main thread.
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="console-pages", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=_JOIN_S)
        self._socket.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_LARGEST_BACKLOG)
    except OSError as error:
        bound.close()
        other = "; --port 0 takes a free one" if isinstance(error.errno, int) and port else ""
        raise ConfigError(f"--port {port} on {host}: {error.strerror}{other}") from error
    return bound


def _check(certificate: Path, key: Path) -> None:
    try:
        found = certificate.read_bytes(), key.read_bytes()
        if fault := _fault(*found):
            raise ConfigError(f"--certificate {certificate}, --key {key}: {fault}")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        does_not_fit = "the key is of another certificate, or one of the two is damaged"
        raise ConfigError(f"--certificate {certificate}, --key {key}: {does_not_fit} ({error.reason})") from error
    except OSError as error:
        raise ConfigError(f"--certificate {certificate}, --key {key}: {error.strerror or error}") from error


def _fault(certificate: bytes, key: bytes) -> str:
    """What is wrong with the contents of two files, as far as their first lines tell; empty if nothing is."""
    if _CERTIFICATE not in certificate:
        swapped = "; are the two swapped?" if _CERTIFICATE in key and _KEY in certificate else ""
        return f"the first holds no certificate (PEM){swapped}"
    if _KEY not in key:
        return "the second holds no key (PEM)"
    return "the key has a password, expected one without" if b"ENCRYPTED" in key else ""

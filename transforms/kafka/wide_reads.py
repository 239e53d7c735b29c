"""More bytes at once from a socket of kafka-python, which asks for 4 KiB at a time."""

from functools import partial
from typing import Any

#: Reading is faster than with 4 KiB, and no faster with more.
_BYTES = 1 << 16


def read_widely(transport: Any) -> None:
    """Have a transport of kafka-python read more at once, if it reads as the ones we know."""
    if hasattr(transport, "_sock_recv") and hasattr(transport, "_sock"):
        transport._sock_recv = partial(type(transport)._sock_recv, _Widely(transport))


class _Widely:
    """A transport to the code that reads it, but for its socket, which gives more than was asked for."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def __str__(self) -> str:
        return str(self._transport)

    @property
    def _sock(self) -> "_WideSocket":
        return _WideSocket(self._transport._sock)


class _WideSocket:
    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def recv(self, size: int) -> bytes:
        found: bytes = self._socket.recv(max(size, _BYTES))
        return found

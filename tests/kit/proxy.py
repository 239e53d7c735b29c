"""A way to a broker that can be cut and mended in no time: to its clients the broker is away."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

from sparsewatch.testing.child_process import free_port


class Proxy:
    """Passes bytes on between its own port and another; a context manager.

    Args:
        to: The port on this machine to pass on to.
        port: Its own port, a free one if absent.
    """

    def __init__(self, to: int, port: int | None = None) -> None:
        self.port = port or free_port()
        self._to = to
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def mend(self) -> Self:
        """Listen and pass on from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def cut(self) -> None:
        """Close all connections and listen no more."""
        if self._listener is not None:
            # A thread that waits in accept holds the port until it is woken.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            cut, self._open = self._open, set()
        for connection in cut:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._to))
                with self._lock:
                    self._open |= {client, broker}
                for a, b in ((client, broker), (broker, client)):
                    threading.Thread(target=self._pass_on, args=(a, b), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for connection in (source, sink):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            with self._lock:
                self._open.discard(connection)

    def __enter__(self) -> Self:
        return self.mend()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

"""A transport of kafka-python reads all that has arrived, in larger pieces than by itself, and says how that ended."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.net.transport import KafkaTCPTransport

from sparsewatch.transforms.kafka.wide_reads import read_widely


class Counted:
    """A socket that remembers how much was asked of it."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.asked: list[int] = []

    def recv(self, size: int) -> bytes:
        self.asked.append(size)
        return self._real.recv(size)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def _transport(sock: Any) -> KafkaTCPTransport:
    transport = KafkaTCPTransport(None, sock, host="broker")
    read_widely(transport)
    return transport


def test_all_that_has_arrived_is_read_in_large_pieces(pair: tuple[socket.socket, socket.socket]) -> None:
    sent = bytes(range(256)) * 400
    pair[1].sendall(sent)
    counted = Counted(pair[0])
    transport = _transport(counted)
    assert transport._sock_recv() == (sent, None)
    assert set(counted.asked) == {1 << 16}
    assert len(counted.asked) < len(sent) // 4096
    # Nothing is there now; what arrives later is read later.
    assert transport._sock_recv() == (b"", None)
    pair[1].sendall(b"later")
    assert transport._sock_recv() == (b"later", None)


def test_a_socket_that_was_closed_is_an_error_behind_what_had_arrived(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    pair[1].sendall(b"last words")
    pair[1].close()
    found, error = _transport(pair[0])._sock_recv()
    assert found == b"last words"
    assert "disconnected" in str(error)


def test_a_transport_that_reads_otherwise_is_left_as_it_is() -> None:
    other = object()
    read_widely(other)

"""Opens the clients of kafka-python: soon back after an outage, and with the reason where the broker refuses them.

kafka-python logs why a connection fails and raises that it cannot bootstrap; and what a constructor has begun (a
thread, sockets) goes on when it raises. Here its connection manager remembers why, and what was begun is closed.
"""

import logging
import os
import re
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from kafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.connection import KafkaConnection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from sparsewatch.schemas.errors import AccessError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings, read_password
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.transforms.kafka.faults import check_ca_file, fault_of, refused_password
from sparsewatch.transforms.kafka.presence import Presence, broker_at
from sparsewatch.transforms.kafka.wide_reads import read_widely

#: Longest wait between two tries to connect; with kafka-python's own, half a minute, a job goes on that much later.
_RECONNECT_MS = 500
#: Time of the first try to open a client, doubled with each.
_FIRST_TRY_S = 1.0
_SHORTEST_TRY_S = 0.1
#: Least time between two questions about the cluster, and for how long from the making of a client: the first ones, for
#: the brokers and for a topic, follow each other, and kafka-python's own 100 ms would pass before each client works.
_FIRST_BACKOFF_MS = 5
_FIRST_S = 1.0
#: What a broker answers to a password it will not take the next time either.
_REFUSALS = (IllegalSaslStateError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError)
#: Loggers that write requests out at debug level, that with the password included.
_WIRE = ("kafka.net.connection", "kafka.protocol.parser")


C = TypeVar("C")


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments every kafka-python client takes from our settings.

    Raises:
        ConfigError: If the password or the certificates cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "security_protocol": settings.security_protocol,
        "client_id": "sparsewatch",
        "bootstrap_timeout_ms": parse_duration_us(settings.timeout) // 1000,
        "reconnect_backoff_max_ms": _RECONNECT_MS,
    }
    if settings.ca_file:
        check_ca_file(settings)
        options["ssl_cafile"] = settings.ca_file
    if settings.sasl_mechanism:
        _keep_requests_out_of_logs()
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = read_password(settings)
    return options


def opened(kind: Callable[..., C], settings: KafkaSettings, **more: Any) -> C:
    """A client of kafka-python that knows its cluster.

    Args:
        kind: Its class.
        settings: Of the broker.
        more: Further keyword arguments.

    Raises:
        AccessError: If the broker refuses us: password, certificate, protocol.
        SourceError: If no broker answers in time.
        ConfigError: If the password or the certificates cannot be read.
    """
    options = {**connection(settings), **more}
    end = time.monotonic() + options["bootstrap_timeout_ms"] / 1000
    try_s = _FIRST_TRY_S
    while True:
        options["bootstrap_timeout_ms"] = round(1000 * max(_SHORTEST_TRY_S, min(try_s, end - time.monotonic())))
        network = _Network()
        try:
            client = kind(**options, kafka_client=network.client)
        except (KafkaError, OSError) as error:
            network.close()
            reason = network.failure or error
            if (fault := _fault(settings, reason)) is not None:
                raise fault from error
            if time.monotonic() >= end:
                where = ", ".join(settings.bootstrap_servers)
                raise SourceError(f"no broker answers at {where}: {_in_words(reason)}") from error
            broker_at(settings.bootstrap_servers[0]).away(_in_words(reason))
            try_s *= 2
        else:
            network.is_known = True
            return client


def _fault(settings: KafkaSettings, reason: BaseException) -> AccessError | None:
    return refused_password(settings) if isinstance(reason, SaslAuthenticationFailedError) else fault_of(settings)


class _Network:
    """What one client connects with; closed where the client cannot be made."""

    def __init__(self) -> None:
        self._selector: NetworkSelector | None = None
        self._manager: _Manager | None = None
        #: Whether the broker has let the client in: where a connection fails from then on, the broker is away.
        self.is_known = False

    def client(self, **configs: Any) -> KafkaNetClient:
        """As kafka-python makes it, with a manager of ours."""
        self._selector = _Selector(**configs)
        self._manager = _Manager(self, self._selector, configs)
        return KafkaNetClient(self._selector, self._manager, **configs)

    @property
    def failure(self) -> BaseException | None:
        """Why the last try to connect failed."""
        return None if self._manager is None else self._manager.failure

    def close(self) -> None:
        """End its thread and close its sockets."""
        if self._manager is not None and self._selector is not None:
            self._manager.close()
            self._selector.stop()
            self._selector.close()


class _Selector(NetworkSelector):
    """The loop of one client: a poll that waits in vain leaves nothing behind."""

    def run(self, coro: Any, *args: Any) -> Any:
        try:
            return super().run(coro, *args)
        except KafkaTimeoutError as error:
            # What was waited for holds it, and it the frames that waited, in a circle; these hold records of earlier
            # fetches and, by their callers, the batches at work: hundreds of MB until a garbage collection.
            raise error.with_traceback(None)  # noqa: B904  it is the same


class _Manager(KafkaConnectionManager):
    """Connections of one client: remembers why the last one failed, and says when a broker is away or back."""

    def __init__(self, network: _Network, selector: NetworkSelector, configs: dict[str, Any]) -> None:
        super().__init__(selector, **configs)
        self._network = network
        self.failure: BaseException | None = None
        usual_ms = self.cluster.config["retry_backoff_ms"]
        self.cluster.config["retry_backoff_ms"] = _FIRST_BACKOFF_MS
        selector.call_later(_FIRST_S, lambda: self.cluster.config.update(retry_backoff_ms=usual_ms))

    def get_connection(self, node_id: Any, *args: Any, **kwargs: Any) -> KafkaConnection:
        found = super().get_connection(node_id, *args, **kwargs)
        if not found.init_future.is_done:
            node = self.cluster.broker_metadata(node_id)
            broker = broker_at(f"{node.host}:{node.port}")
            found.init_future.add_callback(lambda _: broker.answers())
            found.init_future.add_errback(lambda failure: self._failed(failure, broker))
        return found

    async def _build_transport(self, *args: Any, **kwargs: Any) -> Any:
        transport = await super()._build_transport(*args, **kwargs)
        read_widely(transport)
        return transport

    def maybe_raise_auth_failure(self, node_id: Any) -> None:
        # A password that was accepted once may be accepted again: while a job runs, it waits.
        if isinstance(self.failure, _REFUSALS) and not self._network.is_known:
            raise self.failure
        super().maybe_raise_auth_failure(node_id)

    def _failed(self, failure: BaseException, broker: Presence) -> None:
        self.failure = failure
        _let_go(failure)
        if self._network.is_known and not self.closed:
            broker.away(_in_words(failure))


def _in_words(failure: BaseException) -> str:
    """A failure without the client's own words around it, such as "KafkaConnectionError: 111 ECONNREFUSED"."""
    text = str(failure).removeprefix(f"{type(failure).__name__}: ") or type(failure).__name__
    found = re.fullmatch(r"(?:\[Errno )?(\d+)\]? E[A-Z]+", text)
    return os.strerror(int(found[1])) if found else text


def _let_go(failure: BaseException | None) -> None:
    # The frames of a failed try hold its socket, in a circle: a broker that is away for an hour would cost thousands.
    while failure is not None:
        traceback.clear_frames(failure.__traceback__)
        failure = failure.__context__


def _keep_requests_out_of_logs() -> None:
    for name in _WIRE:
        if logging.getLogger(name).getEffectiveLevel() < logging.INFO:
            logging.getLogger(name).setLevel(logging.INFO)

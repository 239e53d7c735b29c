"""Why a broker does not let a client in, as a message that names what to change.

Clients tell little: one cannot bootstrap, the other waits. So where a connection fails, the address is asked a few
plain questions: whether something listens, whether it speaks TLS, whether its certificate is accepted, whether it
expects a password.
"""

import socket
import ssl
import struct
from collections.abc import Iterator

from kafka.errors import SaslAuthenticationFailedError
from kafka.net.sasl import get_sasl_mechanism

from sparsewatch.schemas.errors import AccessError, ConfigError
from sparsewatch.schemas.jobs import KafkaSettings, read_password

#: Where a broker refuses a record for its size.
TOO_LARGE = "topic {!r} refused a record: it is larger than the topic takes, raise its max.message.bytes"

_PROBE_S = 3.0
#: Numbers of requests in Kafka's protocol.
_SASL_HANDSHAKE, _SASL_AUTHENTICATE = 17, 36
_NO_SASL_HERE = 34
#: Largest answer to a handshake that is looked at.
_LARGEST_ANSWER = 4096


def refused_password(settings: KafkaSettings) -> AccessError:
    """The broker refuses user or password."""
    holder = (
        f"kafka.password_env = {settings.password_env!r} names"
        if settings.password_env is not None
        else f"kafka.password_file = {settings.password_file!r} holds"
    )
    return AccessError(
        f"the broker at {_addresses(settings)} refuses user {settings.username!r} with its password "
        f"({settings.sasl_mechanism}): correct kafka.username, or the password that {holder}"
    )


def refused_topic(settings: KafkaSettings, topic: str, right: str) -> AccessError:
    """The broker does not let us do something with a topic.

    Args:
        settings: Of the broker.
        topic: The topic.
        right: The operation, as Kafka's access control names it, such as READ.
    """
    user = "the user of this connection" if settings.username is None else f"user {settings.username!r}"
    return AccessError(
        f"topic {topic!r}: {user} lacks the right to {right.lower()} it: grant it with "
        f"`kafka-acls.sh --bootstrap-server {settings.bootstrap_servers[0]} --add --allow-principal "
        f"User:{settings.username or 'NAME'} --operation {right.capitalize()} --topic {topic}`"
    )


def listens(server: str) -> bool:
    """Whether something accepts connections at `host:port`."""
    try:
        socket.create_connection(_place(server), _PROBE_S).close()
    except OSError:
        return False
    return True


def fault_of(settings: KafkaSettings) -> AccessError | None:
    """What is wrong with the settings of a connection that fails; None if nothing listens, or nothing is found."""
    for server in settings.bootstrap_servers:
        if not listens(server):
            continue
        host, port = _place(server)
        return _tls_fault(settings, host, port) or _sasl_fault(settings, host, port)
    return None


def check_ca_file(settings: KafkaSettings) -> None:
    """Refuse a file of certificates that cannot be used.

    Raises:
        ConfigError: Naming the file and what is wrong with it.
    """
    if settings.ca_file is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(settings.ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"kafka.ca_file: expected certificates (PEM), {settings.ca_file!r} holds none") from error
    except OSError as error:
        raise ConfigError(f"kafka.ca_file: {settings.ca_file!r} cannot be read: {error.strerror}") from error


def _tls_fault(settings: KafkaSettings, host: str, port: int) -> AccessError | None:
    is_wanted, protocol = settings.security_protocol.endswith("SSL"), settings.security_protocol
    try:
        with _connected(settings, host, port, check=is_wanted):
            pass
    except ssl.SSLCertVerificationError as error:
        return AccessError(
            f"the certificate of the broker at {host}:{port} is not accepted: {error.verify_message.rstrip('.')}. "
            f"{_mend_of_certificate(error, settings)}"
        )
    except OSError:
        if not is_wanted:
            return None
        plain = protocol.replace("SASL_SSL", "SASL_PLAINTEXT").replace("SSL", "PLAINTEXT", protocol == "SSL")
        return AccessError(
            f"the broker at {host}:{port} does not speak TLS, kafka.security_protocol is {protocol!r}: set {plain!r}, "
            "or the port of its TLS listener"
        )
    if is_wanted:
        return None
    found = _mechanisms(settings, host, port, tls=True)
    secure = "SSL" if found is not None and found[0] == _NO_SASL_HERE else "SASL_SSL"
    return AccessError(
        f"the broker at {host}:{port} speaks TLS, kafka.security_protocol is {protocol!r}: set {secure!r}"
    )


def _mend_of_certificate(error: ssl.SSLCertVerificationError, settings: KafkaSettings) -> str:
    if "expired" in error.verify_message or "not yet valid" in error.verify_message:
        return "The broker needs a new certificate (or the clock of this machine is wrong)"
    if "mismatch" in error.verify_message or "doesn't match" in error.verify_message:
        return "kafka.bootstrap_servers must name the broker as its certificate does"
    known = f"is {settings.ca_file!r}" if settings.ca_file else "is not set, so the system's authorities count"
    return f"kafka.ca_file must hold the certificate of the authority that signed it; it {known}"


def _sasl_fault(settings: KafkaSettings, host: str, port: int) -> AccessError | None:
    asked, protocol = settings.security_protocol.startswith("SASL"), settings.security_protocol
    found = _mechanisms(settings, host, port, tls=protocol.endswith("SSL"))
    if found is None:
        return None
    code, mechanisms = found
    if asked and code == _NO_SASL_HERE:
        return AccessError(
            f"the broker at {host}:{port} takes no password, kafka.security_protocol is {protocol!r}: set "
            f"{protocol.removeprefix('SASL_')!r}, or the port of its SASL listener"
        )
    if asked and mechanisms and settings.sasl_mechanism not in mechanisms:
        return AccessError(
            f"the broker at {host}:{port} takes kafka.sasl_mechanism {' or '.join(map(repr, mechanisms))}, "
            f"got {settings.sasl_mechanism!r}"
        )
    if asked:
        return refused_password(settings) if _is_refused(settings, host, port) else None
    if code == _NO_SASL_HERE:
        return None
    secure = "SASL_SSL" if protocol == "SSL" else "SASL_PLAINTEXT"
    return AccessError(
        f"the broker at {host}:{port} expects a password, kafka.security_protocol is {protocol!r}: set {secure!r} "
        f"with sasl_mechanism ({', '.join(mechanisms)}), username, and password_env or password_file"
    )


def _mechanisms(settings: KafkaSettings, host: str, port: int, *, tls: bool) -> tuple[int, list[str]] | None:
    try:
        with _connected(settings, host, port, check=False, tls=tls) as connection:
            return _handshake(connection, settings.sasl_mechanism or "PLAIN")
    except (OSError, struct.error):
        return None


def _is_refused(settings: KafkaSettings, host: str, port: int) -> bool:
    """Whether the broker refuses the password: its answer and the end of the connection may reach a client as one."""
    words = {"sasl_plain_username": settings.username, "sasl_plain_password": read_password(settings)}
    talk = get_sasl_mechanism(settings.sasl_mechanism)(
        host=host, security_protocol=settings.security_protocol, sasl_mechanism=settings.sasl_mechanism, **words
    )
    try:
        with _connected(
            settings, host, port, check=False, tls=settings.security_protocol.endswith("SSL")
        ) as connection:
            _handshake(connection, settings.sasl_mechanism or "")
            while not talk.is_done():
                token = talk.auth_bytes()
                answer = _answer(connection, _SASL_AUTHENTICATE, 0, struct.pack(">i", len(token)) + token)
                code, length = struct.unpack_from(">hh", answer)
                if code:
                    return bool(code == SaslAuthenticationFailedError.errno)
                talk.receive(answer[8 + max(0, length) :])
    except (OSError, struct.error):
        return False
    return not talk.is_authenticated()


def _handshake(connection: socket.socket, mechanism: str) -> tuple[int, list[str]]:
    """Ask which mechanisms there are: Kafka's SaslHandshake request, version 1.

    Returns:
        The error code and the names of the mechanisms that the broker takes.
    """
    name = mechanism.encode()
    answer = _answer(connection, _SASL_HANDSHAKE, 1, struct.pack(">h", len(name)) + name)
    code, count = struct.unpack_from(">hi", answer)
    return code, list(_texts(answer, 6, count))


def _answer(connection: socket.socket, request: int, version: int, body: bytes) -> bytes:
    """What a broker answers to a request, without the number that both carry."""
    whole = struct.pack(">hhih", request, version, 1, -1) + body
    connection.sendall(struct.pack(">i", len(whole)) + whole)
    (size,) = struct.unpack(">i", _received(connection, 4))
    if not 4 <= size <= _LARGEST_ANSWER:
        raise OSError("the answer is none of Kafka's")
    return _received(connection, size)[4:]


def _texts(answer: bytes, at: int, count: int) -> Iterator[str]:
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        yield answer[at + 2 : at + 2 + length].decode(errors="replace")
        at += 2 + length


def _received(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise OSError("the broker closed the connection")
        received += part
    return received


def _connected(
    settings: KafkaSettings, host: str, port: int, *, check: bool, tls: bool = True
) -> socket.socket | ssl.SSLSocket:
    plain = socket.create_connection((host, port), _PROBE_S)
    if not tls:
        return plain
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.check_hostname = check
    context.verify_mode = ssl.CERT_REQUIRED if check else ssl.CERT_NONE
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _place(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def _addresses(settings: KafkaSettings) -> str:
    return ", ".join(settings.bootstrap_servers)

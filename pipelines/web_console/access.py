"""Who may use a console: names and passwords out of a file, sessions, and forms that only its own pages can send."""

import hashlib
import hmac
import secrets
import stat
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.orders import MOST_OF_NAME
from sparsewatch.schemas.secrets import Secret

#: Seconds that a session lasts, wrong passwords of a minute before none is looked at, and sessions at most.
SESSION_S = 12 * 3600
_WRONG_A_MINUTE, _MINUTE_S = 10, 60.0
_MOST_SESSIONS = 1_000
_LEAST_PASSWORD = 12


def read_users(path: Path) -> dict[str, Secret]:
    """Passwords by name, out of a file of lines `name:password`.

    Raises:
        ConfigError: If it cannot be read, others than its owner may read it, or a line is wrong.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--users: {path} cannot be read: {error}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"--users: {path} holds passwords and others may read it; `chmod 600 {path}` mends that")
    users = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        if not colon or not 0 < len(name) <= MOST_OF_NAME or len(password) < _LEAST_PASSWORD:
            # Nothing of the line is shown: it may be a password.
            raise ConfigError(
                f"--users: {path}, line {number}: expected name:password, the password of {_LEAST_PASSWORD} characters "
                "at least"
            )
        users[name] = Secret(password)
    if not users:
        raise ConfigError(f"--users: {path} names nobody; expected lines name:password")
    return users


class Guard:
    """Sessions of a console.

    Args:
        users: Passwords by name; without any there is no login, and everybody who gets through is `owner`.
        owner: Who gives orders where there is no login.
        clock: Seconds of a clock that only advances.
    """

    def __init__(self, users: Mapping[str, Secret], owner: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._users, self._owner, self._clock = users, owner, clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        #: Digest of a session -> its user and when it ends.
        self._sessions: dict[str, tuple[str, float]] = {}
        self._wrong: list[float] = []

    @property
    def asks(self) -> bool:
        """Whether people have to log in."""
        return bool(self._users)

    def user(self, session: str) -> str | None:
        """Who a session belongs to, None if nobody is logged in."""
        if not self.asks:
            return self._owner
        with self._lock:
            name, ends = self._sessions.get(_digest(session), ("", 0.0))
        return name if ends > self._clock() else None

    def login(self, name: str, password: str) -> str | None:
        """A new session, None if name or password are wrong or too many were."""
        with self._lock:
            now = self._clock()
            self._wrong = [at for at in self._wrong if now - at < _MINUTE_S]
            if len(self._wrong) >= _WRONG_A_MINUTE:
                return None
            known = self._users.get(name)
            # Compared also where nobody has the name, so that the time taken does not tell which names there are.
            right = hmac.compare_digest(_digest(password), _digest(known.reveal() if known else ""))
            if known is None or not right:
                self._wrong.append(now)
                return None
            session = new_session()
            kept = {key: one for key, one in self._sessions.items() if one[1] > now}
            self._sessions = dict(list(kept.items())[-_MOST_SESSIONS + 1 :])
            self._sessions[_digest(session)] = (name, now + SESSION_S)
            return session

    def logout(self, session: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(session), None)

    def token(self, session: str) -> str:
        """What a form of a session carries: no other site knows it."""
        return hmac.new(self._key, session.encode(errors="replace"), hashlib.sha256).hexdigest()

    def is_own(self, session: str, token: str) -> bool:
        """Whether a form is one that this console gave to the session."""
        return bool(session) and hmac.compare_digest(self.token(session).encode(), token.encode(errors="replace"))


def new_session() -> str:
    """A session that nobody can guess."""
    return secrets.token_urlsafe(32)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()

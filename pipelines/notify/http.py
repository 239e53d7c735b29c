"""A server that is told of incidents, over HTTP: what it answers, and whether another try may help."""

import logging
import ssl
from collections.abc import Mapping
from types import MappingProxyType

import urllib3

from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.schemas.secrets import Secret

# It logs each try; what comes of them is told once, by who sends.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
_TIMEOUT_S = 5.0
#: Answers after which the same request may be taken later.
_LATER = (408, 425, 429, 500, 502, 503, 504)
_SHOWN = 300


class Remote:
    """One server.

    Args:
        name: As messages name it; an address that is a secret is not part of it.
        url: Its address.
        token: Sent as a bearer's.
        ca_file: Certificates that its own is checked with; those of the system if None.
        retries: Tries of a request after the first, within a second or two.
    """

    def __init__(self, name: str, url: str, token: Secret | None, ca_file: str | None, retries: int = 0) -> None:
        self._name, self._url = name, url
        headers = {"content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token.reveal()}"
        context = ssl.create_default_context(cafile=ca_file) if url.startswith("https") else None
        self._http = urllib3.PoolManager(
            retries=_retry(retries), timeout=urllib3.Timeout(_TIMEOUT_S), ssl_context=context, headers=headers
        )

    def asked(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> bytes:
        """What it answers.

        Args:
            method: Of the request.
            path: Behind the server's address.
            body: JSON.
            headers: Beside those of every request.

        Raises:
            ConfigError: If it refuses the request, which another try would not mend.
            SourceError: If it does not answer, or is not ready.
        """
        try:
            answer = self._http.request(
                method, self._url + path, body=body, headers={**self._http.headers, **headers}, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise SourceError(f"{self._name} does not answer: {reason}") from error
        if answer.status in _LATER:
            raise SourceError(f"{self._name} answers {answer.status} {answer.reason}")
        if answer.status >= 300:
            raise ConfigError(
                f"{self._name} refuses {method} {path.partition('?')[0]}: {answer.status} "
                f"{answer.data[:_SHOWN].decode(errors='replace')}"
            )
        return answer.data


def _retry(retries: int) -> urllib3.Retry:
    return urllib3.Retry(
        total=retries,
        backoff_factor=0.2,
        # Replicas of this process must not come back in step.
        backoff_jitter=0.5,
        status_forcelist=_LATER,
        allowed_methods=None,
        raise_on_status=False,
        redirect=False,
    )

"""Talks to the replicas of an Alertmanager (API v2, https://prometheus.io/docs/alerting/latest/clients/)."""

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3

from sparsewatch.pipelines.notify.alert import ALERT_NAME, Alert
from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.schemas.secrets import Secret

# It logs each try; what comes of them is told once, see `sparsewatch.pipelines.notify.follow`.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
_TIMEOUT_S = 5.0
_ANSWERS = (429, 500, 502, 503, 504)
#: Alerts of one request.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence of an Alertmanager."""

    by: str
    why: str
    until: str


class Alertmanager:
    """One replica.

    Args:
        url: Its address, such as `http://alertmanager:9093`, with a path if it has a prefix.
        token: Sent as a bearer's.
        ca_file: Certificates that its own is checked with; those of the system if None.
    """

    def __init__(self, url: str, token: Secret | None = None, ca_file: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._headers = {"content-type": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token.reveal()}"
        retries = urllib3.Retry(
            total=3,
            backoff_factor=0.2,
            # Replicas of this process must not come back in step.
            backoff_jitter=0.5,
            status_forcelist=_ANSWERS,
            allowed_methods=None,
            raise_on_status=False,
        )
        context = ssl.create_default_context(cafile=ca_file) if self.url.startswith("https") else None
        self._http = urllib3.PoolManager(
            retries=retries, timeout=urllib3.Timeout(_TIMEOUT_S), ssl_context=context, headers=self._headers
        )

    def send(self, alerts: Sequence[Alert]) -> None:
        """Post alerts.

        Raises:
            ConfigError: If it refuses them, which another try would not mend.
            SourceError: If it does not answer.
        """
        for start in range(0, len(alerts), _AT_ONCE):
            self._asked("POST", "/api/v2/alerts", msgspec.json.encode(alerts[start : start + _AT_ONCE]))

    def silenced(self, job: str) -> dict[str, Silence]:
        """Silences that hold for incidents of a job now, by the incident's id.

        Raises:
            ConfigError: As `send`.
            SourceError: As `send`.
        """
        matchers = (f'alertname="{ALERT_NAME}"', f"job={msgspec.json.encode(job).decode()}")
        query = urlencode([("filter", matcher) for matcher in matchers])
        alerts = self._asked("GET", f"/api/v2/alerts?{query}")
        by = {one["labels"]["incident"]: one["status"]["silencedBy"] for one in alerts if one["status"]["silencedBy"]}
        silences = {one["id"]: one for one in self._asked("GET", "/api/v2/silences")} if by else {}
        return {incident: _silence(silences[ids[0]]) for incident, ids in by.items() if ids[0] in silences}

    def _asked(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            answer = self._http.request(method, self.url + path, body=body)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise SourceError(f"no Alertmanager answers at {self.url}: {reason}") from error
        if answer.status in _ANSWERS:
            raise SourceError(f"the Alertmanager at {self.url} answers {answer.status} {answer.reason}")
        if answer.status >= 400:
            raise ConfigError(
                f"the Alertmanager at {self.url} refuses {method} {path.partition('?')[0]}: {answer.status} "
                f"{answer.data[:300].decode(errors='replace')}"
            )
        return msgspec.json.decode(answer.data) if answer.data else None


def _silence(silence: dict[str, Any]) -> Silence:
    return Silence(silence["createdBy"], silence["comment"], silence["endsAt"])

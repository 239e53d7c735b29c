"""Talks to the replicas of an Alertmanager (API v2, https://prometheus.io/docs/alerting/latest/clients/)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from sparsewatch.pipelines.notify.alert import ALERT_NAME, Alert
from sparsewatch.pipelines.notify.http import Remote
from sparsewatch.schemas.secrets import Secret

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
        self._remote = Remote(f"the Alertmanager at {self.url}", self.url, token, ca_file, retries=3)

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
        answer = self._remote.asked(method, path, body)
        return msgspec.json.decode(answer) if answer else None


def _silence(silence: dict[str, Any]) -> Silence:
    return Silence(silence["createdBy"], silence["comment"], silence["endsAt"])

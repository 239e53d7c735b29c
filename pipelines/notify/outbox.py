"""Which alerts are to be sent when: nothing is read or sent here, and the clock is given.

An alert fires at Alertmanager until its `endsAt`. Incidents that fire are sent again every `resend_s` with an end of
`_ENDS_AFTER` times that, so that a few sends may fail before it is over by mistake, and so that it ends by itself if
this process is gone for good. What is over is sent for `_OVER_S` more, in case a replica was away.

Nothing is stored: a restart reads the incidents as they stand and sends those that fire; alerts of equal labels are
the same one, so that nothing doubles.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sparsewatch.pipelines.notify.alert import NO_LEADS, Alert, Labels, Leads, alert_of, is_silent, labels_of
from sparsewatch.pipelines.records.reading import Record

#: An alert ends after so many times between two sends.
_ENDS_AFTER = 3
#: What is over is sent for so long, and at a start the incidents that were over last, as many as these.
_OVER_S, _OVER_AT_START = 300.0, 50


@dataclass(slots=True)
class _Told:
    """An alert as it was last told."""

    incident: Record
    #: When it is sent next, and until when; None while it fires.
    due_s: float
    over_s: float | None = None
    #: When it ended.
    ended_s: float = 0.0


class Outbox:
    """Alerts of the incidents of one or more jobs.

    Args:
        resend_s: Seconds between two sends of an alert.
        leads: See `sparsewatch.pipelines.notify.alert.alert_of`.
    """

    def __init__(self, resend_s: float, leads: Leads = NO_LEADS) -> None:
        self._resend_s, self._leads = resend_s, leads
        #: By labels.
        self._told: dict[tuple[str, ...], _Told] = {}

    @property
    def firing(self) -> int:
        """Alerts that fire."""
        return sum(one.over_s is None for one in self._told.values())

    def begin(self, incidents: Iterable[Record], now_s: float) -> None:
        """Take the incidents of a job as they stand at a start."""
        standing = list(incidents)
        over = [one for one in standing if is_silent(one)][-_OVER_AT_START:]
        for incident in [*over, *(one for one in standing if not is_silent(one))]:
            self._put(incident, now_s)

    def take(self, incident: Record, now_s: float) -> None:
        """Take an incident that changed."""
        key = tuple(labels_of(incident).values())
        for other, told in self._told.items():
            # Another severity is another alert.
            if other != key and other[:3] == key[:3] and told.over_s is None:
                self._end(told, now_s)
        if not is_silent(incident) or key in self._told:
            self._put(incident, now_s)

    def due(self, now_s: float) -> list[Alert]:
        """Alerts to send now; they are due again later."""
        alerts = []
        for key, one in list(self._told.items()):
            if one.over_s is not None and now_s > one.over_s:
                del self._told[key]
            elif now_s >= one.due_s:
                one.due_s = now_s + self._resend_s
                ends_s = now_s + _ENDS_AFTER * self._resend_s if one.over_s is None else one.ended_s
                alerts.append(alert_of(one.incident, ends_s, self._leads))
        return alerts

    def again(self, labels: Iterable[Labels], now_s: float) -> None:
        """Send alerts again as soon as may be: a send failed."""
        for one in labels:
            if (told := self._told.get(tuple(one.values()))) is not None:
                told.due_s = now_s

    def _put(self, incident: Record, now_s: float) -> None:
        key = tuple(labels_of(incident).values())
        before = self._told.get(key)
        self._told[key] = told = _Told(incident, now_s)
        if is_silent(incident):
            self._end(told, now_s if before is None or before.over_s is None else before.ended_s)

    def _end(self, told: _Told, now_s: float) -> None:
        told.due_s, told.ended_s, told.over_s = now_s, now_s, now_s + _OVER_S

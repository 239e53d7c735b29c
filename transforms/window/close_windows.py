"""The last step of every job: conclude a window, write it, compare account and results, commit.

Parts of a window meet here under one key. A window whose readers did not close it (the open end of a bounded run) has
no marker: it is not written and is read again by the next run. The commit follows the durable results, so a crash at
any point leads to the same results being written again under the same ids. Numbers of late records and rejects stand
in the progress, not in a window's record: which window states them depends on when records were fetched.

A job that looks back saves the state of each window (see `sparsewatch.transforms.window.panes`). Windows that fire in
one bundle are then closed in their order, a few held at a time, since the view of a window includes earlier windows.

What a kind of job decides of a window comes from the three objects of `sparsewatch.transforms.window.measure`.
"""

import bisect
import dataclasses
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec

from sparsewatch.schemas.accounts import Account, Part, Progress, WindowParts, sort_parts
from sparsewatch.schemas.alerts import Alert, Finding, MetricSample, raise_alert
from sparsewatch.schemas.errors import SinkError
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.transforms.kafka.client import Admin, Writer
from sparsewatch.transforms.kafka.open import open_admin, open_writer
from sparsewatch.transforms.kafka.progress import ProgressLog, load_progress
from sparsewatch.transforms.kafka.source_findings import findings_of
from sparsewatch.transforms.window.measure import Conclude, Conclusion, LookBack, Window
from sparsewatch.transforms.window.panes import Pane, PaneLog, load_panes

_logger = logging.getLogger(__name__)

#: Windows of one bundle that are held to be closed in their order.
_HELD_WINDOWS = 16


def unbalanced(account: Account, conclusion: Conclusion, parts: WindowParts, results_per_row: bool) -> Finding | None:
    """The finding that a window's account and results differ, None if they agree."""
    stated = {"counted": account.counted, "late": account.late, "rejected": account.rejected}
    found = {"counted": conclusion.rows, "late": parts.acks.late, "rejected": parts.acks.rejected}
    if results_per_row:
        stated["results"], found["results"] = account.counted, parts.acks.results
    if stated == found:
        return None
    return Finding(
        rule="books_unbalanced",
        subject="stream",
        severity="critical",
        value=float(sum(found.values())),
        threshold=float(sum(stated.values())),
        baseline=float(sum(stated.values())),
        message=f"the reader stated {stated}, the results hold {found}; the window is not committed",
        evidence={"stated": stated, "found": found},
    )


class _CloseWindows(beam.DoFn):
    def __init__(
        self,
        identity: JobIdentity,
        conclude: Conclude,
        look_back: LookBack | None = None,
        alerts_file: str | None = None,
    ) -> None:
        self._identity = identity
        self._alerts_file = alerts_file
        self._conclude = conclude
        self._look_back = look_back
        self._panes: PaneLog | None = None
        self._writer: Writer | None = None
        self._admin: Admin | None = None
        self._committed = False

    def _open(self) -> Writer:
        if self._writer is None:
            own, topics = self._identity, self._identity.topics
            start = load_progress(own.kafka, topics.progress, own.job, own.settings_digest)
            self._log = ProgressLog(own.job, topics.source, own.settings_digest, topics.progress, start)
            if self._look_back is not None:
                saved = load_panes(own.kafka, topics.panes, own.job)
                self._panes = PaneLog(own.job, topics.panes, self._look_back.panes, saved)
            self._writer = open_writer(own.kafka)
        return self._writer

    def start_bundle(self) -> None:
        self._held: list[tuple[int, Window, WindowParts]] = []

    def process(self, keyed: tuple[str, Iterable[bytes]], window: Any = beam.DoFn.WindowParam) -> None:
        parts = sort_parts(keyed[1])
        if not parts.markers:
            return
        complete = all(marker.complete for marker in parts.markers)
        closed = Window(window.start.micros, window.end.micros, complete)
        if self._look_back is None:
            self._close(closed, parts)
            return
        bisect.insort(self._held, (closed.start_us, closed, parts), key=lambda held: held[0])
        self._close_held(_HELD_WINDOWS)

    def _close_held(self, most: int) -> None:
        while len(self._held) > most:
            _, window, parts = self._held.pop(0)
            self._close(window, parts)

    def _close(self, window: Window, parts: WindowParts) -> None:
        writer = self._open()
        account = sum((m.account for m in parts.markers), Account())
        conclusion = self._with_view(window, self._conclude(window, parts.measures), writer)
        fault = unbalanced(account, conclusion, parts, self._conclude.results_per_row)
        notices = [notice for marker in parts.markers for notice in marker.notices]
        changes = findings_of(self._identity.topics.source, notices)
        findings = [*conclusion.findings, *changes, *([fault] if fault else [])]
        alerts = [raise_alert(f, self._identity.job, window.start_us, window.end_us) for f in findings]
        self._write(writer, window, conclusion, alerts)
        if fault is None and self._log.done(parts.markers, writer):
            self._write_metrics(writer, conclusion, alerts)
            self._committed = True

    def _with_view(self, window: Window, conclusion: Conclusion, writer: Writer) -> Conclusion:
        """The conclusion and what the view over earlier windows adds to it; the window's own state is saved."""
        if self._look_back is None or self._panes is None or conclusion.pane is None:
            return conclusion
        pane = Pane(window.start_us, window.end_us, conclusion.pane, learned=not conclusion.findings)
        view = self._look_back(pane, self._panes.before(window.start_us, window.end_us - window.start_us))
        # The rows of a view are those of all its windows: the account of this one has no part in them.
        whole = conclusion + dataclasses.replace(view, rows=0)
        self._panes.put(dataclasses.replace(pane, learned=not whole.findings), writer)
        return whole

    def _write(self, writer: Writer, window: Window, conclusion: Conclusion, alerts: list[Alert]) -> None:
        job, topics = self._identity.job, self._identity.topics
        summary = {
            "job": job,
            "window_start_us": window.start_us,
            "window_end_us": window.end_us,
            "rows": conclusion.rows,
            "complete": window.complete,
            "alerts": [alert.id for alert in alerts],
            **conclusion.summary,
        }
        if conclusion.rows:
            writer.send(topics.windows, f"{job}/{window.start_us}".encode(), msgspec.json.encode(summary))
        for alert in alerts:
            _logger.warning("ALERT %s %s: %s", alert.rule, alert.subject, alert.message)
            writer.send(topics.alerts, alert.id.encode(), msgspec.json.encode(alert))
        for record in conclusion.records:
            writer.send(*record)
        writer.flush()
        if self._alerts_file and alerts:
            lines = b"".join(msgspec.json.encode(alert) + b"\n" for alert in alerts)
            with Path(self._alerts_file).open("ab") as file:
                file.write(lines)

    def _write_metrics(self, writer: Writer, conclusion: Conclusion, alerts: list[Alert]) -> None:
        job, topic = self._identity.job, self._identity.topics.metrics
        for sample in [*job_metrics(self._log.progress, alerts), *conclusion.metrics]:
            sample = msgspec.structs.replace(sample, labels={"job": job, **sample.labels})
            writer.send(topic, sample.key.encode(), msgspec.json.encode(sample))
        writer.flush()

    def finish_bundle(self) -> None:
        self._close_held(0)
        # Once a bundle is often enough for tools that show lag; the job itself never reads these offsets.
        if self._committed:
            self._commit_group()
            self._committed = False

    def _commit_group(self) -> None:
        progress = self._log.progress
        offsets = {p: point.offset for p, point in progress.partitions.items()}
        try:
            if self._admin is None:
                self._admin = open_admin(self._identity.kafka)
            self._admin.commit_group(f"sparsewatch.{progress.job}", progress.topic, offsets)
        except SinkError as error:
            _logger.info("offsets of the consumer group were not committed, tools cannot show the lag: %s", error)

    def teardown(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._look_back is not None:
            self._look_back.close()


def job_metrics(progress: Progress, alerts: Sequence[Alert]) -> list[MetricSample]:
    """Samples every job has."""
    totals = {"counted": progress.totals.counted, "late": progress.totals.late, "rejected": progress.totals.rejected}
    samples = [
        MetricSample(
            name="sparsewatch_records_total",
            kind="counter",
            help="Records read, by outcome.",
            value=number,
            labels={"outcome": outcome},
        )
        for outcome, number in totals.items()
    ]
    samples += [
        lost_metric(progress),
        MetricSample(
            name="sparsewatch_windows_closed_total",
            kind="counter",
            help="Windows closed and committed.",
            value=progress.windows,
        ),
        MetricSample(
            name="sparsewatch_window_end_timestamp_seconds",
            kind="gauge",
            help="End of the last closed window, in event time.",
            value=progress.closed_end_us / 1e6,
        ),
        MetricSample(
            name="sparsewatch_window_closed_timestamp_seconds",
            kind="gauge",
            help="When the last window was closed, by the clock.",
            value=time.time(),
        ),
        MetricSample(
            name="sparsewatch_window_alerts",
            kind="gauge",
            help="Alerts of the last closed window.",
            value=len(alerts),
        ),
    ]
    return samples


def lost_metric(progress: Progress) -> MetricSample:
    """The sample of what a job has lost."""
    return MetricSample(
        name="sparsewatch_records_lost_total",
        kind="counter",
        help="Offsets that were gone before they were read: so many records at most.",
        value=progress.totals.lost,
    )


@dataclass
class CloseWindows(beam.PTransform):
    """Windowed parts in; results, alerts, metrics and progress go to their topics."""

    identity: JobIdentity
    conclude: Conclude
    look_back: LookBack | None = None
    #: File that alerts are added to as JSON lines, besides their topic.
    alerts_file: str | None = None

    def __post_init__(self) -> None:
        beam.PTransform.__init__(self)

    def expand(self, parts: Any) -> Any:
        """Keyed `Part`s of all kinds in, nothing out."""
        return (
            parts
            | "Meet" >> beam.GroupByKey().with_input_types(Part)
            | "ConcludeWriteCommit"
            >> beam.ParDo(_CloseWindows(self.identity, self.conclude, self.look_back, self.alerts_file))
        )

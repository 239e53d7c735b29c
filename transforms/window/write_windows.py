"""What is written of closed windows, in their order: records, alerts, saved panes; behind them progress and metrics.

Results are durable before the progress is written, so a crash at any point leads to the same results being written
again under the same ids. Numbers of late records and rejects stand in the progress, not in a window's record: which
window states them depends on when records were fetched.
"""

import logging
from collections.abc import Sequence

import msgspec

from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.schemas.accounts import PREFACE_US, Account, Progress
from sparsewatch.schemas.alerts import Alert, MetricSample
from sparsewatch.schemas.errors import SinkError, SourceError
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.schemas.metrics import WINDOWS_WAITING
from sparsewatch.transforms.kafka.client import Admin, Writer
from sparsewatch.transforms.kafka.instances import Watch, write_standing
from sparsewatch.transforms.kafka.open import free_writer, give_back, open_admin
from sparsewatch.transforms.kafka.orders import OrderBook
from sparsewatch.transforms.kafka.presence import patiently
from sparsewatch.transforms.listening import WindowClosed, report_window
from sparsewatch.transforms.window.alerts_file import AlertsFile
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.decide import Decided, DecideWindow, Taken, kept_panes
from sparsewatch.transforms.window.job_metrics import newest_came_s, progress_metrics, window_metrics
from sparsewatch.transforms.window.kept_panes import KeptPanes
from sparsewatch.transforms.window.measure import Conclusion, Learning, LookBack, Window
from sparsewatch.transforms.window.panes import Pane, PaneLog, load_kept, load_panes
from sparsewatch.transforms.window.raise_alerts import Raised, send_raised
from sparsewatch.transforms.window.standing_gauges import StandingGauges

_logger = logging.getLogger(__name__)
_INCIDENT_SETTINGS = IncidentSettings()


class WindowWriter:
    """Writes closed windows and, behind them, how far they are committed; connects at the first window.

    Args:
        identity: The job.
        look_back: Its view over several windows, if it has one; closed with the writer.
        alerts_file: File that alerts are added to as JSON lines, besides their topic.
        incidents: When an incident is over.
        learning: The baseline that it learns, if it does.
    """

    def __init__(
        self,
        identity: JobIdentity,
        look_back: LookBack | None,
        alerts_file: str | None,
        incidents: IncidentSettings = _INCIDENT_SETTINGS,
        learning: Learning | None = None,
    ) -> None:
        self._identity = identity
        self._decide = DecideWindow(identity.job, look_back, incidents, learning)
        self._alerts_file = AlertsFile(alerts_file)
        self._writer: Writer | None = None
        self._admin: Admin | None = None
        self._panes: PaneLog | None = None
        self._kept: KeptPanes | None = None
        self._watch = Watch(identity)
        self._orders = OrderBook(identity)
        #: Windows written since the last call of `commit`.
        self.windows = 0
        self._moved = False
        #: False from a first record on to the end of `commit`: also where a run failed between them.
        self._is_flushed = True
        self._alerts: list[Alert] = []
        self._closed: list[WindowClosed] = []
        #: By key; None withdraws a series.
        self._samples: dict[str, MetricSample | None] = {}
        self._gauges = StandingGauges(identity)
        self._waiting: int | None = None
        self._group: dict[int, int] = {}

    def forget(self) -> None:
        """Read saved windows and standing gauges again before they are used: another instance may have written some."""
        self._panes = self._kept = None
        self._gauges.forget()

    def committed(self) -> Progress | None:
        """What this run has committed, as far as it is known before the first window of a commit is written.

        Another instance of the step may have committed since this one did, and its state may be from before.

        Raises:
            FencedError: If a newer instance runs the job.
        """
        if not self.windows:
            self._watch.check()
        return self._watch.own

    def write(self, taken: Taken) -> Decided:
        """Decide of a window and send what is to be written of it; `commit` makes it durable.

        Args:
            taken: The window; its metrics are stated only if the next `commit` covers it.

        Returns:
            What is decided of it.
        """
        writer, closed = self._open(), taken.closed
        if not self.windows:
            # Windows of one commit follow the same orders.
            patiently(self._orders.look)
        self._is_flushed = False
        decided = self._decide(
            taken,
            self._before,
            lambda window: self._kept_panes().before(window.start_us),
            self._orders.in_force(taken.from_us),
        )
        if decided.pane is not None:
            self._pane_log().put(decided.pane, writer)
        # A run that commits nothing more is read again from where it stopped, and then meets what it met.
        if decided.learned is not None and not taken.books.stopped:
            self._kept_panes().put(decided.learned, writer)
        whole, raised = decided.whole, decided.raised
        self._send(closed, whole, taken.judged.passed_over, raised, writer)
        self._alerts += raised.alerts
        self._closed.append(_heard(closed, raised))
        self.windows += 1
        committed = not taken.books.stopped
        self._moved |= committed
        if committed and not closed.is_preface:
            came_s = newest_came_s(taken.books.progress)
            samples = [*window_metrics(raised.alerts, raised.muted, came_s), taken.judged.silence, *whole.metrics]
            self._samples |= self._gauges.of_window(map(self._labelled, samples))
        return decided

    def commit(self, progress: Progress, waiting: int) -> None:
        """Make durable what was sent; then write the progress, if a window moved it; then the metrics.

        Args:
            progress: How far windows are committed.
            waiting: Windows that are closed and not committed.

        Raises:
            FencedError: If a newer instance runs the job.
        """
        if not self.windows and waiting == self._waiting:
            return
        writer = self._open()
        self._is_flushed = False
        writer.flush()
        alerts, self._alerts = self._alerts, []
        self._alerts_file.add(alerts)
        if self._moved:
            self._write_progress(progress, writer)
        self._add_samples([WINDOWS_WAITING.sample(waiting), *self._alerts_file.metrics()])
        self._write_metrics(writer)
        self._report()
        self.windows, self._moved, self._waiting, self._is_flushed = 0, False, waiting, True
        if self._kept is not None:
            self._kept.commit()

    def _report(self) -> None:
        closed, self._closed = self._closed, []
        for window in closed:
            report_window(window)

    def commit_group(self) -> None:
        """Commit offsets for tools that show lag, if they have moved; the job itself never reads them."""
        if not self._group:
            return
        offsets, self._group = self._group, {}
        own = self._identity
        try:
            if self._admin is None:
                self._admin = open_admin(own.kafka)
            self._admin.commit_group(f"sparsewatch.{own.job}", own.topics.source, offsets)
        except (SinkError, SourceError) as error:
            _logger.info("offsets of the consumer group were not committed, tools cannot show the lag: %s", error)

    def close(self) -> None:
        """Close the connections."""
        self._watch.close()
        self._orders.close()
        if self._writer is not None:
            if self._is_flushed:
                give_back(self._identity.kafka, self._writer)
            else:
                self._writer.close()
            self._writer = None
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        self._decide.close()

    def _open(self) -> Writer:
        if self._writer is None:
            self._writer = patiently(lambda: free_writer(self._identity.kafka))
        return self._writer

    def _before(self, window: Window) -> Sequence[Pane]:
        return self._pane_log().before(window.start_us, window.end_us - window.start_us)

    def _pane_log(self) -> PaneLog:
        if self._panes is None:
            own = self._identity
            saved = patiently(lambda: load_panes(own.kafka, own.topics.panes, own.job))
            self._panes = PaneLog(own.job, own.topics.panes, self._decide.panes, saved)
        return self._panes

    def _kept_panes(self) -> KeptPanes:
        if self._kept is None:
            own = self._identity
            saved = patiently(lambda: load_kept(own.kafka, own.topics.baseline, own.job))
            self._kept = kept_panes(own, self._decide.learning, saved)
        return self._kept

    def _send(self, closed: Closed, conclusion: Conclusion, passed_over: int, raised: Raised, writer: Writer) -> None:
        job, topics, window = self._identity.job, self._identity.topics, closed.window
        summary = {
            "job": job,
            "window_start_us": window.start_us,
            "window_end_us": window.end_us,
            "rows": conclusion.rows,
            "complete": window.complete,
            "passed_over": passed_over,
            "alerts": [alert.id for alert in raised.alerts],
            **conclusion.summary,
        }
        if not closed.is_preface:
            writer.send(topics.windows, f"{job}/{window.start_us}".encode(), msgspec.json.encode(summary))
        for alert in raised.alerts:
            _logger.warning("ALERT %s %s: %s", alert.rule, alert.subject, alert.message)
        send_raised(raised, topics, writer)
        for record in conclusion.records:
            writer.send(*record)

    def _write_progress(self, progress: Progress, writer: Writer) -> None:
        # Whatever took its time: the results, or a process that stood still.
        self._watch.check()
        write_standing(writer, self._identity, progress)
        writer.flush()
        # An instance that came meanwhile does not know of this commit: its metrics must not go back behind ours.
        self._watch.check()
        self._add_samples(progress_metrics(progress))
        self._group = {p: point.offset for p, point in progress.partitions.items()}

    def _add_samples(self, samples: Sequence[MetricSample]) -> None:
        self._samples |= {sample.key: sample for sample in map(self._labelled, samples)}

    def _labelled(self, sample: MetricSample) -> MetricSample:
        return sample.of_job(self._identity.job)

    def _write_metrics(self, writer: Writer) -> None:
        samples, self._samples = self._samples, {}
        for key, sample in samples.items():
            value = None if sample is None else msgspec.json.encode(sample)
            writer.send(self._identity.topics.metrics, key.encode(), value)
        writer.flush()


def _heard(closed: Closed, raised: Raised) -> WindowClosed:
    """The window as listeners hear of it."""
    window = closed.window
    return WindowClosed(
        window.start_us,
        PREFACE_US if closed.is_preface else window.end_us,
        sum((marker.account for marker in closed.markers), Account()),
        tuple(alert.rule for alert in raised.alerts),
        window.complete,
        tuple(raised.incidents),
        closed.conclusion.without_value,
    )

"""A closed window as its stream's judge sees it."""

import logging
from dataclasses import dataclass, field

from sparsewatch.detectors.stream.judge import StreamWindow, judge, with_preface
from sparsewatch.detectors.stream.silence import silent_windows
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.accounts import PREFACE_US, Account, Progress
from sparsewatch.schemas.alerts import Finding, MetricSample
from sparsewatch.schemas.metrics import SILENCE
from sparsewatch.schemas.stream_history import StreamHistory
from sparsewatch.transforms.window.closed import Closed

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamRules:
    """How a job's stream is judged."""

    thresholds: StreamThresholds = field(default_factory=StreamThresholds)
    #: Whether volume is compared with the job's own windows.
    own_volume: bool = True


@dataclass(frozen=True)
class Judged:
    """What a window shows of its stream."""

    findings: list[Finding]
    #: The stream with it.
    history: StreamHistory
    #: How long the stream has been silent.
    silence: MetricSample
    #: Windows without a row before it that were not closed one by one.
    passed_over: int


def judge_stream(closed: Closed, progress: Progress, rules: StreamRules) -> Judged:
    """A closed window against the stream's own history.

    Args:
        closed: The window.
        progress: The job before it.
        rules: How the stream is judged.
    """
    findings, history = _judged(closed, progress, rules)
    length_us = closed.window.end_us - closed.window.start_us
    silent_us = silent_windows(history, closed.window.end_us, length_us) * length_us
    return Judged(findings, history, SILENCE.sample(silent_us / 1e6), _passed_over(closed, progress))


def _judged(closed: Closed, progress: Progress, rules: StreamRules) -> tuple[list[Finding], StreamHistory]:
    events = sum(marker.events for marker in closed.markers)
    if closed.is_preface or closed.is_ahead:
        # Rows of clocks ahead say nothing of when the stream speaks.
        return [], with_preface(progress.stream, events, closed.acks)
    window = StreamWindow(
        start_us=closed.window.start_us,
        end_us=closed.window.end_us,
        complete=closed.window.complete,
        account=sum((marker.account for marker in closed.markers), Account()),
        events=events,
        acks=closed.acks,
        others=closed.others,
    )
    return judge(window, progress.stream, progress.totals, rules.thresholds, own_volume=rules.own_volume)


def _passed_over(closed: Closed, progress: Progress) -> int:
    if progress.closed_end_us == PREFACE_US or closed.is_preface or closed.is_ahead:
        return 0
    start_us, length_us = closed.window.start_us, closed.window.end_us - closed.window.start_us
    ahead = sum(progress.closed_end_us <= window_us < start_us for window_us in progress.ahead_us)
    number = max(0, (start_us - progress.closed_end_us) // length_us - ahead)
    if number:
        _logger.warning("%d windows without a row before %d us were passed over", number, closed.window.start_us)
    return number

"""One window of a stream against the stream's own history: findings, and the history after it."""

from dataclasses import dataclass

import msgspec

from sparsewatch.detectors.stream import silence
from sparsewatch.detectors.stream.new_fields import judge_fields
from sparsewatch.detectors.stream.own_volume import check_own_volume, learn_volume
from sparsewatch.detectors.stream.set_aside import check_set_aside
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Finding, counted, number
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.settings import duration_text
from sparsewatch.schemas.stream_history import StreamHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamWindow:
    """What is judged of a window, whatever its job counts."""

    start_us: int
    end_us: int
    #: False if rows of it may be missing: too few are no finding then.
    complete: bool
    account: Account
    #: Events read while it was the next window to close.
    events: int
    acks: Ack
    #: Fields of its events that are no columns.
    others: OtherFields = NO_OTHERS


def judge(
    window: StreamWindow,
    history: StreamHistory,
    before: Account,
    thresholds: StreamThresholds,
    *,
    own_volume: bool = True,
) -> tuple[list[Finding], StreamHistory]:
    """Rules `volume_low` (by the job's own windows), `no_data`, `rejects_high`, `late_high` and `new_field`.

    Args:
        window: The window; each follows the one before it in time.
        history: The stream before it.
        before: Sums of the job before it.
        thresholds: When something matters.
        own_volume: Whether the volume is compared with the job's own windows, as where there is no reference.

    Returns:
        Findings, and the history with the window.
    """
    account = msgspec.structs.replace(
        window.account,
        late=window.account.late + history.preface.late,
        rejected=window.account.rejected + history.preface.rejected,
    )
    findings = check_set_aside(
        window.events + history.preface_events, account, window.acks + history.preface, before, thresholds
    )
    history = msgspec.structs.replace(history, preface_events=0, preface=Ack())
    if own_volume and window.complete:
        found = check_own_volume(account.counted, history, window.start_us, thresholds)
        findings += [] if found is None else [found]
        if account.counted:
            length_us = window.end_us - window.start_us
            history = learn_volume(history, account.counted, window.start_us, length_us, odd=found is not None)
    history = _after(window, history)
    if thresholds.new_fields:
        new, fields = judge_fields(window.others, history.fields, account.counted)
        findings += new
        history = msgspec.structs.replace(history, fields=fields)
    if window.complete and (odd := _no_data(window, history, thresholds)) is not None:
        findings.append(odd)
        history = msgspec.structs.replace(history, alerted_after=int(odd.value))
    return findings, history


def with_preface(history: StreamHistory, events: int, acks: Ack) -> StreamHistory:
    """The history with what was set aside where no window is judged; the next one is judged with it."""
    return msgspec.structs.replace(
        history, preface_events=history.preface_events + events, preface=history.preface + acks
    )


def _after(window: StreamWindow, history: StreamHistory) -> StreamHistory:
    length_us = window.end_us - window.start_us
    if window.account.counted:
        return silence.with_rows(history, window.start_us, length_us)
    if window.account.read:
        return silence.broken_off(history)
    return silence.without_events(history, window.start_us)


def _no_data(window: StreamWindow, history: StreamHistory, thresholds: StreamThresholds) -> Finding | None:
    since = history.silent_since_us
    if since is None or not history.full:
        return None
    length_us = window.end_us - window.start_us
    windows = silence.silent_windows(history, window.end_us, length_us)
    if history.alerted_after:
        due = windows >= silence.REPEAT * history.alerted_after
    else:
        due = silence.is_odd(history, since, windows, thresholds.of_silence)
    if not due:
        return None
    least = next((n for n in range(1, windows) if silence.is_odd(history, since, n, thresholds.of_silence)), windows)
    longest = max((one.windows for one in history.earlier), default=0)
    lasted = duration_text(windows * length_us)
    return Finding(
        rule="no_data",
        subject="stream",
        severity="critical",
        value=windows,
        threshold=least,
        baseline=longest,
        message=(
            f"no event for {lasted}: {counted(windows, 'window')} in a row; before, {number(history.silences)} of "
            f"{counted(history.full, 'window')} with rows were followed by a window without"
        ),
        evidence={
            "silent_since_us": since,
            "silent_us": windows * length_us,
            "windows_with_rows": history.full,
            "silences": history.silences,
            "longest_silence_windows": longest,
        },
        p_value=silence.chance_of(history, windows),
    )

"""Shares of a window added to the evidence on each: which have moved, which still are, which are back.

A share that has moved is told in every window until the evidence says that it is back: the likelihood of the share
expected over that of the change, added up from the window where it is least (Page's test, the other way round). So an
incident lasts as long as the change and ends soon after it: the sooner, the clearer a single window shows the change.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparsewatch.detectors.sequential.evidence import (
    FORGOTTEN,
    Evidence,
    Floats,
    Seen,
    alternatives,
    log_evidence,
    log_needed,
    log_ratio,
    nothing,
    with_window,
)
from sparsewatch.schemas.alerts import Finding, counted
from sparsewatch.schemas.slow_changes import Moved, Observation, Observed, Watched
from sparsewatch.schemas.units import moment_text

#: Shares that are remembered at most: those with the most evidence. About 40 kB.
MOST_WATCHED = 256
#: Logarithm of the evidence on which a share counts as back: while it is still moved, chance says so once in at least a
#: hundred windows (Lorden 1971, theorem 2), and the fewer the less a window shows.
_BACK = math.log(100)
_NONE = Watched("", "")


class Judged(NamedTuple):
    """What a window shows of slow changes, and what is remembered behind it."""

    findings: list[Finding]
    watched: tuple[Watched, ...]


class _Span(NamedTuple):
    start_us: int
    length_us: int


def judge_shares(
    observed: Observed,
    watched: Sequence[Watched],
    window: tuple[int, int],
    found: Collection[str] = (),
) -> Judged:
    """Shares of a window, added to what is known of each.

    Args:
        observed: The shares, with what they are compared with.
        watched: What is remembered of the windows before it.
        window: Its start and end, microseconds since the epoch.
        found: Subjects on which another rule found something in the window: it is told, and the evidence begins anew.

    Returns:
        Findings in the order of the observations, at most one for each.
    """
    span = _Span(window[0], window[1] - window[0])
    known = {(one.rule, one.subject): one for one in watched}
    told: dict[tuple[str, str], Finding] = {}
    after: list[Watched] = []
    for falls in (True, False):
        own = [one for one in observed.shares if one.falls == falls and one.subject not in found]
        if own:
            before = [known.get((one.rule, one.subject), _NONE) for one in own]
            judged = _of_kind(Observed(tuple(own), observed.baseline), before, span, falls=falls)
            told |= {(finding.rule, finding.subject): finding for finding in judged.findings}
            after += judged.watched
    order = [(one.rule, one.subject) for one in observed.shares]
    return Judged([told[key] for key in order if key in told], _bounded(after))


def _of_kind(observed: Observed, before: Sequence[Watched], span: _Span, *, falls: bool) -> Judged:
    seen, steps = _seen(observed.shares), alternatives(two_sided=falls)
    evidence = with_window(_evidence(before, steps.size), seen, steps)
    values, needed = log_evidence(evidence, seen), log_needed(seen)
    findings, after = [], []
    for place, observation in enumerate(observed.shares):
        moved = before[place].moved
        if moved is not None:
            moved = _still_moved(moved, _seen([observation]))
        elif values[place] >= needed[place]:
            moved = _first_moved(evidence, place, math.exp(-values[place]), span)
        if moved is not None:
            findings.append(_finding(observation, moved, span, observed.baseline))
            after.append(Watched(observation.rule, observation.subject, moved=moved))
        elif before[place].moved is None and evidence.log_r[place].max() > FORGOTTEN:
            after.append(Watched(observation.rule, observation.subject, _packed(evidence, place)))
    return Judged(findings, tuple(after))


def _seen(observations: Sequence[Observation]) -> Seen:
    def column(name: str) -> Floats:
        return np.array([getattr(one, name) for one in observations], dtype=np.float64)

    return Seen(
        count=column("count"),
        rows=column("rows"),
        expected=column("expected"),
        step=column("step"),
        spread=column("spread"),
        level=column("level"),
        windows=column("windows"),
        alpha=column("alpha"),
    )


def _first_moved(evidence: Evidence, place: int, p_value: float, span: _Span) -> Moved:
    """The change that the strongest alternative tells."""
    best = int(np.argmax(evidence.log_r[place]))
    precision = float(evidence.precision[place, best])
    since_us = span.start_us - (max(1, round(float(evidence.age[place, best]))) - 1) * span.length_us
    return Moved(since_us, float(evidence.lean[place, best]) / precision, precision, p_value)


def _still_moved(moved: Moved, seen: Seen) -> Moved | None:
    """The change with one more window; None if the share is back."""
    back = max(0.0, moved.back - float(log_ratio(seen, np.array([[_at_least_one(moved.steps)]]))[0, 0]))
    if back >= _BACK:
        return None
    own = float(seen.precision[0])
    steps = (moved.steps * moved.precision + float(seen.deviation[0]) * own) / (moved.precision + own)
    return Moved(
        moved.since_us, steps if steps * moved.steps > 0 else moved.steps, moved.precision + own, moved.p_value, back
    )


def _at_least_one(steps: float) -> float:
    return math.copysign(max(1.0, abs(steps)), steps)


def _finding(observation: Observation, moved: Moved, span: _Span, baseline: Mapping[str, Any]) -> Finding:
    expected, step = observation.expected, observation.step
    value = min(1.0, max(0.0, expected + moved.steps * step))
    windows = (span.start_us - moved.since_us) // span.length_us + 1
    return Finding(
        rule=observation.rule,
        subject=observation.subject,
        severity="warning",
        value=value,
        threshold=expected + math.copysign(step, moved.steps),
        baseline=expected,
        message=_message(observation, value, windows, moved.since_us),
        evidence={
            "test": "sequential",
            "rows": observation.rows,
            "effect": value - expected,
            "since_us": moved.since_us,
            "windows": windows,
            "baseline": {**baseline, "windows": observation.windows},
        },
        p_value=moved.p_value,
    )


def _message(observation: Observation, value: float, windows: int, since_us: int) -> str:
    about = "are clicks" if observation.rule == "click_rate_shift" else "lack a value"
    prefix = "" if observation.rule == "click_rate_shift" else f"{observation.subject}: "
    return (
        f"{prefix}{value:.2%} of rows {about} since {moment_text(since_us)}, over {counted(windows, 'window')}; "
        f"{observation.expected:.2%} expected"
    )


def _evidence(before: Sequence[Watched], size: int) -> Evidence:
    evidence = nothing(len(before), size)
    for place, one in enumerate(before):
        found = np.frombuffer(one.evidence, "<f4").reshape(len(evidence), -1)
        # Other alternatives are those of another release.
        if found.shape[1] == size:
            for own, stored in zip(evidence, found, strict=True):
                own[place] = stored
    return evidence


def _packed(evidence: Evidence, place: int) -> bytes:
    return np.array([part[place] for part in evidence], "<f4").tobytes()


def _bounded(watched: list[Watched]) -> tuple[Watched, ...]:
    if len(watched) <= MOST_WATCHED:
        return tuple(watched)

    def weight(place: int) -> tuple[bool, float]:
        one = watched[place]
        return one.moved is None, -float(np.frombuffer(one.evidence, "<f4")[: len(one.evidence) // 16].max(initial=0))

    return tuple(watched[place] for place in sorted(sorted(range(len(watched)), key=weight)[:MOST_WATCHED]))

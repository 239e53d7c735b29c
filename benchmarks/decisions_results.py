"""The figures of `benchmarks.decisions`: from tallies and outcomes to results and tables."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from benchmarks.decisions_clean import Tally, rate_bounds
from benchmarks.decisions_delay import LEARNED, REACH, Delay, FalseAlarms
from benchmarks.decisions_faults import Before, Outcome
from benchmarks.decisions_plan import CleanRun, CleanTask, Found
from benchmarks.decisions_wafers import WITH_PATTERNS
from benchmarks.harness import Result, cost, number, rate

#: What one would want: an incident a day, hardly more than one a fault, and the right root suspect.
INCIDENTS_A_DAY, INCIDENTS_PER_FAULT, ROOT_SUSPECT_SHARE, SLICE_SHARE = 1.0, 1.2, 0.9, 0.8
#: Likewise, how long a change takes beside the best possible test.
DELAY_OVER_CUSUM = 2.0
#: Windows a day where a stream is judged by the hour.
_HOURS = 24
_THOUSAND = 1_000
#: Source of wafers that are not free of faults.
_PATTERNS = "with_patterns"


def results(found: Found) -> list[Result]:
    """All results: stretches without a fault, then faults, then what is weak, then delays."""
    return [
        *_clean(found.clean),
        *_before(found.before),
        *_faults(found.outcomes),
        *_weak(found),
        *_delays(found.delays),
        *_false_alarms(found.false_alarms),
    ]


def _clean(runs: Sequence[CleanRun]) -> Iterator[Result]:
    for job in dict.fromkeys(run.job for run in runs):
        groups: dict[tuple[int, str, bool], list[CleanRun]] = {}
        for run in runs:
            if run.job == job:
                groups.setdefault((run.task.features, _source(run.task), run.task.shuffled), []).append(run)
        for (_, source, is_shuffled), own in sorted(groups.items()):
            order = "shuffled" if is_shuffled else "in_order"
            name = f"{_name(job)}_{source}_{order}"
            yield _with_patterns(name, own) if source == _PATTERNS else _clean_result(f"clean_{name}", own)


def _source(task: CleanTask) -> str:
    if task.features:
        return f"seeded_{task.features}_features"
    if task.stream == WITH_PATTERNS:
        return _PATTERNS
    return "seeded" if task.stream == "drawn" else "real"


def _clean_result(name: str, runs: Sequence[CleanRun], target: float | None = INCIDENTS_A_DAY) -> Result:
    whole = total(run.tally for run in runs)
    low, high = rate_bounds(whole.incidents, whole.windows / _THOUSAND)
    streams = "; ".join(_clean_line(run) for run in runs if run.tally.alerts)
    silent = len([run for run in runs if not run.tally.alerts])
    note = (
        f"{whole.alerting} of {whole.windows:,} windows alert ({whole.compared:,} were compared), {whole.alerts} "
        f"alerts, {whole.episodes} episodes, {whole.incidents} incidents: per 1,000 windows "
        f"{whole.incidents / whole.windows * _THOUSAND:.1f}, 95 % bounds {low:.1f} to {high:.1f}; windows are an hour "
        f"each; silent: {silent} of {len(runs)} stretches{'; others: ' if streams else ''}{streams}."
    )
    return cost(name, whole.incidents / whole.windows * _HOURS, "incidents a day", target=target, note=note)


def _with_patterns(name: str, runs: Sequence[CleanRun]) -> Result:
    """Of real wafers with their patterns: what is found is no false alarm where the labels confirm it."""
    one, whole = _clean_result(name, runs, None), total(run.tally for run in runs)
    note = f"the labels confirm {whole.confirmed} of {whole.incidents} incidents; {one.note}"
    return msgspec.structs.replace(one, note=note)


def _clean_line(run: CleanRun) -> str:
    task, one = run.task, run.tally
    shape = f"{task.features} features, " if task.features else ""
    own = f", {one.alerts / one.days:.1f} alerts a day of its own time" if one.days else ""
    return (
        f"{task.stream} ({shape}{task.a_window:,} rows) {one.alerting} of {one.windows} windows, {one.alerts} alerts, "
        f"{one.episodes} episodes, {one.incidents} incidents{own}"
    )


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum."""
    return sum(tallies, Tally())


def _before(before: Sequence[Before]) -> Iterator[Result]:
    for job in dict.fromkeys(one.job for one in before):
        own = [one for one in before if one.job == job]
        windows, alerts = sum(one.windows for one in own), sum(one.alerts for one in own)
        low, high = rate_bounds(alerts, windows / _THOUSAND)
        note = f"{alerts} alerts in {windows:,} windows; 95 % bounds {low:.2f} to {high:.2f}."
        yield cost(f"false_before_fault_{_name(job)}", alerts / windows * _THOUSAND, "per 1,000 windows", note=note)


def _faults(outcomes: Sequence[Outcome]) -> Iterator[Result]:
    for kind, jobs in (("ctr", ("reference", "learning")), ("rows", ("row model",))):
        own = [one for one in outcomes if one.job in jobs]
        if own:
            yield from _summary(kind, own)
            yield from _places([one for one in own if one.place is not None and one.job == "reference"])
            for fault in dict.fromkeys(one.fault for one in own):
                yield _fault(f"{kind}_{fault}", [one for one in own if one.fault == fault])


def _summary(kind: str, outcomes: Sequence[Outcome]) -> Iterator[Result]:
    for job in dict.fromkeys(one.job for one in outcomes):
        own = [one for one in outcomes if one.job == job]
        hits = [one for one in own if one.delay is not None]
        name = f"{kind}_{_name(job)}"
        yield rate(f"{name}_found_share", share(own, _is_found), "of runs", note=f"{len(own)} runs.")
        if hits:
            yield cost(
                f"{name}_incidents_per_fault",
                statistics.mean(one.incidents for one in hits),
                "incidents",
                target=INCIDENTS_PER_FAULT,
                note=f"of {statistics.mean(one.alerts for one in hits):.1f} alerts; faults last six windows.",
            )
            yield rate(
                f"{name}_root_suspect_share",
                share(hits, _is_named),
                "of faults found",
                target=ROOT_SUSPECT_SHARE,
                note=f"in the first window; the subject of any of its alerts: {share(hits, _is_named_by_any):.2f}.",
            )


def _places(outcomes: Sequence[Outcome]) -> Iterator[Result]:
    """Of faults in a slice of rows that are found: whether the root suspect's alert names it."""
    if not outcomes:
        return
    by_fault = {
        name: [one for one in outcomes if one.fault == name] for name in dict.fromkeys(o.fault for o in outcomes)
    }
    shares = ", ".join(f"{name} {share(own, _is_placed):.2f} of {len(own)}" for name, own in by_fault.items())
    silent = sum(not one.place for one in outcomes)
    wrong = sum(bool(one.place) and not one.is_placed for one in outcomes)
    note = f"the same rows to four fifths, in the first window: {shares}; {silent} name none, {wrong} another."
    yield rate("ctr_reference_slice_share", share(outcomes, _is_placed), "of found", target=SLICE_SHARE, note=note)


def _fault(name: str, outcomes: Sequence[Outcome]) -> Result:
    """Found by any of the jobs of its kind; a line for each strength and job in the note."""
    runs: dict[tuple[float, str, int], list[Outcome]] = {}
    for one in outcomes:
        runs.setdefault((one.strength, one.stream, one.seed), []).append(one)
    found = [any(map(_is_found, them)) for them in runs.values()]
    lines = [
        f"{strength:g}: "
        + ", ".join(
            strength_line(job, [one for one in outcomes if one.strength == strength and one.job == job])
            for job in dict.fromkeys(one.job for one in outcomes)
        )
        for strength in dict.fromkeys(one.strength for one in outcomes)
    ]
    return rate(name, statistics.mean(found), "found, all strengths", note=f"{'; '.join(lines)}.")


def strength_line(job: str, outcomes: Sequence[Outcome]) -> str:
    """What a job made of a fault at one strength, in a line."""
    hits = [one for one in outcomes if one.delay is not None]
    text = f"{job} {len(hits)} of {len(outcomes)}"
    if not hits:
        return text
    delay = statistics.median(one.delay or 0 for one in hits)
    incidents, alerts = (statistics.mean(getattr(one, name) for one in hits) for name in ("incidents", "alerts"))
    told = f"{incidents:.1f} incidents of {alerts:.1f} alerts, root suspect right {share(hits, _is_named):.2f}"
    return f"{text} (delay {number(delay)}, {told})"


def _weak(found: Found) -> Iterator[Result]:
    """What no job found in any run, at its greatest strength and at all."""
    for kind, jobs in (("ctr", ("reference", "learning")), ("rows", ("row model",))):
        own = [one for one in found.outcomes if one.job in jobs]
        if not own:
            continue
        cells = list(dict.fromkeys((one.fault, one.strength) for one in own))
        missed = [cell for cell in cells if not _any_found(own, *cell)]
        named = ", ".join(f"{fault} {strength:g}" for fault, strength in missed) or "none"
        yield Result(
            name=f"weak_{kind}_never_found",
            value=len(missed),
            unit=f"of {len(cells)} faults and strengths",
            target=0,
            met=not missed,
            note=f"in none of the runs: {named}.",
        )


def _delays(delays: Sequence[Delay]) -> Iterator[Result]:
    within = [one for one in delays if one.ratio is not None]
    if not within:
        return
    worst = max(within, key=lambda one: one.ratio or 0.0)
    note = (
        f"the longest of {len(within)} rates, volumes and losses that the best test finds within {REACH} windows, of "
        f"{len(delays)}; median {statistics.median(one.ratio or 0.0 for one in within):.2f}; longest at a rate of "
        f"{worst.rate:g}, {worst.rows:,} rows, {worst.change:.0%}. A reference of {LEARNED} windows; mean delays."
    )
    yield cost("delay_over_cusum", worst.ratio or 0.0, "times", target=DELAY_OVER_CUSUM, note=note)
    for rate_of in dict.fromkeys(one.rate for one in delays):
        own = [one for one in delays if one.rate == rate_of]
        longest = max((one.ratio for one in own if one.ratio is not None), default=0.0)
        lines = [
            _of_rows(rows, [one for one in own if one.rows == rows]) for rows in dict.fromkeys(d.rows for d in own)
        ]
        name = f"delay_over_cusum_{1_000 * rate_of:g}_clicks_in_1000"
        yield cost(name, longest, "times", target=DELAY_OVER_CUSUM, note=f"{'; '.join(lines)}.")


def _of_rows(rows: int, delays: Sequence[Delay]) -> str:
    cells = [f"{one.change:.0%} {_beside(one)}" for one in delays]
    return f"{rows:,} rows: {', '.join(cells)}"


def _beside(one: Delay) -> str:
    if one.own is None or one.best is None:
        return "beyond reach"
    missed = f", {one.missed:.0%} not found" if one.missed else ""
    return f"{one.own:.1f} (best {one.best:.1f}{missed})"


def _false_alarms(runs: Sequence[FalseAlarms]) -> Iterator[Result]:
    if not runs:
        return
    ratios = [one.windows / max(one.alarms, 1) / one.asked for one in runs]
    lines = [
        f"{one.name}: {one.alarms} in {one.windows:,} windows ({ratio:.1f})"
        for one, ratio in zip(runs, ratios, strict=True)
    ]
    note = f"windows to a false alarm over those asked for, {runs[0].asked:,.0f}. {'; '.join(lines)}."
    yield rate("slow_windows_to_false_alarm", min(ratios), "times those asked for", target=1.0, note=note)


def _any_found(outcomes: Sequence[Outcome], fault: str, strength: float) -> bool:
    return any(_is_found(one) for one in outcomes if one.fault == fault and one.strength == strength)


def share(outcomes: Sequence[Outcome], holds: Callable[[Outcome], bool]) -> float:
    """The share of outcomes of which something holds."""
    return sum(map(holds, outcomes)) / len(outcomes)


def _is_found(one: Outcome) -> bool:
    return one.delay is not None


def _is_named(one: Outcome) -> bool:
    return one.named


def _is_placed(one: Outcome) -> bool:
    return one.is_placed


def _is_named_by_any(one: Outcome) -> bool:
    return one.named_by_any


def _name(job: str) -> str:
    return job.replace(" ", "_")

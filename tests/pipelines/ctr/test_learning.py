"""A job of clicks without a reference: what it learns of its windows, what it does not, and what it tells meanwhile."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import polars as pl
import pytest

from benchmarks.decisions_job import Measured, WindowedJob, measure_window
from benchmarks.decisions_seeded import Recipe, seeded
from benchmarks.decisions_streams import LABEL
from benchmarks.decisions_streams import WINDOW_US as HOUR_US
from benchmarks.faults.stretch import TIME
from sparsewatch.detectors.learned_windows import RENEWAL
from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.orders import Order, identified

pytestmark = pytest.mark.long

WINDOW_US = 300_000_000
START_US = 1_700_006_400_000_000
#: Windows that are learned before the first is checked, behind the first one, which may be incomplete.
LEARNED = 13
#: Those of a whole baseline.
WHOLE = 26
COLUMNS = {"site": "str", "ad": "str", "device": "str", LABEL: "int"}


class Run:
    """A job and what it remembers; windows of five minutes come one after the other."""

    def __init__(self) -> None:
        self.job = WindowedJob({"kind": "ctr", "label": LABEL, "columns": COLUMNS}, WINDOW_US)
        self.state = self.job.first
        self.windows: list[Measured] = []
        self.opened: list[str] = []

    def reads(self, windows: Iterable[pl.DataFrame], orders: Sequence[Order] = ()) -> list[list[Alert]]:
        """The alerts of each window."""
        told = []
        for rows in windows:
            start_us = self.next_us
            measured = measure_window(self.job.new, COLUMNS, rows, (start_us, start_us + WINDOW_US))
            decided, self.state = self.job.decide(self.state, measured, orders)
            self.windows.append(measured)
            self.opened += decided.opened
            told.append(decided.alerts)
        return told

    @property
    def next_us(self) -> int:
        """Start of the window that comes next."""
        return START_US + len(self.windows) * WINDOW_US


def usual(count: int, seed: int, rows: int = 600) -> list[pl.DataFrame]:
    """Windows without a fault: sites that differ in their clicks, ads, devices."""
    return [_window(np.random.default_rng([seed, at]), rows) for at in range(count)]


def _window(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    n = int(rng.poisson(rows))
    sites = rng.choice(8, n, p=np.arange(8, 0, -1) / 36)
    return pl.DataFrame(
        {
            "site": pl.Series([f"site-{at}" for at in sites]),
            "ad": pl.Series([f"ad-{at}" for at in rng.integers(0, 30, n)]),
            "device": pl.Series([f"device-{at}" for at in rng.integers(0, 3, n)]),
            LABEL: (rng.random(n) < 0.1 + 0.03 * sites).astype(np.int64),
            TIME: np.zeros(n, np.int64),
        }
    )


def lacking(windows: Iterable[pl.DataFrame], column: str, share: float) -> list[pl.DataFrame]:
    """The windows without some of a column's values."""
    gone = pl.int_range(pl.len()) % 100 < 100 * share
    return [rows.with_columns(pl.when(gone).then(None).otherwise(pl.col(column)).alias(column)) for rows in windows]


def named(windows: Iterable[pl.DataFrame], share: float, text: str) -> list[pl.DataFrame]:
    """The windows with other names of some sites."""
    chosen = pl.int_range(pl.len()) % 100 < 100 * share
    return [
        rows.with_columns(pl.when(chosen).then(pl.lit(text) + pl.col("site")).otherwise(pl.col("site")).alias("site"))
        for rows in windows
    ]


def subjects(told: Iterable[Sequence[Alert]]) -> list[set[str]]:
    """What each window's alerts are about."""
    return [{alert.subject for alert in alerts} for alerts in told]


def is_silent(told: Iterable[Sequence[Alert]]) -> bool:
    """Whether no window raised an alert."""
    return not any(told)


def test_a_baseline_learned_over_a_bad_first_hour_heals() -> None:
    run = Run()
    assert is_silent(run.reads(lacking(usual(LEARNED, 1), "site", 1.0)))
    assert subjects(run.reads(usual(1, 2))) == [{"site"}]
    run.reads(usual(2 * LEARNED, 3))
    assert len(run.opened) == 1
    assert is_silent(run.reads(usual(8, 4)))
    assert subjects(run.reads(lacking(usual(2, 5), "site", 1.0))) == [{"site"}] * 2


def test_one_bad_window_among_the_first_does_no_harm() -> None:
    run, first = Run(), usual(LEARNED, 1)
    first[5:6] = lacking(first[5:6], "site", 1.0)
    assert is_silent(run.reads([*first, *usual(8, 2)]))
    assert subjects(run.reads(lacking(usual(1, 3), "site", 0.3))) == [{"site"}]


def test_the_repaired_batch_is_silent_and_the_bad_one_alerts_again() -> None:
    run = Run()
    run.reads(usual(LEARNED, 1))
    bad = lacking(usual(1, 2), "device", 0.4)
    assert subjects(run.reads(bad)) == [{"device"}]
    assert is_silent(run.reads(usual(1, 2)))
    assert subjects(run.reads(bad)) == [{"device"}]
    assert run.opened == ["bench-1"]


def test_a_change_for_good_is_one_incident_and_silent_once_accepted() -> None:
    run = Run()
    run.reads(usual(WHOLE, 1))
    since_us = run.next_us
    assert subjects(run.reads(lacking(usual(3, 2), "site", 0.3))) == [{"site"}] * 3
    assert run.opened == ["bench-1"]
    order = Order(
        job="bench",
        verb="accept",
        by="somebody",
        at_us=1,
        from_us=run.next_us,
        incident="bench-1",
        subjects=("site",),
        since_us=since_us,
    )
    order = identified(order)
    assert is_silent(run.reads(lacking(usual(20, 3), "site", 0.3), [order]))
    assert subjects(run.reads(lacking(usual(1, 4), "site", 0.8), [order])) == [{"site"}]


def test_rows_sent_twice_are_found_and_rows_that_lose_a_value_are_no_copies() -> None:
    rng = np.random.default_rng(9)

    def numbered(windows: Iterable[pl.DataFrame]) -> list[pl.DataFrame]:
        return [
            rows.with_columns(ad=pl.Series([f"ad-{one}" for one in rng.integers(0, 1 << 60, rows.height)]))
            for rows in windows
        ]

    run = Run()
    assert is_silent(run.reads(numbered(usual(LEARNED + 4, 1))))
    twice = [pl.concat([rows, rows.head(rows.height // 5)]) for rows in numbered(usual(1, 2))]
    [alerts] = run.reads(twice)
    assert "rows_duplicated" in {alert.rule for alert in alerts}
    run.reads(numbered(usual(4, 3)))
    assert subjects(run.reads(lacking(numbered(usual(1, 4)), "ad", 0.5))) == [{"ad"}]


def test_values_in_other_rows_than_theirs_are_found_and_not_learned() -> None:
    rng = np.random.default_rng(10)

    def determined(windows: Iterable[pl.DataFrame], share: float = 0.0) -> list[pl.DataFrame]:
        """The windows with an advertisement of each site, some of them in other rows."""
        return [rows.with_columns(ad=_dealt(pl.lit("ad of ") + rows["site"], share)) for rows in windows]

    def _dealt(values: pl.Expr, share: float) -> pl.Series:
        own = pl.select(values).to_series()
        some = np.flatnonzero(rng.random(own.len()) < share)
        return own.scatter(some, own.gather(rng.permutation(some)))

    run = Run()
    assert is_silent(run.reads(determined(usual(WHOLE, 1))))
    told = run.reads(determined(usual(40, 2), 0.3))
    assert [{alert.rule for alert in alerts} for alerts in told] == [{"feature_link_lost"}] * 40
    assert len(run.opened) == 1
    assert is_silent(run.reads(determined(usual(4, 3))))


def test_where_a_fault_is_stays_known_while_it_lasts() -> None:
    run = Run()
    run.reads(usual(WHOLE, 1))
    faulty = [rows.with_columns(ad=pl.when(pl.col("site") != "site-0").then(pl.col("ad"))) for rows in usual(60, 2)]
    alerts = [one for told in run.reads(faulty) for one in told if one.rule == "feature_nulls"]
    assert len(alerts) == 60
    slices = [one.evidence["slice"] for one in alerts]
    assert {(one["where"], one["before"]) for one in slices} == {("site = site-0", 0.0)}


def test_a_fault_that_lasts_is_one_incident_and_is_not_learned() -> None:
    run = Run()
    run.reads(usual(WHOLE, 1))
    told = run.reads(lacking(usual(60, 2), "device", 0.3))
    assert subjects(told) == [{"device"}] * 60
    assert run.opened == ["bench-1"]
    assert {alert.baseline for alerts in told for alert in alerts if alert.rule == "feature_nulls"} == {0.0}
    assert is_silent(run.reads(usual(4, 3)))


def test_new_values_are_told_once_and_learned() -> None:
    run = Run()
    run.reads(usual(WHOLE, 1))
    told = subjects(run.reads(named(usual(20, 2), 0.2, "new-")))
    assert told[0] == {"site"}
    assert not any(told[RENEWAL:])
    assert run.opened == ["bench-1"]


def test_another_hash_is_not_learned() -> None:
    run = Run()
    run.reads(usual(WHOLE, 1))
    assert subjects(run.reads(named(usual(30, 2), 1.0, "hash-"))) == [{"site"}] * 30
    assert run.opened == ["bench-1"]


def test_the_rhythm_of_the_day_is_learned_and_a_loss_inside_it_is_found() -> None:
    recipe = Recipe(name="day", volume_cycle=5, rate_cycle=2)
    stream = seeded(recipe, "ctr", features=4, a_window=1_500, count=24 * 5, seed=11)
    job = WindowedJob({"kind": "ctr", "label": LABEL, "columns": dict(stream.columns)}, HOUR_US)
    state, told = job.first, []
    for at, rows in enumerate(stream.windows()):
        span = (START_US + at * HOUR_US, START_US + (at + 1) * HOUR_US)
        # At its height the stream has more rows with this loss than at its lowest without one.
        lossy = measure_window(job.new, stream.columns, rows[: int(0.4 * rows.height)], span)
        if at % 24 == 6 and at > 72:
            assert [(one.rule, one.subject) for one in job.decide(state, lossy)[0].alerts] == [("volume_low", "stream")]
            assert lossy.rows > 1_500 / 5**0.5
        decided, state = job.decide(state, measure_window(job.new, stream.columns, rows, span))
        told.append(decided.alerts)
    assert is_silent(told[48:])


def test_decided_again_from_any_window_on_the_alerts_are_the_same_to_the_byte() -> None:
    run, states, told = Run(), [], []
    good = usual(20, 1)
    stream = [*good[:15], *lacking(good[15:18], "device", 0.4), *named(good[18:], 0.2, "new-")]
    for rows in stream:
        states.append(run.state)
        told += run.reads([rows])
    assert [bool(alerts) for alerts in told] == [False] * 15 + [True] * 5
    for begin in range(len(stream)):
        again, state = Run().job, states[begin]
        for at in range(begin, len(stream)):
            decided, state = again.decide(state, run.windows[at])
            assert msgspec.json.encode(decided.alerts) == msgspec.json.encode(told[at])
        assert state.books == run.state.books


def test_what_is_remembered_does_not_depend_on_where_a_run_that_was_killed_goes_on() -> None:
    job = WindowedJob({"kind": "ctr", "label": LABEL, "columns": COLUMNS}, HOUR_US)
    states, stream = [job.first], []
    for at, rows in enumerate(usual(WHOLE + RENEWAL, 1, rows=200)):
        span = (START_US + at * HOUR_US, START_US + (at + 1) * HOUR_US)
        stream.append(measure_window(job.new, COLUMNS, rows, span))
        states.append(job.decide(states[-1], stream[-1])[1])
    # The click rate of a day is watched against the whole history, which grows with each window.
    for begin in range(WHOLE, len(stream)):
        again = WindowedJob({"kind": "ctr", "label": LABEL, "columns": COLUMNS}, HOUR_US)
        assert again.decide(states[begin], stream[begin])[1].books == states[begin + 1].books


def test_hours_and_dates_are_recognised_and_their_change_is_no_incident() -> None:
    columns = {**COLUMNS, "hour": "str", "date": "str"}
    job = WindowedJob({"kind": "ctr", "label": LABEL, "columns": columns}, WINDOW_US)
    state, told, timely = job.first, set(), []
    for at, rows in enumerate(usual(60, 3)):
        # The hour changes with the eighth window, then with each twelfth.
        start_us = START_US + 24 * HOUR_US - (8 + 36 - at) * WINDOW_US
        hour = datetime.fromtimestamp(start_us / 1e6, UTC)
        timed = rows.with_columns(hour=pl.lit(f"{hour:%H}h"), date=pl.lit(f"{hour:%Y-%m-%d}"))
        measured = measure_window(job.new, columns, timed, (start_us, start_us + WINDOW_US))
        decided, state = job.decide(state, measured)
        told |= {alert.subject for alert in decided.alerts}
        timely = decided.summary["baseline"].get("timely")
    assert told.isdisjoint({"hour", "date"})
    assert timely == ["date", "hour"]

"""A wafer job learns what share of wafers shows each pattern: an excess is told once, and what comes again is usual."""

from collections.abc import Sequence

import pytest

from benchmarks.decisions_job import Decided, Measured, WindowedJob
from sparsewatch.detectors.wafers.window_counts import NovelWafer, WaferCounts
from sparsewatch.schemas.orders import Order, identified
from tests.kit.wafer_models import tiny_model

WINDOW_US, START_US, WAFERS = 3_600_000_000, 1_700_006_400_000_000, 100


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model().save(tmp_path_factory.mktemp("models") / "wafers", metrics={}, training={}))


class Run:
    """A job and what it remembers; windows come one after the other."""

    def __init__(self, model: str, *, thresholds: dict[str, object] | None = None, **learning: object) -> None:
        wafers = {"model": model, "learning": learning, "thresholds": thresholds or {}}
        wafers["patterns"] = {"windows": 0, "history": 0}
        self.job = WindowedJob({"kind": "wafer", "wafers": wafers}, WINDOW_US)
        self.state, self.count = self.job.first, 0

    @property
    def next_us(self) -> int:
        return START_US + self.count * WINDOW_US

    def reads(self, count: int, edge_ring: int = 2, novel: int = 1, orders: Sequence[Order] = ()) -> list[Decided]:
        """Windows of a hundred wafers, some with a ring, some novel, others normal."""
        found = []
        for _ in range(count):
            counts = WaferCounts(
                wafers=WAFERS,
                verdicts={"known": edge_ring, "normal": WAFERS - edge_ring - novel, "novel": novel},
                patterns={"edge_ring": edge_ring, "normal": WAFERS - edge_ring - novel},
                models={"wafers-1": WAFERS},
                false_novel_rates={"wafers-1": 0.02},
                novel=[NovelWafer(0.001, str(n), str(n), "A", "", "edge_ring", 9.0) for n in range(min(novel, 20))],
            )
            measured = Measured(
                start_us=self.next_us,
                end_us=self.next_us + WINDOW_US,
                state=counts.to_bytes(),
                rows=WAFERS,
                results=WAFERS,
            )
            decided, self.state = self.job.decide(self.state, measured, orders)
            self.count += 1
            found.append(decided)
        return found


def told(found: Sequence[Decided]) -> list[set[str]]:
    return [{f"{alert.rule} {alert.subject}" for alert in one.alerts} for one in found]


def opened(found: Sequence[Decided]) -> int:
    return sum(len(one.opened) for one in found)


def test_a_pattern_of_which_nobody_stated_a_rate_is_told_when_more_wafers_show_it(model: str) -> None:
    run = Run(model)
    assert opened(run.reads(20)) == 0
    found = run.reads(6, edge_ring=40)
    assert told(found) == [{"pattern_rate_high edge_ring"}] * 6
    assert opened(found) == 1
    alert = found[0].alerts[0]
    assert alert.message == "40 of 100 wafers show 'edge_ring' (2.00% usual over 19 windows)"
    # It ends, and comes again.
    assert told(run.reads(10))[1:] == [set()] * 9
    assert told(run.reads(1, edge_ring=40)) == [{"pattern_rate_high edge_ring"}]


def test_nothing_is_told_of_it_before_enough_windows_are_learned_or_without_learning(model: str) -> None:
    assert opened(Run(model).reads(10, edge_ring=40)) == 0
    off = Run(model, enabled=False)
    assert opened([*off.reads(20), *off.reads(5, edge_ring=40)]) == 0
    assert "baseline" not in off.reads(1)[0].summary


def test_a_rate_that_is_stated_stays_the_one_that_counts(model: str) -> None:
    run = Run(model, thresholds={"expected_rates": {"edge_ring": 0.5}})
    assert opened([*run.reads(20), *run.reads(5, edge_ring=40)]) == 0
    strict = Run(model, thresholds={"expected_rates": {"edge_ring": 0.02}})
    assert told(strict.reads(30, edge_ring=40)) == [{"pattern_rate_high edge_ring"}] * 30


def test_wafers_that_look_unknown_from_the_beginning_are_told_once_and_then_usual(model: str) -> None:
    run = Run(model)
    first = run.reads(13, novel=15)
    assert opened(first) == 1
    assert told(first)[0] == {"novel_pattern wafers"}
    later = run.reads(12, novel=15)
    assert told(later) == [set()] * 12
    assert later[-1].summary["baseline"]["usual"] == ["novel_pattern wafers"]
    # Far more of them are told.
    assert told(run.reads(1, novel=70)) == [{"novel_pattern wafers"}]


def test_a_short_excess_that_comes_again_becomes_usual_and_a_long_one_does_not(model: str) -> None:
    run = Run(model)
    run.reads(25)
    found = [one for _ in range(6) for one in (*run.reads(1, edge_ring=30), *run.reads(5))]
    assert told(found[:1]) == [{"pattern_rate_high edge_ring"}]
    assert told(found[-12:]) == [set()] * 12
    long = Run(model)
    long.reads(25)
    assert told(long.reads(60, edge_ring=30)) == [{"pattern_rate_high edge_ring"}] * 60


def test_what_a_person_accepts_is_learned(model: str) -> None:
    run = Run(model)
    run.reads(25)
    since_us = run.next_us
    assert opened(run.reads(14, edge_ring=30)) == 1
    accepted = identified(
        Order(
            job="bench",
            verb="accept",
            by="me",
            at_us=0,
            from_us=run.next_us,
            since_us=since_us,
            subjects=("edge_ring",),
        )
    )
    assert told(run.reads(20, edge_ring=30, orders=[accepted])) == [set()] * 20


def test_the_same_windows_give_the_same_alerts_when_they_are_read_again(model: str) -> None:
    one, other = Run(model), Run(model)
    one.reads(20)
    other.reads(20)
    # Another worker has only what was stored.
    again = Run(model)
    again.state, again.count = other.state, other.count
    assert [a.alerts for a in one.reads(5, edge_ring=40)] == [b.alerts for b in again.reads(5, edge_ring=40)]


def test_orders_are_about_all_wafers_or_a_pattern_of_the_model(model: str) -> None:
    assert Run(model).job.job.learned_subjects(["lot"]) == ("wafers", "center", "edge_ring", "normal")

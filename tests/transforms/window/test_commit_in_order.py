"""The committing step, whatever order, instances and failures a runner has in store, against a slow count."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import apache_beam as beam
import msgspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import (
    PROGRESS,
    Account,
    Ack,
    Marker,
    Progress,
    ResumePoint,
    ack_part,
    marker_part,
    measure_part,
    sort_parts,
)
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.errors import SinkError
from sparsewatch.schemas.incidents import Incident, Incidents, Member, member_of
from sparsewatch.schemas.jobs import JobIdentity, Topics
from sparsewatch.schemas.orders import Named, Order, Verb, identified
from sparsewatch.schemas.stream_history import StreamHistory
from sparsewatch.testing import FakeBroker, FakeRecord
from sparsewatch.transforms.kafka.instances import write_standing
from sparsewatch.transforms.kafka.orders import send_order
from sparsewatch.transforms.kafka.progress import load_progress
from sparsewatch.transforms.window.close_windows import CloseWindows, close_window
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.commit_in_order import CommitInOrder
from sparsewatch.transforms.window.measure import Conclusion, Learning, LookBack, Window
from sparsewatch.transforms.window.panes import CHUNK_BYTES, Pane
from tests.kit.keyed_step import KeyedStep, instance

TOPICS = Topics(source="t", prefix="j")
LENGTH_US = 10_000_000
FIRST_US = 170_000_000 * LENGTH_US


class CountRows:
    """Adds up numbers; its pane is the sum. Sums of ODD rows and more are odd, of two features by turns."""

    results_per_row = False

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        rows = sum(map(int, measures))
        found = [nulls(f"f{rows % 2}")] if rows >= ODD else []
        state = str(rows).encode()
        return Conclusion(rows, {"complete_seen": window.complete}, found, pane=state, learnable=state)


#: Rows from which on a window has a finding.
ODD = 10


def nulls(feature: str) -> Finding:
    return Finding(
        rule="feature_nulls", subject=feature, severity="warning", value=1, threshold=1, baseline=0, message="nulls"
    )


class Rows:
    """A view: the rows of the window and of two before it."""

    panes = 3

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        return Conclusion(summary={"view": [int(p.state) for p in (*earlier, pane)]})

    def close(self) -> None: ...


class Learns:
    """A baseline of five windows that tells which ones it met; which one is let go seems to follow no rule."""

    size = 5

    def __call__(self, window: Window, found: Conclusion, kept: Sequence[Pane], orders: Sequence[Order]) -> Conclusion:
        return Conclusion(summary={"met": [pane.start_us for pane in kept]})

    def learn(
        self, window: Window, found: Conclusion, kept: Sequence[Pane], wrong: Sequence[Finding | Member]
    ) -> bytes | None:
        # Of more than a record, so that it may be written in part.
        return str(window.start_us).encode() * (CHUNK_BYTES // 15) if found.rows % 3 else None

    def spare(self, kept: Sequence[Pane]) -> Pane:
        assert len(kept) == self.size
        return kept[sum(pane.start_us // LENGTH_US for pane in kept) ** 2 % 7 % self.size]


@dataclass(frozen=True)
class Closing:
    """A window as its readers closed it: its number, rows on time and late records by reader."""

    number: int
    rows: dict[int, int]
    late: dict[int, int] = field(default_factory=dict)
    #: Late records whose writing was acknowledged, all if None.
    acknowledged: int | None = None

    @property
    def start_us(self) -> int:
        return FIRST_US + self.number * LENGTH_US


def parts_of(windows: Sequence[Closing]) -> list[list[bytes]]:
    """The parts of windows in their order, with the markers that their readers number."""
    sequences: dict[int, int] = {}
    found = []
    for window in windows:
        late = sum(window.late.values())
        parts = [ack_part(Ack(late=late if window.acknowledged is None else window.acknowledged))]
        for reader, rows in window.rows.items():
            sequences[reader] = sequences.get(reader, 0) + 1
            parts += [measure_part(str(rows).encode()), marker_part(_marker(window, reader, sequences[reader]))]
        found.append(parts)
    return found


def _marker(window: Closing, reader: int, sequence: int) -> Marker:
    return Marker(
        reader=reader,
        sequence=sequence,
        window_us=window.start_us,
        window_end_us=window.start_us + LENGTH_US,
        account=Account(counted=window.rows[reader], late=window.late.get(reader, 0)),
        resume={reader: ResumePoint(offset=sequence, newest_us=window.start_us, high=sequence)},
    )


def closed_of(windows: Sequence[Closing]) -> list[bytes]:
    """The windows, concluded."""
    closed = []
    for window, parts in zip(windows, parts_of(windows), strict=True):
        found = close_window(window.start_us, window.start_us + LENGTH_US, sort_parts(parts), CountRows())
        assert found is not None
        closed.append(found.to_bytes())
    return closed


class Broker(FakeBroker):
    """A broker with the topics of a job, and what was written to them as JSON."""

    def __init__(self) -> None:
        super().__init__()
        for topic in ("progress", "panes", "baseline", "windows", "metrics", "alerts", "incidents", "orders"):
            self.create(TOPICS.named(topic))
        self.identity = JobIdentity(
            job="j", settings_digest="d", kafka=self.settings, topics=TOPICS, instance=instance(1)
        )

    def of(self, topic: str) -> list[Any]:
        return [msgspec.json.decode(value or b"null") for value in self.values(topic)]

    def step(
        self, look_back: LookBack | None = None, learning: Learning | None = None, readers: int = 0
    ) -> CommitInOrder:
        return CommitInOrder(self.identity, look_back, None, learning=learning, readers=readers)

    def commits(self) -> list[Progress]:
        """What was committed, but for the stream's history and its incidents."""
        found = [PROGRESS.parse(r.value or b"", Progress) for r in self.records(TOPICS.progress) if r.key == b"j"]
        return [msgspec.structs.replace(one, stream=StreamHistory(), incidents=Incidents()) for one in found]

    def incidents(self) -> tuple[Incidents, dict[str, Any]]:
        """Incidents as committed last, and as others read them: the newest record of each."""
        last = [r.value or b"" for r in self.records(TOPICS.progress) if r.key == b"j"][-1]
        return PROGRESS.parse(last, Progress).incidents, {one["id"]: one for one in self.of(TOPICS.incidents)}

    def alerts(self) -> set[tuple[str, str]]:
        """Alerts and the incident of each, by id."""
        return {(alert["id"], alert["incident"]) for alert in self.of(TOPICS.alerts)}

    def give(self, *orders: Order) -> None:
        """Give orders to the job."""
        writer = self.writer()
        for order in orders:
            send_order(order, self.identity, writer)
        writer.flush()

    def waiting(self) -> list[float]:
        return [s["value"] for s in self.of(TOPICS.metrics) if s["name"] == "sparsewatch_windows_waiting"]


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


WINDOWS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.dictionaries(st.integers(0, 2), st.integers(0, 9), min_size=1),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=14,
).map(
    lambda steps: [
        Closing(sum(s[0] for s in steps[: i + 1]), rows, {min(rows): late}) for i, (_, rows, late) in enumerate(steps)
    ]
)


def orders_of(given: Sequence[tuple[int, Verb, int, str]]) -> list[Order]:
    """Orders from their windows on, about incidents and features; an unmute cancels all before it."""
    orders: list[Order] = []
    for at_us, (window, verb, number, feature) in enumerate(given):
        order = Order(
            job="j",
            verb=verb,
            by="ada",
            at_us=at_us,
            from_us=FIRST_US + window * LENGTH_US,
            incident=f"j-{number}",
            findings=(Named("feature_nulls", feature),) if verb == "mute" else (),
            cancels=tuple(order.id for order in orders) if verb == "unmute" else (),
        )
        orders.append(identified(order))
    return orders


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sampled_from(get_args(Verb)),
        st.integers(1, 3),
        st.sampled_from(["f0", "f1"]),
    ),
    max_size=4,
).map(orders_of)


def progress_after(windows: Sequence[Closing]) -> Progress:
    """The slow way: the account of all windows."""
    sequences = {r: sum(r in w.rows for w in windows) for w in windows for r in w.rows}
    return Progress(
        job="j",
        topic="t",
        settings="d",
        closed_end_us=windows[-1].start_us + LENGTH_US,
        partitions={
            r: ResumePoint(offset=n, newest_us=max(w.start_us for w in windows if r in w.rows), high=n)
            for r, n in sequences.items()
        },
        sequences=sequences,
        totals=Account(
            counted=sum(sum(w.rows.values()) for w in windows), late=sum(sum(w.late.values()) for w in windows)
        ),
        windows=len(windows),
    )


def view(windows: Sequence[Closing], number: int) -> list[int]:
    """The slow way: rows of the windows that a view sees."""
    return [sum(w.rows.values()) for w in windows if number - 2 <= w.number <= number]


# The state of before comes back to the very instance that had written it, while another one has committed since.
@example(windows=[Closing(n, {0: 0}, {0: 0}) for n in range(1, 10)], seed=0, views=True, orders=[], readers=1)
@given(windows=WINDOWS, seed=st.integers(0, 2**32 - 1), views=st.booleans(), orders=ORDERS, readers=st.integers(0, 3))
def test_any_order_over_any_instances_gives_what_the_windows_give_in_their_order(
    windows: list[Closing], seed: int, views: bool, orders: list[Order], readers: int
) -> None:
    rng = random.Random(seed)
    if readers:
        windows = [replace(w, rows={r % readers: n for r, n in w.rows.items()}) for w in windows]
        windows = [replace(w, late={min(w.rows): sum(w.late.values())}) for w in windows]
    with Broker() as broker:
        broker.give(*orders)

        def instance_of() -> CommitInOrder:
            return broker.step(Rows() if views else None, readers=readers)

        instances = [instance_of() for _ in range(3)]
        runner, left = KeyedStep(), list(zip(windows, closed_of(windows), strict=True))
        rng.shuffle(left)
        while left:
            bundle = [left.pop() for _ in range(min(len(left), rng.randint(1, 4)))]
            saved = runner.saved()
            runner.deliver(rng.choice(instances), [data for _, data in bundle])
            if rng.random() < 0.3:
                # The runner lost the bundle's end and delivers it again, to an instance that knows nothing.
                runner.restore(saved)
                instances[rng.randrange(3)] = instance_of()
                runner.deliver(rng.choice(instances), [data for _, data in bundle])
            behind = min((w.start_us for w, _ in left), default=FIRST_US + 100 * LENGTH_US)
            runner.pass_watermark(rng.choice(instances), behind - 1)
        assert runner.held.values == []
        written = {w["window_start_us"]: w for w in broker.of(TOPICS.windows)}
        assert {start: w["rows"] for start, w in written.items()} == {w.start_us: sum(w.rows.values()) for w in windows}
        if views:
            assert [w["view"] for w in written.values()] == [
                view(windows, (start - FIRST_US) // LENGTH_US) for start in written
            ]
        assert broker.commits()[-1] == progress_after(windows)
        for commit in broker.commits():
            assert commit == progress_after(windows[: commit.windows])
        assert broker.waiting()[-1] == 0
        assert (broker.incidents(), broker.alerts()) == told_in_order(windows, views, orders)
        of_alerts = broker.alerts()
        assert len(of_alerts) == len(dict(of_alerts))
        # Windows are drawn with gaps: a long one is a silence.
        assert {alert["rule"] for alert in broker.of(TOPICS.alerts)} <= {"no_data", "feature_nulls"}


def told_in_order(
    windows: Sequence[Closing], views: bool, orders: Sequence[Order]
) -> tuple[tuple[Incidents, dict[str, Any]], set[tuple[str, str]]]:
    """The slow way, incidents and alerts: each window in its turn, to one instance that lives as long as the job."""
    with Broker() as broker:
        broker.give(*orders)
        runner, step = KeyedStep(), broker.step(Rows() if views else None)
        for window, data in zip(windows, closed_of(windows), strict=True):
            runner.deliver(step, [data])
            runner.pass_watermark(step, window.start_us + LENGTH_US)
        return broker.incidents(), broker.alerts()


@settings(max_examples=60, deadline=None)
@given(number=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_windows_read_again_after_a_kill_meet_the_learned_windows_of_the_first_time(number: int, seed: int) -> None:
    """Killed while any part of what was sent is written, time and again: each window says the same at each try."""
    rng = random.Random(seed)
    windows = [Closing(n, {0: rng.randint(0, 9)}) for n in range(number)]
    closed = closed_of(windows)
    with Broker() as broker:
        runner, step = KeyedStep(), broker.step(learning=Learns())
        while closed:
            bundle = closed[: rng.randint(1, 20)]
            saved = runner.saved()
            killed = set[str]()
            if rng.random() < 0.5:
                broker.refuse(_cut_off(rng, killed))
            try:
                runner.deliver(step, bundle)
                runner.pass_watermark(step, FIRST_US + 100 * LENGTH_US)
                closed = closed[len(bundle) :]
            except SinkError:
                assert killed
                runner.restore(saved)
                step = broker.step(learning=Learns())
            broker.heal()
            if rng.random() < 0.2:
                broker.compact(TOPICS.baseline)
        told: dict[int, list[Any]] = {}
        for record in broker.of(TOPICS.windows):
            told.setdefault(record["window_start_us"], []).append(record)
        assert all(one == tries[0] for tries in told.values() for one in tries)
        assert {start: tries[0].get("met") for start, tries in told.items()} == met_in_order(windows)
        behind = load_progress(broker.settings, TOPICS.progress, "j", "d")
        assert behind is not None
        expected = progress_after(windows)
        assert (behind.closed_end_us, behind.totals) == (expected.closed_end_us, expected.totals)


def _cut_off(rng: random.Random, cut: set[str]) -> Callable[[FakeRecord], bool]:
    """Of the records of one topic or of all, those behind one of them: a partition keeps the order of its records."""
    topic, share = rng.choice([TOPICS.baseline, TOPICS.windows, TOPICS.progress, ""]), rng.random() ** 3

    def refuses(record: FakeRecord) -> bool:
        if topic in (record.topic, "") and rng.random() < share:
            cut.add(record.topic)
        return record.topic in cut

    return refuses


def met_in_order(windows: Sequence[Closing]) -> dict[int, list[int]]:
    """The slow way: which windows each one meets, of a list that is changed with each."""
    learns, kept, met = Learns(), list[Pane](), {}
    for window in windows:
        gone = learns.spare(kept) if len(kept) == Learns.size else None
        met[window.start_us] = [pane.start_us for pane in kept if pane is not gone]
        if sum(window.rows.values()) % 3:
            kept = [pane for pane in kept if pane is not gone]
            kept.append(Pane(window.start_us, window.start_us + LENGTH_US, b"", learned=True))
    return met


def windows_of(number: int, **more: Any) -> list[Closing]:
    return [Closing(n, {0: 1}, **more) for n in range(number)]


def test_a_window_is_not_taken_while_an_earlier_one_of_another_reader_may_come(broker: Broker) -> None:
    """Committed first, the later window would make the rows of the earlier one late after a restart."""
    early, later = windows = [Closing(0, {1: 5}), Closing(1, {0: 3})]
    runner, step, closed = KeyedStep(), broker.step(), closed_of(windows)
    runner.deliver(step, closed[1:])
    runner.pass_watermark(step, early.start_us)
    assert broker.commits() == []
    runner.deliver(step, closed[:1])
    runner.pass_watermark(step, later.start_us + LENGTH_US)
    assert broker.commits()[-1] == progress_after(windows)


def test_a_window_that_all_readers_have_closed_next_does_not_wait_for_the_watermark(broker: Broker) -> None:
    windows = [Closing(0, {0: 1, 1: 2}), Closing(3, {0: 1, 1: 2}), Closing(4, {0: 1}), Closing(9, {0: 1, 1: 2})]
    runner, step, closed = KeyedStep(), broker.step(readers=2), closed_of(windows)
    runner.deliver(step, closed[1:2])
    # The one before it, which this one's markers count, is not there yet.
    assert (broker.waiting()[-1], broker.commits()) == (1, [])
    runner.deliver(step, closed[:1])
    assert broker.waiting()[-1] == 0
    runner.deliver(step, closed[3:])
    # It follows where the last one ended; of what the other reader may still have closed before 9 nothing is known.
    runner.deliver(step, closed[2:3])
    assert broker.waiting()[-1] == 0
    assert broker.commits()[-1] == progress_after(windows)
    assert [commit.windows for commit in broker.commits()] == [2, 4]


def test_windows_that_wait_are_held_packed(broker: Broker) -> None:
    whole = [Closed.from_bytes(data) for data in closed_of(windows_of(5))]
    large = [msgspec.structs.replace(one, conclusion=replace(one.conclusion, pane=b"1" * 100_000)) for one in whole]
    runner, step = KeyedStep(), broker.step(readers=1)
    runner.deliver(step, [one.to_bytes() for one in large[1:]])
    assert [Closed.from_bytes(data) for data in runner.held.values] == large[1:]
    assert runner.held.values == [one.data for one in step._held.values()]
    assert max(map(len, runner.held.values)) < 2_000
    runner.deliver(step, [large[0].to_bytes()])
    assert step._held == {}
    assert broker.commits()[-1] == progress_after(windows_of(5))


def test_windows_that_follow_each_other_do_not_wait_for_the_watermark(broker: Broker) -> None:
    windows = windows_of(6)
    runner, step, closed = KeyedStep(), broker.step(), closed_of(windows)
    runner.deliver(step, closed[:1])
    runner.pass_watermark(step, windows[0].start_us + LENGTH_US)
    runner.deliver(step, closed[3:])
    assert broker.waiting()[-1] == 3
    runner.deliver(step, closed[1:3])
    assert broker.waiting()[-1] == 0
    assert [commit.windows for commit in broker.commits()] == [1, 6]


def test_a_bundle_delivered_again_after_its_commit_is_not_counted_twice(broker: Broker) -> None:
    windows = windows_of(4)
    runner, closed = KeyedStep(), closed_of(windows)
    runner.deliver(broker.step(), closed)
    runner.pass_watermark(broker.step(), windows[-1].start_us + LENGTH_US)
    runner.deliver(broker.step(), closed)
    assert broker.commits() == [progress_after(windows)]
    assert len(broker.of(TOPICS.windows)) == 4


def test_an_incident_told_at_a_start_counts_beside_the_state_of_before(broker: Broker) -> None:
    windows = windows_of(4)
    runner, closed = KeyedStep(), closed_of(windows)
    runner.deliver(broker.step(), closed[:2])
    runner.pass_watermark(broker.step(), windows[1].start_us + LENGTH_US)
    [last] = [r.value or b"" for r in broker.records(TOPICS.progress) if r.key == b"j"]
    told = Incident(1, (member_of(nulls("f"), 0, 1),), 0, 1)
    begun = msgspec.structs.replace(PROGRESS.parse(last, Progress), incidents=Incidents(1, (told,)))
    writer = broker.writer()
    write_standing(writer, broker.identity, begun)
    writer.flush()
    runner.deliver(broker.step(), closed[2:])
    runner.pass_watermark(broker.step(), windows[-1].start_us + LENGTH_US)
    known, _ = broker.incidents()
    assert [(one.number, one.is_resolved) for one in known.known] == [(1, True)]


@pytest.mark.parametrize("killed", [False, True], ids=["goes on", "is killed"])
def test_an_order_given_to_a_running_step_acts_from_its_next_window_on(broker: Broker, killed: bool) -> None:
    windows = [Closing(n, {0: ODD}) for n in range(6)]
    runner, step, closed = KeyedStep(), broker.step(), closed_of(windows)
    runner.deliver(step, closed[:2])
    runner.pass_watermark(step, windows[1].start_us + LENGTH_US)
    names = (Named("feature_nulls", "f0"),)
    order = Order(job="j", verb="mute", by="ada", at_us=1, from_us=windows[2].start_us, incident="j-1", findings=names)
    broker.give(identified(order))
    saved = runner.saved()
    runner.deliver(step, closed[2:4])
    if killed:
        # The runner goes back to before, and another instance takes over.
        step = broker.step()
        runner.restore(saved)
        runner.deliver(step, closed[2:4])
    runner.deliver(step, closed[4:])
    runner.pass_watermark(step, windows[-1].start_us + LENGTH_US)
    alerts = {alert["window_start_us"] for alert in broker.of(TOPICS.alerts)}
    assert alerts == {window.start_us for window in windows[:2]}
    known, told = broker.incidents()
    assert told["j-1"]["change"] == "muted"
    assert (known.known[0].windows, known.known[0].is_resolved) == (6, False)


def test_an_unbalanced_window_stops_commits_once_and_later_windows_are_written(broker: Broker) -> None:
    windows = windows_of(6)
    windows[2] = Closing(2, {0: 1}, {0: 4}, acknowledged=3)
    runner, step, closed = KeyedStep(), broker.step(), closed_of(windows)
    for data in closed:
        runner.deliver(step, [data])
        runner.pass_watermark(step, windows[-1].start_us + LENGTH_US)
    assert broker.commits()[-1] == progress_after(windows[:2])
    assert len(broker.of(TOPICS.windows)) == 6
    assert [(a["rule"], a["window_start_us"]) for a in broker.of(TOPICS.alerts)] == [
        ("books_unbalanced", windows[2].start_us),
        ("commits_behind", windows[2].start_us),
    ]
    assert broker.waiting()[-1] == 4


def test_a_missing_marker_stops_commits_and_names_it(broker: Broker) -> None:
    windows = windows_of(5)
    runner, step, closed = KeyedStep(), broker.step(), closed_of(windows)
    runner.deliver(step, closed[:2] + closed[3:])
    runner.pass_watermark(step, windows[-1].start_us + LENGTH_US)
    [alert] = broker.of(TOPICS.alerts)
    assert (alert["rule"], alert["severity"], alert["window_start_us"]) == (
        "commits_behind",
        "critical",
        windows[3].start_us,
    )
    assert (alert["evidence"]["expected"], alert["evidence"]["found"]) == ({"0": 3}, {"0": 4})
    assert broker.commits()[-1].windows == 2
    assert broker.waiting()[-1] == 2


def test_metrics_are_those_of_the_last_committed_window(broker: Broker) -> None:
    windows = windows_of(3, late={0: 1})
    runner, step = KeyedStep(), broker.step()
    runner.deliver(step, closed_of(windows))
    runner.pass_watermark(step, windows[-1].start_us + LENGTH_US)
    found = {(s["name"], s["labels"].get("outcome")): s["value"] for s in broker.of(TOPICS.metrics)}
    assert found["sparsewatch_records_total", "counted"] == 3
    assert found["sparsewatch_records_total", "late"] == 3
    assert found["sparsewatch_windows_closed_total", None] == 3
    assert found["sparsewatch_window_end_timestamp_seconds", None] == (windows[-1].start_us + LENGTH_US) / 1e6


@pytest.mark.parametrize("views", [False, True])
def test_on_a_runner_windows_in_any_order_are_committed_in_theirs(broker: Broker, views: bool) -> None:
    windows = [Closing(n, {0: n + 1, 1: 1}) for n in range(24)]
    parts = [
        TimestampedValue(("j", part), Timestamp(micros=window.start_us + 1))
        for window, found in zip(windows, parts_of(windows), strict=True)
        for part in found
    ]
    random.Random(0).shuffle(parts)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        _ = (
            pipeline
            | beam.Create(parts)
            | beam.Map(lambda stamped: stamped).with_output_types(tuple[str, bytes])
            | beam.WindowInto(FixedWindows(LENGTH_US / 1e6))
            | CloseWindows(broker.identity, CountRows(), Rows() if views else None)
        )
    assert [w["window_start_us"] for w in broker.of(TOPICS.windows)] == [w.start_us for w in windows]
    assert broker.commits()[-1] == progress_after(windows)
    assert len(broker.commits()) == (24 if views else 2)

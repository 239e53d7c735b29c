"""Closing windows: results before the commit, no commit if account and results differ, no record without a marker."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from sparsewatch.schemas.accounts import (
    PREFACE_US,
    Account,
    Marker,
    Progress,
    ResumePoint,
    ack_part,
    marker_part,
    measure_part,
    sort_parts,
)
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.jobs import JobIdentity, Topics
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.listening import WindowClosed, listening
from sparsewatch.transforms.window.close_windows import close_window
from sparsewatch.transforms.window.commit_in_order import CommitInOrder
from sparsewatch.transforms.window.measure import RECORD_KEYS, Conclusion, LookBack, Window
from sparsewatch.transforms.window.panes import Pane
from tests.kit.keyed_step import KeyedStep, instance

TOPICS = Topics(source="t", prefix="j")
WINDOW = (10_000_000, 20_000_000)


class Told:
    """A listener that keeps the windows it hears of."""

    def __init__(self) -> None:
        self.windows: list[WindowClosed] = []

    def on_window(self, window: WindowClosed) -> None:
        self.windows.append(window)

    def on_aside(self, records: Sequence[SideRecord]) -> None:
        raise AssertionError(records)


class CountRows:
    """A conclusion that adds up numbers and has the findings it is given."""

    results_per_row = False

    def __init__(self, *findings: Finding) -> None:
        self.findings = list(findings)

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        return Conclusion(sum(map(int, measures)), {"complete_seen": window.complete}, self.findings, [])


class Written:
    """A broker with the topics that every job has, and what was written to them as JSON."""

    def __init__(self) -> None:
        self.broker = FakeBroker()
        for topic in (TOPICS.progress, TOPICS.panes, TOPICS.windows, TOPICS.metrics):
            self.broker.create(topic)
        self.identity = JobIdentity(
            job="j", settings_digest="d", kafka=self.broker.settings, topics=TOPICS, instance=instance(1)
        )

    def close(
        self,
        conclude: CountRows,
        *windows: tuple[list[bytes], tuple[int, int]],
        look_back: LookBack | None = None,
    ) -> None:
        """Conclude windows and give them to the committing step in one bundle; then all of them have ended."""
        closed = [close_window(*window, sort_parts(parts), conclude) for parts, window in windows]
        step = CommitInOrder(self.identity, look_back, None)
        runner = KeyedStep()
        runner.deliver(step, [c.to_bytes() for c in closed if c is not None])
        runner.pass_watermark(step, max(end for _, (_, end) in windows))

    def of(self, topic: str) -> list[Any]:
        return [msgspec.json.decode(value or b"null") for value in self.broker.values(topic)]


@pytest.fixture
def written() -> Iterator[Written]:
    written = Written()
    with written.broker:
        yield written


def marker(
    counted: int,
    late: int = 0,
    rejected: int = 0,
    complete: bool = True,
    sequence: int = 1,
    place: int = 1,
    ahead_us: tuple[int, ...] = (),
) -> bytes:
    return marker_part(
        Marker(
            reader=0,
            sequence=sequence,
            window_us=place * 10_000_000,
            window_end_us=(place + 1) * 10_000_000,
            account=Account(counted=counted, late=late, rejected=rejected),
            complete=complete,
            events=counted + late + rejected,
            resume={0: ResumePoint(offset=5, newest_us=1, high=5)},
            ahead_us=ahead_us,
        )
    )


def test_results_are_durable_before_the_progress_is_written(written: Written) -> None:
    parts = [measure_part(b"3"), marker(5, late=1, rejected=2), ack_part(Ack(late=1, rejected=2)), measure_part(b"2")]
    written.close(CountRows(), (parts, WINDOW))
    order = [c.topic or c.name for c in written.broker.calls if c.topic in ("j.windows", "", "j.progress")]
    assert order[order.index("j.windows") :][:3] == ["j.windows", "flush", "j.progress"]
    # The instance's own, then the copy under the job's name.
    own, progress = [msgspec.convert(p, Progress, strict=False) for p in written.of("j.progress")]
    assert own == progress
    assert progress.totals == Account(counted=5, late=1, rejected=2)
    assert written.of("j.windows")[0]["rows"] == 5


def test_numbers_that_do_not_meet_are_an_alert_and_are_not_committed(written: Written) -> None:
    parts = [measure_part(b"4"), marker(5, rejected=1), ack_part(Ack(rejected=1))]
    written.close(CountRows(), (parts, WINDOW))
    alert, behind = written.of("j.alerts")
    assert (alert["rule"], alert["severity"]) == ("books_unbalanced", "critical")
    assert alert["evidence"]["stated"] == {"counted": 5, "late": 0, "rejected": 1}
    assert alert["evidence"]["found"] == {"counted": 4, "late": 0, "rejected": 1}
    assert (behind["rule"], behind["severity"]) == ("commits_behind", "critical")
    assert "its account and results differ" in behind["message"]
    assert written.of("j.progress") == []
    assert {sample["name"]: sample["value"] for sample in written.of("j.metrics")} == {"sparsewatch_windows_waiting": 1}


def test_a_reject_that_was_not_acknowledged_is_not_committed(written: Written) -> None:
    written.close(CountRows(), ([measure_part(b"5"), marker(5, rejected=1)], WINDOW))
    assert written.of("j.progress") == []


def test_results_a_row_must_be_acknowledged_too(written: Written) -> None:
    conclude = CountRows()
    conclude.results_per_row = True
    written.close(conclude, ([measure_part(b"2"), marker(2), ack_part(Ack(results=1))], WINDOW))
    assert written.of("j.progress") == []
    assert written.of("j.alerts")[0]["evidence"]["found"]["results"] == 1


def test_a_window_its_readers_did_not_close_is_not_written(written: Written) -> None:
    written.close(CountRows(), ([measure_part(b"4")], WINDOW))
    assert written.broker.calls == []


def test_a_record_has_the_keys_that_no_summary_may_have_and_the_summary(written: Written) -> None:
    written.close(CountRows(), ([measure_part(b"5"), marker(5)], WINDOW))
    assert written.of("j.windows")[0].keys() == RECORD_KEYS | {"complete_seen"}


def test_a_window_without_rows_has_an_account_and_a_record(written: Written) -> None:
    written.close(CountRows(), ([marker(0, rejected=3), ack_part(Ack(rejected=3))], WINDOW))
    assert [(w["rows"], w["passed_over"]) for w in written.of("j.windows")] == [(0, 0)]
    assert written.of("j.progress")[0]["totals"]["rejected"] == 3


def test_what_was_set_aside_before_the_first_window_has_an_account_and_no_record(written: Written) -> None:
    preface = Marker(
        reader=0,
        sequence=1,
        window_us=0,
        window_end_us=0,
        account=Account(rejected=30),
        complete=False,
        resume={0: ResumePoint(offset=30, newest_us=1, high=30)},
        events=30,
    )
    acks = Ack(rejected=30, reasons={"broken_json": 30})
    told = Told()
    with listening(told):
        written.close(
            CountRows(),
            ([marker_part(preface), ack_part(acks)], (0, 10_000_000)),
            ([measure_part(b"1"), marker(1, sequence=2)], WINDOW),
        )
    assert [w["rows"] for w in written.of("j.windows")] == [1]
    assert written.of("j.progress")[-1]["totals"] == {"counted": 1, "late": 0, "rejected": 30, "lost": 0}
    assert written.of("j.progress")[-1]["windows"] == 1
    # It is judged with the first window.
    [alert] = written.of("j.alerts")
    assert (alert["rule"], alert["window_start_us"]) == ("rejects_high", 10_000_000)
    assert alert["evidence"]["reasons"] == {"broken_json": 30}
    ends = [s["value"] for s in written.of("j.metrics") if s["name"] == "sparsewatch_window_end_timestamp_seconds"]
    assert ends[-1] == 20
    assert [window.end_us for window in told.windows] == [PREFACE_US, 20_000_000]


def test_the_stream_is_judged_in_the_order_of_windows_and_its_history_is_committed(written: Written) -> None:
    full = [([measure_part(b"9"), marker(9, sequence=i, place=i)], place_of(i)) for i in range(1, 41)]
    empty = [([marker(0, sequence=i, place=i)], place_of(i)) for i in range(41, 44)]
    written.close(CountRows(), *full[20:], *full[:20])
    written.close(CountRows(), *reversed(empty))
    assert [(a["rule"], a["value"]) for a in written.of("j.alerts")] == [("no_data", 2)]
    assert written.of("j.progress")[-1]["stream"]["full"] == 40
    silences = [s["value"] for s in written.of("j.metrics") if s["name"] == "sparsewatch_silence_seconds"]
    assert silences[-1] == 30


def test_what_a_window_of_clocks_ahead_states_as_late_is_judged_with_the_next_window(written: Written) -> None:
    parts = [measure_part(b"1"), marker(1, late=3, complete=False, ahead_us=(10_000_000,)), ack_part(Ack(late=3))]
    written.close(CountRows(), (parts, WINDOW))
    progress = msgspec.convert(written.of("j.progress")[-1], Progress, strict=False)
    assert (progress.closed_end_us, progress.totals) == (0, Account(counted=1, late=3))
    assert (progress.stream.full, progress.stream.preface_events, progress.stream.preface.late) == (0, 4, 3)


def test_windows_that_were_passed_over_are_in_the_record(written: Written) -> None:
    parts = [
        ([measure_part(b"1"), marker(1, sequence=n, place=place)], place_of(place)) for n, place in ((1, 1), (2, 9))
    ]
    written.close(CountRows(), *parts)
    assert [w["passed_over"] for w in written.of("j.windows")] == [0, 7]


def place_of(place: int) -> tuple[int, int]:
    return place * 10_000_000, (place + 1) * 10_000_000


def test_the_same_finding_gets_the_same_id_and_an_incomplete_window_says_so(written: Written) -> None:
    finding = Finding(
        rule="volume_low", subject="stream", severity="warning", value=1.0, threshold=2.0, baseline=3.0, message="m"
    )
    for _ in range(2):
        written.broker.topics.pop("j.progress", None)
        written.close(CountRows(finding), ([measure_part(b"1"), marker(1, complete=False)], WINDOW))
    first, second = written.of("j.alerts")
    assert first == second
    assert (first["window_start_us"], first["window_end_us"]) == (10_000_000, 20_000_000)
    assert written.of("j.windows")[0]["complete_seen"] is False
    assert written.of("j.windows")[0]["alerts"] == [first["id"]]


class Keep:
    """A view that records how far back it saw."""

    panes = 3

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        seen = [p.start_us // 10_000_000 for p in earlier]
        return Conclusion(0, {"earlier": seen, "learned": [p.learned for p in earlier]}, [], [])

    def close(self) -> None: ...


class CountPanes(CountRows):
    """As `CountRows`, with a pane."""

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        conclusion = super().__call__(window, measures)
        findings = self.findings if window.start_us == 20_000_000 else []
        return dataclasses.replace(conclusion, pane=b"state", findings=findings)


def window_parts(sequence: int) -> tuple[list[bytes], tuple[int, int]]:
    start, end = sequence * 10_000_000, (sequence + 1) * 10_000_000
    marker = Marker(
        reader=0,
        sequence=sequence,
        window_us=start,
        window_end_us=end,
        account=Account(counted=1),
        resume={0: ResumePoint(offset=5, newest_us=1, high=5)},
    )
    return [measure_part(b"1"), marker_part(marker)], (start, end)


def test_windows_of_one_bundle_are_seen_in_their_order_beside_those_before(written: Written) -> None:
    finding = Finding(rule="r", subject="s", severity="info", value=1.0, threshold=1.0, baseline=0.0, message="m")
    written.close(CountPanes(finding), *map(window_parts, (3, 1, 4, 2)), look_back=Keep())
    assert [w["earlier"] for w in written.of("j.windows")] == [[], [1], [1, 2], [2, 3]]
    assert [w["learned"] for w in written.of("j.windows")] == [[], [True], [True, False], [False, True]]
    assert written.of("j.progress")[-1]["windows"] == 4
    assert written.broker.groups == {"sparsewatch.j": {"t": {0: 5}}}

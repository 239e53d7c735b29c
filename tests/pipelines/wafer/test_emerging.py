"""The look over the last windows: one alert a pattern, decisions hold from the next window on."""

import dataclasses
import pickle

import msgspec
import numpy as np
import pytest

from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.pipelines.wafer.emerging import PatternsView
from sparsewatch.pipelines.wafer.kept_wafers import WaferPane
from sparsewatch.pipelines.wafer.pattern_book import PatternBook, PatternTopic, decision_record
from sparsewatch.pipelines.wafer.settings import PatternSettings
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.patterns import Decision, NovelLooking, Status
from sparsewatch.transforms.window.measure import Conclusion
from sparsewatch.transforms.window.panes import Pane
from tests.kit.novel_wafers import new_pattern_wafers, novel_looking_known
from tests.kit.wafer_models import tiny_model

HOUR_US = 3_600_000_000
WAFERS = 30
SETTINGS = PatternSettings(windows=3, history=30, level=0.3)
#: Windows without a new pattern at the start, and wafers of one that are enough.
QUIET, ENOUGH = 14, 8


class InMemory(PatternBook):
    """A book that is its own reader."""

    def __call__(self) -> PatternBook:
        return self

    def close(self) -> None: ...


class Stream:
    """Windows of wafers through the view; its records go to the book as they would through the topic."""

    def __init__(self, settings: PatternSettings = SETTINGS, seed: int = 0) -> None:
        self.model: WaferModel = tiny_model()
        self.book = InMemory()
        self.view = PatternsView("fab", "fab.patterns", settings, self.book, lambda: self.model)
        self.kept: list[Pane] = []
        self.rng = np.random.default_rng(seed)

    def pane(self, new: int = 0, away: float = 25.0) -> Pane:
        """The next window, with `new` wafers of a pattern nobody knows."""
        window = len(self.kept)
        first = window * 3_600
        wafers = novel_looking_known(self.model, first, WAFERS, self.rng, self.view.settings.level)
        wafers += new_pattern_wafers(self.model, [first + WAFERS + i for i in range(new)], self.rng, away)
        return self.pane_of(wafers, WAFERS + new)

    def pane_of(self, wafers: list[NovelLooking], of: int) -> Pane:
        start = len(self.kept) * HOUR_US
        state = msgspec.msgpack.encode(WaferPane(wafers=of, looking_novel=sorted(wafers)))
        return Pane(start, start + HOUR_US, state, learned=True)

    def close(self, pane: Pane) -> Conclusion:
        said = self.view(pane, self.kept[-self.view.panes :])
        self.kept.append(pane)
        for record in said.records:
            self.book.take(record.key, record.value)
        return said

    def decide(self, id_: str, status: Status, into: str | None = None) -> None:
        decision = Decision(id=id_, status=status, decided_us=0, name="moon", into=into)
        record = decision_record("fab.patterns", decision)
        self.book.take(record.key, record.value)

    def raised(self, new: int = ENOUGH) -> str:
        """A pattern of so many wafers, raised after windows without one."""
        for _ in range(QUIET):
            assert self.close(self.pane()).findings == []
        [finding] = self.close(self.pane(new=new)).findings
        return finding.subject


def test_known_wafers_keep_to_the_false_patterns_stated() -> None:
    raised, days = 0, 0.0
    for seed in range(3):
        stream = Stream(seed=seed)
        for _ in range(30):
            raised += len(stream.close(stream.pane()).findings)
        days += 30 / 24
    assert raised <= days + 3 * np.sqrt(days)


def test_a_pattern_is_raised_with_its_wafers_and_then_grows() -> None:
    stream = Stream()
    id_ = stream.raised()
    pattern = stream.book.patterns[id_]
    assert (pattern.wafers, len(pattern.lots), pattern.nearest) == (ENOUGH, ENOUGH, {"edge_ring": ENOUGH})
    assert pattern.compactness < 1
    for _ in range(3):
        said = stream.close(stream.pane(new=2))
        assert {finding.subject for finding in said.findings} <= {id_}
        assert said.summary["emerging"]["raised"] == []
    grown = stream.book.patterns[id_]
    assert (list(stream.book.patterns), grown.wafers, len(grown.members)) == ([id_], 14, 14)
    assert grown.last_seen_us > pattern.last_seen_us
    assert np.frombuffer(grown.total_map, dtype="<f4").max() == 14


def test_an_alert_names_what_a_person_needs() -> None:
    stream = Stream()
    for _ in range(QUIET):
        stream.close(stream.pane())
    said = stream.close(stream.pane(new=ENOUGH))
    [finding] = said.findings
    assert (finding.rule, finding.severity) == ("emerging_pattern", "critical")
    assert "8 wafers of 8 lots" in finding.message
    assert "'edge_ring'" in finding.message
    assert finding.value > finding.threshold
    assert len(finding.evidence["wafers"]) == ENOUGH
    assert said.summary["emerging"]["open"] == said.summary["emerging"]["raised"] == [finding.subject]
    assert {sample.name: sample.value for sample in said.metrics}["sparsewatch_open_patterns"] == 1


def test_a_window_closed_again_after_a_crash_says_the_same() -> None:
    stream = Stream()
    for _ in range(QUIET):
        stream.close(stream.pane())
    pane = stream.pane(new=ENOUGH)
    first = stream.close(pane)
    stream.kept.pop()
    again = stream.close(pane)
    assert again.findings == first.findings
    assert again.records == []


def test_wafers_that_come_slowly_are_found_over_windows() -> None:
    stream = Stream()
    for _ in range(QUIET):
        stream.close(stream.pane())
    found = [finding for _ in range(4) for finding in stream.close(stream.pane(new=3)).findings]
    assert len({finding.subject for finding in found}) == 1


def test_an_open_pattern_is_told_while_its_wafers_come() -> None:
    # Windows that are searched hold it for long after it has gone.
    stream = Stream(PatternSettings(windows=8, history=30, level=0.3))
    id_ = stream.raised(new=24)
    for _ in range(8):
        [still] = stream.close(stream.pane(new=4)).findings
        assert (still.subject, still.rule) == (id_, "emerging_pattern")
        assert still.value > still.threshold
    wafers = stream.book.patterns[id_].wafers
    assert wafers > 24 + 8 * 3
    assert f"{wafers} wafers of {wafers} lots" in still.message
    told = [stream.close(stream.pane()).findings for _ in range(4)]
    assert told == [[]] * 4
    # One wafer alone is what chance may put there.
    assert stream.close(stream.pane(new=1)).findings == []


def test_a_window_of_an_open_pattern_closed_again_after_a_crash_says_the_same() -> None:
    stream = Stream()
    stream.raised()
    pane = stream.pane(new=4)
    first = stream.close(pane)
    stream.kept.pop()
    again = stream.close(pane)
    assert len(first.findings) == 1
    assert again.findings == first.findings
    assert again.records == []


@pytest.mark.parametrize("status", ["named", "dismissed"])
def test_a_pattern_that_is_decided_raises_nothing_more_and_stays_as_it_was(status: Status) -> None:
    stream = Stream()
    id_ = stream.raised()
    stream.decide(id_, status)
    before = stream.book.patterns[id_]
    for _ in range(4):
        said = stream.close(stream.pane(new=ENOUGH))
        assert (said.findings, said.records) == ([], [])
    assert stream.book.patterns == {id_: before}


def test_another_pattern_beside_a_dismissed_one_is_raised() -> None:
    stream = Stream()
    first = stream.raised()
    stream.decide(first, "dismissed")
    [finding] = stream.close(stream.pane(new=ENOUGH, away=-25.0)).findings
    assert finding.subject != first


def test_parts_of_a_merged_pattern_grow_and_are_named_together() -> None:
    stream = Stream()
    first = stream.raised()
    second = stream.close(stream.pane(new=ENOUGH, away=-25.0)).findings[0].subject
    stream.decide(second, "merged", into=first)
    assert stream.book.roots() == [first]
    said = stream.close(stream.pane(new=2, away=-25.0))
    assert said.findings == []
    assert stream.book.patterns[second].wafers == ENOUGH + 2
    stream.decide(first, "named")
    assert stream.close(stream.pane(new=ENOUGH, away=-25.0)).records == []


def test_wafers_and_patterns_of_another_network_are_left_alone() -> None:
    stream = Stream()
    id_ = stream.raised()
    other = msgspec.structs.replace(stream.book.patterns[id_], space="another")
    stream.book.patterns[id_] = other
    moved = [
        msgspec.structs.replace(wafer, space="another")
        for wafer in new_pattern_wafers(stream.model, list(range(90_000, 90_000 + ENOUGH)), stream.rng)
    ]
    stream.kept = stream.kept[:QUIET]
    said = stream.close(stream.pane_of(moved, WAFERS))
    assert (said.findings, said.records, said.summary["emerging"]["other_spaces"]) == ([], [], 1)
    assert stream.book.patterns[id_] == other


def test_a_wafer_inspected_again_and_again_is_no_pattern() -> None:
    stream = Stream()
    for _ in range(QUIET):
        stream.close(stream.pane())
    one = new_pattern_wafers(stream.model, [90_000], stream.rng)[0]
    looks = [msgspec.structs.replace(one, id=f"t/0/{90_000 + i}/0") for i in range(ENOUGH)]
    assert stream.close(stream.pane_of(looks, WAFERS)).findings == []


def test_panes_of_other_settings_are_left_out() -> None:
    stream = Stream()
    stream.kept.append(Pane(0, HOUR_US, b"nonsense", learned=True))
    stream.kept.append(Pane(HOUR_US, HOUR_US + 5, stream.pane().state, learned=True))
    assert stream.close(stream.pane()).summary["emerging"]["wafers"] == WAFERS


def test_a_window_without_wafers_is_looked_at_like_any_other() -> None:
    stream = Stream()
    said = stream.close(stream.pane_of([], 0))
    assert (said.rows, said.findings) == (0, [])


def test_what_the_view_adds_to_a_windows_record_has_names_of_its_own() -> None:
    stream = Stream()
    assert not set(stream.close(stream.pane()).summary) & set(WaferCounts().summary())


def test_the_view_travels_to_a_worker() -> None:
    topic = PatternTopic(KafkaSettings(bootstrap_servers=["nowhere:1"]), "fab.patterns")
    view = dataclasses.replace(Stream().view, book=topic, model=tiny_model)
    assert pickle.loads(pickle.dumps(view)).settings == SETTINGS

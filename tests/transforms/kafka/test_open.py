"""Writers that are handed on from the begin of a run to its windows."""

from collections.abc import Iterator

import pytest

from sparsewatch.testing import FakeBroker, FakeWriter
from sparsewatch.transforms.kafka.open import free_writer, handed_on


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[FakeWriter]:
    found: list[FakeWriter] = []
    monkeypatch.setattr(FakeWriter, "close", lambda writer: found.append(writer))
    return found


def test_a_writer_is_handed_on_once_and_then_belongs_to_who_took_it(
    broker: FakeBroker, closed: list[FakeWriter]
) -> None:
    with handed_on(broker.settings) as writer:
        assert free_writer(broker.settings) is writer
        assert free_writer(broker.settings) is not writer
    assert closed == []


def test_a_writer_that_nobody_took_is_closed_also_after_an_error(broker: FakeBroker, closed: list[FakeWriter]) -> None:
    with pytest.raises(KeyError), handed_on(broker.settings) as writer:
        raise KeyError
    assert closed == [writer]
    assert free_writer(broker.settings) is not writer


def test_writers_of_runs_within_runs_are_taken_in_turn(broker: FakeBroker, closed: list[FakeWriter]) -> None:
    with handed_on(broker.settings) as outer, handed_on(broker.settings) as inner:
        assert free_writer(broker.settings) is outer
    assert closed == [inner]


def test_a_writer_of_other_settings_is_not_given(broker: FakeBroker) -> None:
    with FakeBroker() as other, handed_on(other.settings) as writer:
        assert free_writer(broker.settings) is not writer

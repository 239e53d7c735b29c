"""Writers that stay open from one part of a job to the next."""

from collections.abc import Iterator

import pytest

from sparsewatch.testing import FakeBroker, FakeWriter
from sparsewatch.transforms.kafka.open import free_writer, give_back, kept_writers, lent_writer


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[FakeWriter]:
    found: list[FakeWriter] = []
    monkeypatch.setattr(FakeWriter, "close", lambda writer: found.append(writer))
    return found


def test_a_writer_that_was_given_back_is_the_next_one_and_is_closed_in_the_end(
    broker: FakeBroker, closed: list[FakeWriter]
) -> None:
    with kept_writers(broker.settings):
        with lent_writer(broker.settings) as writer:
            writer.send("t", b"k", b"v")
            assert free_writer(broker.settings) is not writer
        assert broker.values("t") == [b"v"]
        with lent_writer(broker.settings) as again:
            assert again is writer
        assert closed == []
    assert closed == [writer]
    assert free_writer(broker.settings) is not writer


def test_a_writer_that_is_taken_when_the_others_are_closed_is_closed_by_who_has_it(
    broker: FakeBroker, closed: list[FakeWriter]
) -> None:
    with kept_writers(broker.settings):
        writer = free_writer(broker.settings)
    assert closed == []
    give_back(broker.settings, writer)
    assert closed == [writer]


def test_after_an_error_a_writer_is_not_used_again(broker: FakeBroker, closed: list[FakeWriter]) -> None:
    with kept_writers(broker.settings):
        with pytest.raises(KeyError), lent_writer(broker.settings) as writer:
            raise KeyError
        assert closed == [writer]
        assert free_writer(broker.settings) is not writer
    assert closed == [writer]


def test_where_none_are_kept_and_with_other_settings_a_writer_is_of_ones_own(
    broker: FakeBroker, closed: list[FakeWriter]
) -> None:
    with lent_writer(broker.settings) as writer:
        pass
    assert closed == [writer]
    with FakeBroker() as other, kept_writers(other.settings):
        give_back(other.settings, kept := free_writer(other.settings))
        assert free_writer(broker.settings) is not kept
        assert free_writer(other.settings) is kept


def test_where_several_keep_writers_the_last_one_closes_them(broker: FakeBroker, closed: list[FakeWriter]) -> None:
    with kept_writers(broker.settings):
        with kept_writers(broker.settings), lent_writer(broker.settings) as writer:
            pass
        assert closed == []
        with lent_writer(broker.settings) as again:
            assert again is writer
    assert closed == [writer]
    assert free_writer(broker.settings) is not writer


def test_a_writer_given_back_behind_the_last_one_is_closed_whoever_ends_first(
    broker: FakeBroker, closed: list[FakeWriter]
) -> None:
    first, second = kept_writers(broker.settings), kept_writers(broker.settings)
    first.__enter__()
    second.__enter__()
    writer = free_writer(broker.settings)
    first.__exit__(None, None, None)
    give_back(broker.settings, writer)
    assert closed == []
    second.__exit__(None, None, None)
    assert closed == [writer]

"""Idle partitions: silence counts only if the broker answers and the partition is read to its end."""

from sparsewatch.testing import FakeBroker, FakeReader, SimulatedClock
from sparsewatch.transforms.kafka.fetching import IdleClock

AFTER_US = 3_000_000


def at(*positions: int) -> dict[int, int]:
    return dict(enumerate(positions))


def reader(*records: int) -> tuple[FakeBroker, FakeReader]:
    broker = FakeBroker()
    broker.create("t", len(records))
    writer = broker.writer()
    for partition, number in enumerate(records):
        for _ in range(number):
            writer.send("t", None, b"x", partition=partition)
    writer.flush()
    reading = broker.reader("t")
    reading.assign(dict.fromkeys(range(len(records)), 0))
    return broker, reading


def test_a_partition_silent_for_long_is_idle_since_then() -> None:
    clock, (_, reading) = SimulatedClock(), reader(5, 0)
    idle = IdleClock(clock)
    assert idle.idle_us(at(5, 0), reading, {0: 5}, AFTER_US) == {}
    clock.advance(4)
    assert idle.idle_us(at(5, 0), reading, {0: 5}, AFTER_US) == {1: 1_000_000}


def test_a_partition_with_records_to_read_is_not_idle_however_silent() -> None:
    clock, (_, reading) = SimulatedClock(), reader(5, 1)
    idle = IdleClock(clock)
    idle.idle_us(at(5, 0), reading, {}, AFTER_US)
    clock.advance(60)
    assert idle.idle_us(at(5, 0), reading, {0: 5}, AFTER_US) == {}


def test_no_partition_is_idle_while_the_broker_is_away() -> None:
    clock, (broker, reading) = SimulatedClock(), reader(5, 0)
    idle = IdleClock(clock)
    idle.idle_us(at(5, 0), reading, {}, AFTER_US)
    clock.advance(60)
    broker.away = True
    assert idle.idle_us(at(5, 0), reading, {}, AFTER_US) == {}
    clock.advance(2)
    broker.away = False
    assert set(idle.idle_us(at(5, 0), reading, {}, AFTER_US)) == {0, 1}


def test_a_record_wakes_a_partition() -> None:
    clock, (_, reading) = SimulatedClock(), reader(5, 0)
    idle = IdleClock(clock)
    idle.idle_us(at(5, 0), reading, {}, AFTER_US)
    clock.advance(4)
    assert 1 in idle.idle_us(at(5, 0), reading, {0: 5}, AFTER_US)
    assert 1 not in idle.idle_us(at(5, 1), reading, {1: 1}, AFTER_US)

"""Clients of kafka-python as we open them."""

import gc
import weakref
from contextlib import suppress

from kafka.errors import KafkaTimeoutError

from sparsewatch.transforms.kafka.opening import _Selector


class Batch:
    """What somebody is at work on."""


async def in_vain() -> None:
    raise KafkaTimeoutError("Timed out after 100 ms")


async def nothing() -> None: ...


def test_a_wait_in_vain_holds_nothing_of_those_who_waited() -> None:
    """Each poll of a quiet topic is one; garbage collections are rare while a job reads."""
    selector = _Selector()

    def wait() -> "weakref.ref[Batch]":
        batch = Batch()
        with suppress(KafkaTimeoutError):
            selector.run(in_vain)
        return weakref.ref(batch)

    selector.start()
    gc.disable()
    try:
        held = [wait() for _ in range(10)]
        # The loop takes one thing after the other: behind this, it is done with all before.
        selector.run(nothing)
        assert [one() for one in held] == [None] * 10
    finally:
        gc.enable()
        selector.stop()
        selector.close()

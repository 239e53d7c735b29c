"""Waiting for something to become true, with a deadline and the name of what was awaited."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], deadline_s: float, what: str, poll_s: float = 0.05) -> T:
    """Call `condition` until it answers something true, and return that answer.

    Args:
        condition: What is asked; it is called at least once.
        deadline_s: Seconds after which to give up, > 0.
        what: The awaited fact in words, for the failure.
        poll_s: Seconds between two calls.

    Raises:
        AssertionError: `condition` stayed false until the deadline.
    """
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(f"waited {deadline_s:g} s in vain for: {what}; last answer {answer!r}")
        time.sleep(poll_s)

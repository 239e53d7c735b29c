"""Results that compare with the public tool: how many times faster, how much less memory, which fault is gone."""

from benchmarks.harness import Result, Rounds
from benchmarks.outrank_peer.environment import NAME


def faster(name: str, ours: Rounds, peer: Rounds, *, target: float | None, note: str) -> list[Result]:
    """How many times faster, the middle of the rounds' own ratios; and the seconds of both.

    Args:
        name: Of the first result; the second is `<name>_seconds`.
        ours: Seconds of each round.
        peer: Seconds of the same rounds.
        target: Least number of times.
        note: What was timed.
    """
    times = Rounds([theirs / own for own, theirs in zip(ours.values, peer.values, strict=True)])
    met = None if target is None else times.median >= target
    speed = Result(
        name=name, value=times.median, unit="times faster", target=target, met=met, spread=times.spread, note=note
    )
    return [speed, beside(f"{name}_seconds", ours, "s", peer)]


def beside(name: str, ours: Rounds, unit: str, peer: Rounds, *, less: bool = False, note: str = "") -> Result:
    """A figure of both; with `less`, a figure that must stay below the peer's."""
    return Result(
        name=name,
        value=ours.median,
        unit=unit,
        peer=NAME,
        peer_value=peer.median,
        ratio=ours.median / peer.median,
        target=peer.median if less else None,
        met=ours.median < peer.median if less else None,
        spread=ours.spread,
        note=note,
    )


def fault(name: str, unit: str, *, ours: float, public: float, gone: bool, note: str) -> Result:
    """A fault of the public tool as both show it now.

    Args:
        name: Of the result, after `fault_`.
        unit: What the two figures count.
        ours: Our figure.
        public: The public tool's.
        gone: Whether ours is as it should be.
        note: The test, and the right answer.
    """
    return Result(name=f"fault_{name}", value=ours, unit=unit, peer=NAME, peer_value=public, met=gone, note=note)

"""Wafers by lot, step and tool, with the patterns they show: what tools and steps are compared by.

A window keeps a bounded number of lots, always the same ones of the same wafers, however they are split and merged:
those of the lowest hashes.
"""

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from sparsewatch.schemas.wafers import MISFIT, WaferResult

#: Lots of a window that are kept, each with what it did on one tool in one step: about 100 bytes each.
MOST_LOTS = 2_000
#: Stands for the patterns that a model does not know; no pattern has an empty name.
UNKNOWN = ""

_Key = tuple[str, str, str]


class LotCounts(msgspec.Struct, frozen=True, array_like=True):
    """Wafers of one lot that went over one tool in one step."""

    lot: str
    step: str
    tool: str
    wafers: int
    #: Wafers by pattern, `UNKNOWN` for novel ones. Of a wafer that the model does not fit none is known.
    patterns: dict[str, int]

    def shows(self, pattern: str) -> bool:
        """Whether at least a tenth of its wafers, and one, has the pattern."""
        found = self.patterns.get(pattern, 0)
        return found > 0 and 10 * found >= self.wafers


def lots_of(results: Iterable[WaferResult]) -> list[LotCounts]:
    """The lots of wafers."""
    return merged([_lot_of(result) for result in results])


def merged(lots: Iterable[LotCounts]) -> list[LotCounts]:
    """Each lot once, in order; at most `MOST_LOTS` of them."""
    wafers: Counter[_Key] = Counter()
    patterns: dict[_Key, Counter[str]] = {}
    for lot in lots:
        key = (lot.lot, lot.step, lot.tool)
        wafers[key] += lot.wafers
        patterns.setdefault(key, Counter()).update(lot.patterns)
    kept = sorted(wafers) if len(wafers) <= MOST_LOTS else sorted(sorted(wafers, key=_hash)[:MOST_LOTS])
    return [LotCounts(*key, wafers[key], dict(sorted(patterns[key].items()))) for key in kept]


def _lot_of(result: WaferResult) -> LotCounts:
    pattern = UNKNOWN if result.verdict == "novel" else result.pattern
    shown = {} if result.verdict == MISFIT else {pattern: 1}
    return LotCounts(result.lot, result.step, result.tool, 1, shown)


def _hash(key: _Key) -> bytes:
    return blake2b("\0".join(key).encode(), digest_size=8).digest()

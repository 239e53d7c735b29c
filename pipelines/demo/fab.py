"""The demo's fab: wafers in lots, five known patterns and an unknown one, seeded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.pipelines.demo.faults import Fault

STREAM = "demo-wafers"
WINDOW_US = 1_200_000_000
TIME = "time"
KNOWN = ("normal", "center", "edge_ring", "scratch", "cluster", "donut")
WITHHELD = "half_moon"
RISING = "scratch"
#: Share of each defect pattern in normal production.
SHARE = 0.05
#: Points of a wafer, lowest and highest.
DEFECTS = (120, 260)
_NOVEL_SHARE, _RISEN_SHARE = 0.2, 0.35
#: Windows a fault lasts.
_LASTS = 3


@dataclass
class Fab:
    """A seeded stream of windows of wafers."""

    seed: int
    start_us: int
    windows: int
    wafers: int
    faults: list[Fault] = field(init=False)

    def __post_init__(self) -> None:
        self._novel = self._planted("an unknown pattern", "novel_pattern", "wafers", 0.3)
        # A known pattern seven times as frequent brings seven times as many odd wafers of it: a cluster, too.
        self._rising = self._planted(
            f"{RISING} becomes frequent", "pattern_rate_high", RISING, 0.65, "emerging_pattern"
        )
        emerging = self._planted("its wafers, as an emerging pattern", "emerging_pattern", None, 0.3)
        self.faults = [self._novel, emerging, self._rising]

    def _planted(self, name: str, rule: str, subject: str | None, place: float, *also: str) -> Fault:
        start = self.start_us + round(place * self.windows) * WINDOW_US
        return Fault(
            name=name,
            stream=STREAM,
            rules=(rule,),
            subject=subject,
            start_us=start,
            end_us=start + _LASTS * WINDOW_US,
            also=also,
        )

    def window(self, window: int) -> pl.DataFrame:
        """Wafers of a window, in order of time; event times in milliseconds."""
        rng = np.random.default_rng((self.seed, window, 7))
        start = self.start_us + window * WINDOW_US
        shares = dict.fromkeys(KNOWN[1:], SHARE)
        if self._novel.start_us <= start < self._novel.end_us:
            shares[WITHHELD] = _NOVEL_SHARE
        if self._rising.start_us <= start < self._rising.end_us:
            shares[RISING] = _RISEN_SHARE
        names = [*shares, KNOWN[0]]
        chosen = rng.choice(len(names), self.wafers, p=[*shares.values(), 1 - sum(shares.values())])
        times = (start + np.arange(self.wafers) * (WINDOW_US // self.wafers)) // 1000
        wafers = draw([names[i] for i in chosen], rng, first=window * self.wafers)
        return wafers.insert_column(0, pl.Series(TIME, times))


def draw(patterns: Sequence[str], rng: np.random.Generator, first: int = 0) -> pl.DataFrame:
    """One wafer for each pattern; normal wafers have only scattered defects."""
    return pl.DataFrame(make_wafers(patterns, rng, defects=DEFECTS, first=first))


def training_wafers(seed: int, each: int) -> tuple[pl.DataFrame, list[str]]:
    """Labelled wafers of the known patterns; each a lot of its own, so that every part of the split gets its share."""
    rng = np.random.default_rng((seed, 11))
    labels = [name for name in KNOWN for _ in range(each)]
    rng.shuffle(labels)
    return draw(labels, rng).with_columns(pl.col("wafer_id").alias("lot")), labels

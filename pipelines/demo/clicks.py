"""The demo's clicks: 36 columns of known cardinality and effect, seeded, with faults planted behind what is learned."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from sparsewatch.pipelines.demo.faults import Fault

STREAM = "demo-clicks"
WINDOW_US = 300_000_000
LABEL = "click"
TIME = "time"
#: Numbers of a row, for the row model; too many values to rank.
NUMBERS = ("bid_price", "floor_price", "session_seconds", "page_depth", "history_ctr")
#: Empty until somebody fills it.
EMPTY = "promo_code"

#: Columns to rank: name -> (distinct values, Zipf exponent, effect on the log-odds of a click, share of nulls).
FEATURES: dict[str, tuple[int, float, float, float]] = {
    "ad_position": (6, 0.0, 1.1, 0.0),
    "campaign": (400, 0.8, 0.3, 0.0),
    "creative": (2_000, 0.9, 0.2, 0.0),
    "advertiser": (120, 0.9, 0.3, 0.0),
    "site": (5_000, 1.1, 0.2, 0.0),
    "site_category": (24, 0.6, 0.4, 0.0),
    "app": (3_000, 1.1, 0.2, 0.3),
    "app_category": (30, 0.7, 0.3, 0.0),
    "user": (100_000, 0.3, 0.0, 0.0),
    "device_id": (100_000, 0.2, 0.0, 0.0),
    "device_model": (800, 1.0, 0.1, 0.0),
    "device_type": (4, 0.8, 0.3, 0.0),
    "os": (5, 0.9, 0.1, 0.0),
    "os_version": (40, 0.9, 0.0, 0.02),
    "browser": (12, 1.0, 0.1, 0.0),
    "connection": (4, 0.5, 0.2, 0.0),
    "carrier": (60, 1.0, 0.0, 0.15),
    "country": (50, 1.1, 0.2, 0.0),
    "region": (500, 1.0, 0.1, 0.0),
    "city": (8_000, 1.1, 0.0, 0.05),
    "hour_of_day": (24, 0.0, 0.1, 0.0),
    "weekday": (7, 0.0, 0.0, 0.0),
    "banner_size": (10, 0.6, 0.4, 0.0),
    "language": (20, 1.2, 0.0, 0.0),
    "gender": (3, 0.3, 0.1, 0.0),
    "age_band": (8, 0.3, 0.2, 0.0),
    "segment": (300, 0.8, 0.2, 0.1),
    "keyword": (20_000, 0.9, 0.0, 0.4),
    "placement": (1_000, 0.9, 0.2, 0.0),
    "network": (15, 0.8, 0.1, 0.0),
}
RANKED = (*FEATURES, EMPTY)
#: Type of each column in the job file.
COLUMNS = {**dict.fromkeys(RANKED, "str"), **dict.fromkeys(NUMBERS, "float"), LABEL: "int"}
_RATE = 0.18
#: Events of a window are up to so much older than their place in the stream: inside the allowed disorder.
_JITTER_US = 60_000_000
_LATE_SHARE, _BROKEN_SHARE = 0.003, 0.001
#: Late events are so old that their window has closed.
_LATE_US = 1_500_000_000

#: Column and value of the rows in which a fault of a slice is planted: a quarter of all.
_SLICE = ("device_type", "device_type-1")

#: What a fault does to a window: rows and clicks are changed in place, or others are returned.
Change = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]


def _some_null(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    gone = pl.Series(rng.random(rows.height) < 0.4)
    return rows.with_columns(pl.when(gone).then(None).otherwise(pl.col("device_model")).alias("device_model"))


def _null_in_a_slice(rows: pl.DataFrame, _rng: np.random.Generator) -> pl.DataFrame:
    there = pl.col(_SLICE[0]) == _SLICE[1]
    return rows.with_columns(pl.when(there).then(None).otherwise(pl.col("banner_size")).alias("banner_size"))


def _vanish(rows: pl.DataFrame, _rng: np.random.Generator) -> pl.DataFrame:
    return rows.with_columns(pl.lit(None, dtype=pl.String).alias("app_category"))


def _shuffle(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    return rows.with_columns(rows["ad_position"].gather(rng.permutation(rows.height)))


def _new_values(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    new = pl.Series([f"campaign-new-{i}" for i in rng.integers(0, 40, rows.height)])
    chosen = pl.Series(rng.random(rows.height) < 0.3)
    return rows.with_columns(pl.when(chosen).then(new).otherwise(pl.col("campaign")).alias("campaign"))


def _appear(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    return rows.with_columns(pl.Series(EMPTY, [f"promo-{i}" for i in rng.integers(0, 5, rows.height)]))


def _unchanged(rows: pl.DataFrame, _rng: np.random.Generator) -> pl.DataFrame:
    return rows


def _fewer_rows(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    return rows.filter(pl.Series(rng.random(rows.height) < 0.2))


def _no_rows(rows: pl.DataFrame, _rng: np.random.Generator) -> pl.DataFrame:
    return rows.clear()


def _as_number(rows: pl.DataFrame, _rng: np.random.Generator) -> pl.DataFrame:
    return rows.with_columns(pl.col("weekday").str.extract(r"(\d+)$").cast(pl.Int64))


def _odd_rows(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    odd = pl.Series(rng.random(rows.height) < 0.15)
    return rows.with_columns(
        pl.when(odd).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name, factor in (("bid_price", 25.0), ("session_seconds", -3.0))
    )


_IN_A_SLICE = f"banner_size missing on {_SLICE[1]}"
#: Name, rules it explains, subject, change; in the order in which they come.
_PLANS: tuple[tuple[str, tuple[str, ...], str, Change], ...] = (
    ("40 % of device_model missing", ("feature_nulls",), "device_model", _some_null),
    (_IN_A_SLICE, ("feature_nulls",), "banner_size", _null_in_a_slice),
    ("app_category vanishes", ("feature_vanished",), "app_category", _vanish),
    ("ad_position loses its signal", ("feature_signal_lost",), "ad_position", _shuffle),
    ("30 % of campaigns are new", ("feature_unseen_values",), "campaign", _new_values),
    ("promo_code appears", ("feature_appeared",), EMPTY, _appear),
    ("people click far more", ("click_rate_shift",), "stream", _unchanged),
    ("four of five events missing", ("volume_low",), "stream", _fewer_rows),
    ("weekday becomes a number", ("feature_type_changed",), "weekday", _as_number),
    ("no event at all", ("volume_low", "no_data"), "stream", _no_rows),
    ("15 % of rows are outliers", ("rows_unlike_training",), "bid_price", _odd_rows),
)
#: The topic is deleted and made anew while no event comes, before the last window of this fault ends.
_SILENT = "no event at all"
#: Windows a fault lasts; quiet ones behind it, at least, in which its incident is resolved; windows before the first
#: fault, which the job learns, the incomplete one at its start apart.
_LASTS, _QUIET, _LEARNED = 3, 3, 14
#: So many windows have room for all.
LEAST_WINDOWS = _LEARNED + (_LASTS + _QUIET) * len(_PLANS)


@dataclass
class Clicks:
    """A seeded stream of windows."""

    seed: int
    start_us: int
    windows: int
    rows: int
    #: Planted faults and, by window, what they do.
    faults: list[Fault] = field(init=False)
    #: Before this window the topic is deleted and made anew; None if it is not.
    recreated_before: int | None = None

    def __post_init__(self) -> None:
        world = np.random.default_rng(2026)
        self._shares = {
            name: np.cumsum(ranks := np.arange(1, n + 1.0) ** -zipf) / ranks.sum()
            for name, (n, zipf, _, _) in FEATURES.items()
        }
        self._names = {name: pl.Series([f"{name}-{i}" for i in range(n)]) for name, (n, _, _, _) in FEATURES.items()}
        self._effects = {name: effect * world.standard_normal(n) for name, (n, _, effect, _) in FEATURES.items()}
        self._changes: dict[int, Change] = {}
        self._odds: dict[int, float] = {}
        self.faults = []

    def plant(self, *, recreate: bool = True) -> "Clicks":
        """Plant every fault at its place.

        Args:
            recreate: Whether the topic is made anew, too. Only for a job that runs on: a bounded run reads the rows of
                open windows again, which a deleted topic no longer has.
        """
        step = (self.windows - _LEARNED) // len(_PLANS)
        for place, (name, rules, subject, change) in enumerate(_PLANS):
            first = _LEARNED + place * step
            for window in range(first, first + _LASTS):
                self._changes[window] = change
                # Everybody clicks more: odds rise alike, so no feature says less than it did.
                self._odds[window] = 1.0 if "click_rate_shift" in rules else 0.0
            start = self.start_us + first * WINDOW_US
            self.faults.append(
                Fault(
                    name=name,
                    stream=STREAM,
                    rules=rules,
                    subject=subject,
                    start_us=start,
                    end_us=start + _LASTS * WINDOW_US,
                    where=" = ".join(_SLICE) if name == _IN_A_SLICE else "",
                )
            )
            if name == _SILENT and recreate:
                self._plant_recreation(first + _LASTS - 1)
        return self

    def _plant_recreation(self, window: int) -> None:
        self.recreated_before = window
        start = self.start_us + window * WINDOW_US
        self.faults.append(
            Fault(
                name="the topic is deleted and made anew",
                stream=STREAM,
                rules=("source_recreated",),
                subject="stream",
                # Told with the next window that closes: of these some were silent, too.
                start_us=start - _LASTS * WINDOW_US,
                end_us=start + _LASTS * WINDOW_US,
            )
        )

    def clean(self, window: int) -> pl.DataFrame:
        """Rows of a window before its change, in order of time; event times in microseconds."""
        rng = np.random.default_rng((self.seed, window, 0))
        n = int(rng.poisson(self.rows))
        odds = np.full(n, np.log(_RATE / (1 - _RATE)) + self._odds.get(window, 0.0))
        columns: dict[str, pl.Series] = {}
        for name, (distinct, _, _, nulls) in FEATURES.items():
            values = np.minimum(np.searchsorted(self._shares[name], rng.random(n)), distinct - 1)
            odds += self._effects[name][values]
            column = self._names[name].gather(values)
            columns[name] = column.set(pl.Series(rng.random(n) < nulls), None) if nulls else column
        columns[EMPTY] = pl.Series([None] * n, dtype=pl.String)
        columns |= _numbers(rng, n)
        columns[LABEL] = pl.Series((rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64))
        times = np.sort(rng.integers(0, WINDOW_US, n)) + self.start_us + window * WINDOW_US
        return pl.DataFrame({TIME: times, **columns})

    def window(self, window: int) -> pl.DataFrame:
        """Rows of a window, after its fault if one is planted."""
        rows = self.clean(window)
        change = self._changes.get(window)
        return rows if change is None else change(rows, np.random.default_rng((self.seed, window, 1)))

    def records(self, window: int) -> tuple[list[bytes], int, int]:
        """JSON records of a window as they arrive: some out of order, late or broken.

        Returns:
            The records, and how many of them are late and broken.
        """
        rows = self.window(window)
        rng = np.random.default_rng((self.seed, window, 2))
        luck = rng.random(rows.height)
        # Late events are planted once the stream is older than they are.
        late = (luck < _LATE_SHARE) & (window * WINDOW_US > 2 * _LATE_US)
        shift = np.where(luck > 0.9, rng.integers(0, _JITTER_US, rows.height), 0) + late * _LATE_US
        # No event goes back into a window that is to have none.
        silent = self._changes.get(window - 1) is _no_rows
        earliest = self.start_us + max(0, window - (not silent)) * WINDOW_US
        times = np.where(late, rows[TIME] - shift, np.maximum(rows[TIME] - shift, earliest)) // 1000
        lines = rows.with_columns(pl.Series(TIME, times)).write_ndjson().encode().split(b"\n")[: rows.height]
        broken = np.flatnonzero((luck > 0.5) & (luck < 0.5 + _BROKEN_SHARE))
        for i in broken.tolist():
            lines[i] = lines[i][: len(lines[i]) // 2]
        return lines, int(late.sum()), len(broken)


def _numbers(rng: np.random.Generator, n: int) -> dict[str, pl.Series]:
    bid = rng.lognormal(0.0, 0.4, n)
    seconds = rng.gamma(2.0, 60.0, n)
    return {
        "bid_price": pl.Series(bid),
        "floor_price": pl.Series(bid * rng.uniform(0.3, 0.6, n)),
        "session_seconds": pl.Series(seconds),
        "page_depth": pl.Series(1 + seconds / 45 + rng.normal(0, 0.5, n)),
        "history_ctr": pl.Series(rng.beta(2, 30, n)),
    }

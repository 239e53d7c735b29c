"""Seeded streams without a fault, with what real ones have: a rhythm of the day, heavy tails, dependence on time.

Each window is drawn by itself from the seed and its number, so a stream of any size takes the memory of one window.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr

from benchmarks.decisions_streams import LABEL, Kind, Stream, declared, timed

#: Distinct values of features in turn.
_VALUES = (2, 5, 12, 40, 150, 600, 2_000)
#: Features on which the label depends, and by how much of the log-odds.
_SIGNAL = {0: 0.5, 1: 0.4, 3: 0.3}
#: How much of the state of a window passes to the next one, where it does.
_PERSISTENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What varies in a stream besides chance."""

    name: str
    #: Volume at the peak of a day over that in its trough; likewise of the click rate.
    volume_cycle: float = 1.0
    rate_cycle: float = 1.0
    #: How far the mix of values, or the level of numbers, moves with the hour.
    mix_cycle: float = 0.0
    #: How far volume, rate and mix wander from window to window, each by itself.
    wander: float = 0.0
    #: Spread of the volume besides chance.
    spread: float = 0.0
    #: Whether values without an end have a heavy tail.
    heavy: bool = False
    #: Correlation of a row's numbers with those of the row before.
    memory: float = 0.0
    #: Hours that are learned first.
    learned: int = 24


RECIPES = (
    Recipe(name="steady"),
    Recipe(name="day_cycle", volume_cycle=5, rate_cycle=2, mix_cycle=0.3),
    Recipe(name="half_day_learned", volume_cycle=5, rate_cycle=2, mix_cycle=0.3, learned=12),
    Recipe(name="heavy_tails", spread=0.15, heavy=True),
    Recipe(name="autocorrelated", wander=0.3, memory=0.99),
)


@dataclass(frozen=True, kw_only=True)
class _Moment:
    """The state of a window: factors of volume and odds, and exponents of the mix of each feature."""

    rows: int
    odds: float
    mix: NDArray[np.float64]
    level: float


def seeded(recipe: Recipe, kind: Kind, *, features: int, a_window: int, count: int, seed: int) -> Stream:
    """A stream of a recipe.

    Args:
        recipe: What varies.
        kind: Of the job.
        features: Number of columns besides the label.
        a_window: Rows a window on average.
        count: Number of windows, an hour each.
        seed: Of everything drawn.
    """
    draw = click_rows if kind == "ctr" else number_rows

    def windows() -> Iterator[pl.DataFrame]:
        for number, moment in enumerate(_moments(recipe, features, a_window, count, seed)):
            yield timed(draw(recipe, moment, np.random.default_rng([seed, number])), number)

    first = draw(recipe, _Moment(rows=2, odds=0, mix=np.ones(features), level=0), np.random.default_rng(0))
    return Stream(name=recipe.name, kind=kind, columns=declared(first), count=count, windows=windows, windows_a_day=24)


def _moments(recipe: Recipe, features: int, a_window: int, count: int, seed: int) -> Iterator[_Moment]:
    rng = np.random.default_rng([seed, 1 << 20])
    wander = np.zeros(2 + features)
    for number in range(count):
        step = rng.normal(size=wander.size) * recipe.wander * np.sqrt(1 - _PERSISTENCE**2)
        wander = _PERSISTENCE * wander + step
        day = np.sin(number / 24 * 2 * np.pi)
        volume = a_window * np.exp(wander[0] + day * np.log(recipe.volume_cycle) / 2)
        volume *= rng.lognormal(0, recipe.spread) if recipe.spread else 1.0
        yield _Moment(
            rows=max(1, int(rng.poisson(volume))),
            odds=wander[1] + day * np.log(recipe.rate_cycle) / 2,
            mix=np.exp(wander[2:] + recipe.mix_cycle * day * (np.arange(features) % 3 == 0)),
            level=recipe.mix_cycle * day,
        )


def click_rows(recipe: Recipe, moment: _Moment, rng: np.random.Generator) -> pl.DataFrame:
    """Rows of clicks: features of whole numbers, every fifth of texts, with long tails, and a label."""
    columns: dict[str, pl.Series] = {}
    odds = np.full(moment.rows, -1.7 + moment.odds)
    for i, exponent in enumerate(moment.mix):
        codes = _codes(
            rng.random(moment.rows) ** exponent, _VALUES[i % len(_VALUES)], heavy=recipe.heavy and i % 4 == 3
        )
        odds += _SIGNAL.get(i, 0.0) * (2.0 * (codes % 2) - 1)
        values = pl.Series(codes)
        columns[f"f{i:03d}"] = ("v" + values.cast(pl.String)) if i % 5 == 1 else values
    columns[LABEL] = pl.Series((rng.random(moment.rows) < 1 / (1 + np.exp(-odds))).astype(np.int64))
    return pl.DataFrame(columns)


def _codes(u: NDArray[np.float64], values: int, *, heavy: bool) -> NDArray[np.int64]:
    """Ranks with a density of 1 over the rank; with a heavy tail there is no last one."""
    if heavy:
        tail: NDArray[np.int64] = np.minimum((1 - u) ** -1.2, 1e15).astype(np.int64)
        return tail
    codes: NDArray[np.int64] = np.minimum(np.expm1(u * np.log1p(values)), values - 1).astype(np.int64)
    return codes


def number_rows(recipe: Recipe, moment: _Moment, rng: np.random.Generator) -> pl.DataFrame:
    """Rows of numbers: in groups of five that go together, with a level that may move."""
    features = moment.mix.size
    shape = (moment.rows, features)
    noise = rng.standard_t(2.5, shape) if recipe.heavy else rng.standard_normal(shape)
    noise += 0.7 * np.repeat(rng.standard_normal((moment.rows, -(-features // 5))), 5, axis=1)[:, :features]
    if recipe.memory:
        start = rng.standard_normal((1, features)) * recipe.memory
        noise, _ = lfilter([np.sqrt(1 - recipe.memory**2)], [1, -recipe.memory], noise, axis=0, zi=start)
    noise += np.log(moment.mix)
    columns = {f"f{i:03d}": pl.Series(noise[:, i]) for i in range(features)}
    # Every fifth is text: five grades of its number.
    for name in list(columns)[4::5]:
        columns[name] = "grade-" + (5 * pl.Series(ndtr(columns[name].to_numpy() / 1.22))).cast(pl.Int64).cast(pl.String)
    return pl.DataFrame(columns)

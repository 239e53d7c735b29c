"""NAB's series by its published scoring rule, one numeric column as rows: `make bench-nab`.

The 58 series of the Numenta Anomaly Benchmark, 47 of them real, with 116 labelled windows. A detector learns from the
first rows of a series, which are not scored. Labels choose nothing but the one threshold of the corpus, which the rule
itself chooses for every detector. Random scores and a windowed Gaussian are run here although their figures are
published: that ours come out alike shows that the rule is the published one.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.harness import Result, Rounds, rate, write_results
from benchmarks.nab_detectors import DETECTORS, Detector, Scorer, at_random
from benchmarks.nab_score import PROFILES, Floats, Judged, judged, nab_score, pooled
from benchmarks.nab_windows import by_incidents
from benchmarks.rows_protocol import data_folder

_SEEDS = 10
_OURS = "row model, p-values"
_ALL, _UNIT = "all series", "of 100"
#: Jobs at their defaults; both lengths were named before either was scored.
_WINDOWED = {
    f"rows job, windows of {rows} rows": Detector(partial(by_incidents, rows_a_window=rows), "the incidents of a job")
    for rows in (48, 144)
}
#: By profile in the order of `PROFILES`, of the whole corpus: the scoreboard in the readme of NAB's repository,
#: github.com/numenta/NAB at commit 37b9a8cf, as of NAB 1.0; of a range of seeds the highest.
PUBLISHED: Mapping[str, tuple[float, float, float]] = {
    "Numenta HTM": (70.5, 62.6, 75.2),
    "CAD OSE": (69.9, 67.0, 73.2),
    "KNN CAD": (58.0, 43.4, 64.8),
    "Relative Entropy": (54.6, 47.6, 58.8),
    "Random Cut Forest": (51.7, 38.4, 59.7),
    "Twitter ADVec": (47.1, 33.6, 53.5),
    "windowed Gaussian": (39.6, 20.9, 47.4),
    "Etsy Skyline": (35.7, 27.1, 44.5),
    "Bayesian Changepoint": (17.7, 3.2, 32.2),
    "EXPoSE": (16.4, 3.2, 26.9),
    "random": (11.0, 1.2, 19.5),
}


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A series in its own order."""

    name: str
    values: Floats
    #: Whether each row is in a labelled window.
    inside: NDArray[np.bool_]

    @property
    def is_real(self) -> bool:
        """Measured, not made up."""
        return self.name.startswith("real")


def read_corpus() -> list[Series]:
    """All series."""
    rows = pl.read_parquet(data_folder().parent / "streams" / "nab.parquet")
    parts = rows.partition_by("series", maintain_order=True)
    return [Series(p["series"][0], p["value"].to_numpy(), p["in_window"].to_numpy()) for p in parts]


def scored(scorer: Scorer, corpus: Sequence[Series]) -> list[Judged]:
    """The rows of every series that count, as the scorer rates them."""
    return [judged(scorer(series.values), series.inside) for series in corpus]


def figures(rows: Sequence[Judged], corpus: Sequence[Series]) -> dict[str, list[float]]:
    """The scores by every profile, of the whole corpus and of the real series with a threshold of their own."""
    real = [one for one, series in zip(rows, corpus, strict=True) if series.is_real]
    return {_ALL: _by_profile(rows), "real series": _by_profile(real)}


def _by_profile(series: Sequence[Judged]) -> list[float]:
    rows = pooled(series)
    return [nab_score(rows, profile)[0] for profile in PROFILES.values()]


def judge(corpus: Sequence[Series]) -> Iterator[Result]:
    """Every detector beside its published figure, if it has one; then ours beside the published ones."""
    for name, detector in {**DETECTORS, **_WINDOWED}.items():
        rows = scored(detector.score, corpus)
        found = figures(rows, corpus)
        yield from _results(name, {part: [Rounds([x]) for x in xs] for part, xs in found.items()}, detector.about)
        if name in _WINDOWED:
            yield _incidents(name, pooled(rows))
        if name == _OURS:
            ours = found[_ALL]
    runs = [figures(scored(at_random(seed), corpus), corpus) for seed in range(_SEEDS)]
    rounds = {part: [Rounds(xs) for xs in zip(*(run[part] for run in runs), strict=True)] for part in runs[0]}
    yield from _results("random", rounds, f"of {_SEEDS} seeds; published is a mean")
    yield from _beside_published(ours)


def _results(name: str, found: Mapping[str, Sequence[Rounds]], about: str) -> Iterator[Result]:
    for part, by_profile in found.items():
        published = PUBLISHED.get(name) if part == _ALL else None
        for at, (profile, rounds) in enumerate(zip(PROFILES, by_profile, strict=True)):
            yield rate(
                f"{part}, {profile}, {name}",
                rounds if len(rounds.values) > 1 else statistics.fmean(rounds.values),
                _UNIT,
                peer="published" if published else None,
                peer_value=published[at] if published else None,
                note=about if at == 0 and part == _ALL else "",
            )


def _incidents(name: str, rows: Judged) -> Result:
    windows = rows.windows[rows.scores > 0]
    inside = windows[windows >= 0]
    note = f"{len(inside)} in labelled windows, of which they find {len(np.unique(inside))} of {rows.n_windows}"
    return rate(f"{_ALL}, incidents, {name}", len(windows), "incidents", note=note)


def _beside_published(ours: Sequence[float]) -> Iterator[Result]:
    for name, published in PUBLISHED.items():
        others = zip(PROFILES, published, ours, strict=True)
        note = "; ".join(f"{profile}: published {theirs}, ours {own:.1f}" for profile, theirs, own in others)
        yield rate(f"{_ALL}, standard, beside {name}", ours[0], _UNIT, peer=name, peer_value=published[0], note=note)


def main() -> None:
    """Score and write the results."""
    write_results("nab", list(judge(read_corpus())))


if __name__ == "__main__":
    main()

"""Baseline of a stream of clicks: figures of the windows of a reference stretch.

Fitted once, stored as a model artefact, compared with each new window by `sparsewatch.detectors.clicks.checks`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Self

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.artefacts.artefact import load_artefact, reading_parts, save_artefact
from sparsewatch.detectors.clicks.calibration import calibration_of
from sparsewatch.detectors.clicks.calibration_checks import CalibrationBefore, fit_calibration
from sparsewatch.detectors.clicks.determined import Broken, Link, fit_determined, sought
from sparsewatch.detectors.clicks.feature_fit import fit_features
from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.flat_reference import FlatReference
from sparsewatch.detectors.clicks.inflation import of_shares, pooled
from sparsewatch.detectors.clicks.known_values import KnownValues, as_arrow
from sparsewatch.detectors.clicks.label_links import NO_LINKS, LabelLink, LabelLinks, LinkOver, fit_links, strongest
from sparsewatch.detectors.clicks.number_shares import NumberShares, fit_numbers
from sparsewatch.detectors.clicks.odd_windows import odd_windows
from sparsewatch.detectors.clicks.own_windows import Yes
from sparsewatch.detectors.clicks.profile import WindowFigures
from sparsewatch.detectors.clicks.repeated_rows import Repeats, fit_repeats
from sparsewatch.detectors.clicks.rhythm import Rhythm, fit_rhythm
from sparsewatch.detectors.clicks.strays import rate_steadiness
from sparsewatch.detectors.clicks.stretch import Stretch
from sparsewatch.detectors.clicks.tolerances import Abundances, SharesOver, Statistic, statistic
from sparsewatch.detectors.clicks.value_shares import ValueShares
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import NO_BINS, NumberBins
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_mark
from sparsewatch.detectors.counts.window_values import WindowValues
from sparsewatch.detectors.outrank.ranking import rank_features
from sparsewatch.detectors.sequential.steadiness import Steadiness
from sparsewatch.schemas.block import EVENT_TIME_US
from sparsewatch.schemas.errors import ConfigError, ModelError
from sparsewatch.schemas.stored import batch_from_bytes, table_to_bytes

KIND = "reference"
_SAMPLE = "sample"


class Reference(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Figures of a clean stretch of clicks, against which a job's windows are checked."""

    label: str
    windows: int
    volume: Statistic
    click_rate: Statistic
    features: dict[str, FeatureReference]
    #: All values of each feature, ascending, without null; of a feature in `hash_limits` a sample.
    known_values: dict[str, pl.Series]
    #: For features with more values than a window holds: the hashes of the known values are below the limit.
    hash_limits: dict[str, int]
    #: How often values occur, for each feature.
    abundances: dict[str, Abundances]
    #: Length of its windows in microseconds; None in references of earlier releases.
    window_us: int | None = None
    #: Windows that are not in `windows`, since their volume or click rate is unlike that of the others.
    left_out: int = 0
    #: Volume and click rate by hour, where that predicts a day better than their mean over all windows.
    volume_by_hour: Rhythm | None = None
    click_rate_by_hour: Rhythm | None = None
    #: Start of its first window and end of its last, microseconds since the epoch; None if they are not known.
    span_us: tuple[int, int] | None = None
    #: Of the click rate, as parts of that expected; None in references of earlier releases, and of few windows.
    click_rate_steadiness: Steadiness | None = None
    #: Features and label of some rows of its windows, to tell which rows a change is in; None if they are not kept.
    sample: pa.RecordBatch | None = None
    #: Features that were counted in bins, and where their numbers lie.
    bins: NumberBins = NO_BINS
    numbers: Mapping[str, NumberShares] = {}
    #: Shares of the most frequent values of each feature; empty in references of earlier releases.
    shares: Mapping[str, ValueShares] = {}
    #: How messages call it.
    name: str = "the reference"
    #: Equal rows in its windows; None if no rows are kept, or too few of a window.
    repeats: Repeats | None = None
    #: Calibration of the prediction, where one is named.
    calibration: CalibrationBefore | None = None
    #: How labels go with the values of features; none in references of earlier releases.
    links: LabelLinks = NO_LINKS
    #: Features that others determine; none in references of earlier releases, and where no rows are kept.
    determined: Sequence[Link] = ()

    def __repr__(self) -> str:
        """In a line: windows, features, volume."""
        return f"<Reference: {self.windows} windows of {self.volume.mean:.0f} rows, {len(self.features)} features>"

    @cached_property
    def known(self) -> KnownValues:
        """The known values of all features, to find a window's among them."""
        return KnownValues(self.known_values, self.hash_limits)

    @cached_property
    def flat(self) -> FlatReference:
        """The figures of all features, to judge them at once."""
        return FlatReference.of(self.features, self.known, self.shares, self.abundances)

    def hash_limit(self, feature: str) -> int:
        """The hashes of the known values are below it; `HASH_RANGE` where all are known."""
        return self.hash_limits.get(feature, HASH_RANGE)

    def save(self, folder: Path | str, *, version: str | None = None) -> Path:
        """Write as a new version below `folder`; returns the version's folder."""
        tensors = {}
        for name in self.features:
            tensors[f"values/{name}"] = _to_tensor(self.known_values[name])
            tensors[f"sizes/{name}"] = self.abundances[name].sizes
            tensors[f"times/{name}"] = self.abundances[name].times
        if self.sample is not None:
            tensors[_SAMPLE] = np.frombuffer(table_to_bytes(self.sample, compression="lz4"), np.uint8)
        for name, shares in self.shares.items():
            tensors[f"frequent/{name}"] = _to_tensor(shares.values)
            tensors[f"shares/{name}"] = shares.figures
        for name, numbers in self.numbers.items():
            tensors[f"borders/{name}"] = numbers.borders
            tensors[f"below/{name}"] = numbers.figures
        for name, link in self.links.features.items():
            tensors[f"linked/{name}"] = _to_tensor(link.values)
            tensors[f"evidence/{name}"] = link.evidence
        for number, said in enumerate(self.determined):
            tensors[f"says/{number}"], tensors[f"said/{number}"] = _to_tensor(said.keys), _to_tensor(said.values)
        meta = {
            "label": self.label,
            "windows": self.windows,
            "volume": self.volume,
            "click_rate": self.click_rate,
            "features": self.features,
            "hash_limits": self.hash_limits,
            "hash_mark": hash_mark(),
            "window_us": self.window_us,
            "left_out": self.left_out,
            "volume_by_hour": self.volume_by_hour,
            "click_rate_by_hour": self.click_rate_by_hour,
            "span_us": self.span_us,
            "click_rate_steadiness": self.click_rate_steadiness,
            "bins": self.bins,
            "numbers": {name: numbers.over for name, numbers in self.numbers.items()},
            "shares": {name: shares.over for name, shares in self.shares.items()},
            "repeats": self.repeats,
            "calibration": self.calibration,
            "links": {name: link.over for name, link in self.links.features.items()},
            "all_links": self.links.whole,
            "determined": [(said.by, said.feature, said.over) for said in self.determined],
        }
        return save_artefact(folder, kind=KIND, tensors=tensors, meta=msgspec.to_builtins(meta), version=version)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a version, or the latest below a folder.

        Raises:
            ModelError: If it is missing, damaged or not a reference.
        """
        artefact = load_artefact(path, KIND)
        meta, tensors = artefact.meta, artefact.tensors
        with reading_parts(f"{path} is not a reference of this release's format"):
            features = msgspec.convert(meta["features"], dict[str, FeatureReference])
            limits = msgspec.convert(meta.get("hash_limits", {}), dict[str, int])
            if limits and meta["hash_mark"] != hash_mark():
                raise ModelError(
                    f"{path}: expected values sampled by the hash of this release, got those of an earlier release: "
                    "new windows cannot be compared with them. Fit the reference again: `sparsewatch train reference`"
                )
            return cls(
                label=msgspec.convert(meta["label"], str),
                windows=msgspec.convert(meta["windows"], int),
                volume=msgspec.convert(meta["volume"], Statistic),
                click_rate=msgspec.convert(meta["click_rate"], Statistic),
                features=features,
                known_values={name: _from_tensor(tensors[f"values/{name}"]) for name in features},
                hash_limits=limits,
                abundances={
                    name: Abundances(
                        tensors[f"sizes/{name}"],
                        tensors[f"times/{name}"],
                        HASH_RANGE / limits.get(name, HASH_RANGE),
                        feature.listed,
                    )
                    for name, feature in features.items()
                },
                window_us=msgspec.convert(meta.get("window_us"), int | None),
                left_out=msgspec.convert(meta.get("left_out", 0), int),
                volume_by_hour=msgspec.convert(meta.get("volume_by_hour"), Rhythm | None),
                click_rate_by_hour=msgspec.convert(meta.get("click_rate_by_hour"), Rhythm | None),
                span_us=msgspec.convert(meta.get("span_us"), tuple[int, int] | None),
                click_rate_steadiness=msgspec.convert(meta.get("click_rate_steadiness"), Steadiness | None),
                sample=batch_from_bytes(tensors[_SAMPLE].tobytes()) if _SAMPLE in tensors else None,
                bins=msgspec.convert(meta.get("bins", NO_BINS), NumberBins),
                numbers={
                    name: NumberShares(tensors[f"borders/{name}"], tensors[f"below/{name}"], over)
                    for name, over in msgspec.convert(meta.get("numbers", {}), dict[str, SharesOver]).items()
                },
                repeats=msgspec.convert(meta.get("repeats"), Repeats | None),
                calibration=msgspec.convert(meta.get("calibration"), CalibrationBefore | None),
                links=LabelLinks(
                    {
                        name: LabelLink(_from_tensor(tensors[f"linked/{name}"]), tensors[f"evidence/{name}"], over)
                        for name, over in msgspec.convert(meta.get("links", {}), dict[str, LinkOver]).items()
                    },
                    msgspec.convert(meta.get("all_links"), LinkOver | None),
                ),
                determined=tuple(
                    Link(by, feature, _from_tensor(tensors[f"says/{at}"]), _from_tensor(tensors[f"said/{at}"]), over)
                    for at, (by, feature, over) in enumerate(
                        msgspec.convert(meta.get("determined", ()), list[tuple[str, str, Broken]])
                    )
                ),
                shares={
                    name: ValueShares(_from_tensor(tensors[f"frequent/{name}"]), tensors[f"shares/{name}"], over)
                    for name, over in msgspec.convert(meta.get("shares", {}), dict[str, SharesOver]).items()
                },
            )


def fit_reference(
    windows: Iterable[FeatureCounts],
    window_us: int | None = None,
    starts_us: Sequence[int] | None = None,
    sample: pa.RecordBatch | None = None,
    prediction: str | None = None,
) -> Reference:
    """Figures of a stretch that is assumed normal but for the odd window (`sparsewatch.detectors.clicks.odd_windows`).

    Args:
        windows: Counts of whole windows of the same length, features and label, in the order of time; those without
            rows are left out.
        window_us: Length of the windows, microseconds; None if it is not known.
        starts_us: Start of each window, microseconds since the epoch; None if they are not known.
        sample: Features, label and `EVENT_TIME_US` of some rows of these windows, kept with the reference but for those
            of windows that are not; needs length and starts of the windows.
        prediction: Feature that predicts the label, if one does.

    Raises:
        ConfigError: If no window has rows.
    """
    whole, times = _with_rows(windows, starts_us)
    values = [WindowValues(window) for window in whole]
    figures = [
        WindowFigures.of(one, rank_features(window), calibration_of(window, prediction))
        for window, one in zip(whole, values, strict=True)
    ]
    return fit_stretch(Stretch(values, figures, times), window_us, sample=sample)


def fit_stretch(
    stretch: Stretch,
    window_us: int | None,
    without: Mapping[str, Collection[int]] = MappingProxyType({}),
    without_level: Collection[int] = (),
    sample: pa.RecordBatch | None = None,
) -> Reference:
    """Figures of windows with rows, of which single features may be left out from the first.

    Args:
        stretch: The windows, at least one.
        window_us: Length of the windows, microseconds; None if it is not known.
        without: Places of the windows that are left out of a feature, by feature. A feature that is left out of all
            is not in the reference.
        without_level: Places of those that are left out of volume and click rate, not of all windows.
        sample: As for `fit_reference`.
    """
    odd = odd_windows(stretch, window_us)
    kept, places = stretch.without(odd), [place for place in range(len(stretch.windows)) if place not in odd]
    # Odd windows are few, so some of these are left.
    level = kept.without({at for at, place in enumerate(places) if place in without_level})
    first = kept.windows[0].counts
    own = _own(kept, places, without)
    fitted = fit_features(kept, own, len(level.windows))
    bins = first.bins
    rows_kept = None if sample is None else _of_windows(sample, kept, window_us)
    rates, rows = [one.click_rate for one in level.profiles], [one.rows for one in level.profiles]
    rates_by_hour = _rhythm(rates, level, window_us, share=True)
    signals = {name: of.figures.normalised.mean for name, of in fitted.items()}
    return Reference(
        label=first.label,
        windows=len(level.windows),
        volume=statistic(rows),
        click_rate=statistic(rates, of_shares(np.array(rates)[:, None], np.array(rows, np.float64))),
        features=_placed(_pooled({name: of.figures for name, of in fitted.items()})),
        known_values={name: of.values for name, of in fitted.items()},
        hash_limits={name: of.limit for name, of in fitted.items() if of.limit < HASH_RANGE},
        abundances={name: of.abundances for name, of in fitted.items()},
        shares=_pooled_shares({name: of.shares for name, of in fitted.items() if of.shares is not None}),
        window_us=window_us,
        left_out=len(odd),
        volume_by_hour=_rhythm(rows, level, window_us, share=False),
        click_rate_by_hour=rates_by_hour,
        click_rate_steadiness=rate_steadiness(rates, rows, level.starts_us, rates_by_hour),
        span_us=_span(level.starts_us, window_us),
        sample=None if rows_kept is None else rows_kept.drop_columns([EVENT_TIME_US]),
        repeats=None if rows_kept is None else _repeats(rows_kept, kept, window_us),
        determined=() if rows_kept is None else _determined(rows_kept, signals, window_us),
        calibration=_calibration(kept, places, without, without_level),
        links=_links(signals, kept, own),
        bins=bins,
        numbers={
            name: numbers
            for name, of in fitted.items()
            if name in bins.features
            and not of.figures.follows_time
            and (numbers := fit_numbers([kept.windows[place].counts for place in of.windows], name)) is not None
        },
    )


def _own(kept: Stretch, places: Sequence[int], without: Mapping[str, Collection[int]]) -> Yes:
    """Which windows are each feature's own: those with values of the type that it has now."""
    types = np.stack([window.flat.types for window in kept.windows], axis=1)
    own = np.ones(types.shape, np.bool_)
    for number, name in enumerate(kept.windows[0].counts.features):
        if barred := without.get(name):
            own[number] = [place not in barred for place in places]
    newest = np.zeros(len(types), np.int64)
    for window in range(types.shape[1]):
        newest = np.where(own[:, window] & (types[:, window] >= 0), types[:, window], newest)
    own &= (types < 0) | (types == newest[:, None])
    return own


def _links(signals: Mapping[str, float], kept: Stretch, own: Yes) -> LabelLinks:
    number = {name: at for at, name in enumerate(kept.windows[0].counts.features)}
    windows = {
        name: {at: kept.windows[at] for at in np.flatnonzero(own[number[name]]).tolist()} for name in strongest(signals)
    }
    return fit_links(windows, signals)


def _calibration(
    kept: Stretch, places: Sequence[int], without: Mapping[str, Collection[int]], without_level: Collection[int]
) -> CalibrationBefore | None:
    """Of windows in which nothing was wrong with the prediction or the stream."""
    found = [(place, one.calibration) for place, one in zip(places, kept.profiles, strict=True)]
    return fit_calibration(
        [
            one
            for place, one in found
            if one is not None and place not in without_level and place not in without.get(one.prediction, ())
        ]
    )


def _of_windows(sample: pa.RecordBatch, stretch: Stretch, window_us: int | None) -> pa.RecordBatch:
    return sample.filter(pa.array(np.isin(_starts(sample, window_us), stretch.starts_us or ())))


def _starts(sample: pa.RecordBatch, window_us: int | None) -> NDArray[np.int64]:
    times: NDArray[np.int64] = sample.column(EVENT_TIME_US).to_numpy()
    return times - times % (window_us or 1)


def _repeats(sample: pa.RecordBatch, stretch: Stretch, window_us: int | None) -> Repeats | None:
    first = stretch.windows[0].counts
    return fit_repeats(sample, (*first.features, first.label), _starts(sample, window_us))


def _determined(sample: pa.RecordBatch, signals: Mapping[str, float], window_us: int | None) -> tuple[Link, ...]:
    return fit_determined(sample, _starts(sample, window_us), sought(signals))


def _with_rows(
    windows: Iterable[FeatureCounts], starts_us: Sequence[int] | None
) -> tuple[list[FeatureCounts], list[int] | None]:
    every = list(windows)
    places = [place for place, window in enumerate(every) if window.rows]
    if not places:
        raise ConfigError("expected at least one window with rows to fit a reference, got none")
    return [every[place] for place in places], None if starts_us is None else [starts_us[place] for place in places]


def _span(starts_us: Sequence[int] | None, window_us: int | None) -> tuple[int, int] | None:
    return None if starts_us is None or window_us is None else (min(starts_us), max(starts_us) + window_us)


def _rhythm(values: Sequence[float], stretch: Stretch, window_us: int | None, *, share: bool) -> Rhythm | None:
    figures = stretch.figures(values, share=share)
    return None if figures is None or window_us is None else fit_rhythm(figures, window_us)


def _pooled(features: Mapping[str, FeatureReference]) -> Mapping[str, FeatureReference]:
    figures = {
        figure: pooled({name: of for name, feature in features.items() if (of := getattr(feature, figure)) is not None})
        for figure in ("null_share", "cardinality_ratio", "normalised", "unseen_share")
    }
    return {
        name: msgspec.structs.replace(feature, **{figure: of[name] for figure, of in figures.items() if name in of})
        for name, feature in features.items()
    }


def _pooled_shares(shares: Mapping[str, ValueShares]) -> Mapping[str, ValueShares]:
    over = pooled({name: of.over for name, of in shares.items()})
    return {name: of._replace(over=over[name]) for name, of in shares.items()}


def _placed(features: Mapping[str, FeatureReference]) -> dict[str, FeatureReference]:
    order = sorted(features, key=lambda name: (-features[name].normalised.mean, name))
    ranks = {name: rank for rank, name in enumerate(order, start=1)}
    return {name: msgspec.structs.replace(feature, rank=ranks[name]) for name, feature in features.items()}


def _to_tensor(values: pl.Series) -> np.ndarray:
    """Arrow IPC bytes of a column."""
    batch = pa.record_batch({"value": as_arrow(values)})
    return np.frombuffer(table_to_bytes(batch), np.uint8)


def _from_tensor(tensor: np.ndarray) -> pl.Series:
    return pl.Series("value", batch_from_bytes(tensor.tobytes()).column("value"))

"""Baseline of a stream of clicks: figures of the windows of a reference stretch.

Fitted once, stored as a model artefact, compared with each new window by `sparsewatch.detectors.clicks.checks`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.detectors.artefacts.artefact import load_artefact, reading_parts, save_artefact
from sparsewatch.detectors.clicks.profile import WindowProfile, profile_window
from sparsewatch.detectors.clicks.tolerances import Abundances, Statistic
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_mark
from sparsewatch.detectors.outrank.ranking import rank_features
from sparsewatch.schemas.errors import ConfigError, ModelError
from sparsewatch.schemas.stored import batch_from_bytes, table_to_bytes

KIND = "reference"


class FeatureReference(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one feature over the windows of the reference."""

    null_share: Statistic
    cardinality: Statistic
    #: Cardinality, divided by that expected of as many rows drawn from the whole stretch (see
    #: `sparsewatch.detectors.clicks.tolerances`).
    cardinality_ratio: Statistic
    score: Statistic
    normalised: Statistic
    #: Share of a window's rows with a value whose value is in no other window; None for a single window or no value.
    unseen_share: Statistic | None
    #: Place by mean normalised score, 1 is best.
    rank: int
    #: Rows with a value in the whole stretch.
    listed: int


class Reference(msgspec.Struct, frozen=True, kw_only=True):
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

    def __repr__(self) -> str:
        """In a line: windows, features, volume."""
        return f"<Reference: {self.windows} windows of {self.volume.mean:.0f} rows, {len(self.features)} features>"

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
        meta = {
            "label": self.label,
            "windows": self.windows,
            "volume": self.volume,
            "click_rate": self.click_rate,
            "features": self.features,
            "hash_limits": self.hash_limits,
            "hash_mark": hash_mark(),
            "window_us": self.window_us,
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
            )


def fit_reference(windows: Iterable[FeatureCounts], window_us: int | None = None) -> Reference:
    """Figures of a stretch that is assumed normal.

    Args:
        windows: Counts of whole windows of the same length, features and label; those without rows are left out.
        window_us: Length of the windows, microseconds; None if it is not known.

    Raises:
        ConfigError: If no window has rows.
    """
    counts = [window for window in windows if window.rows]
    if not counts:
        raise ConfigError("expected at least one window with rows to fit a reference, got none")
    profiles = [profile_window(window, rank_features(window), None) for window in counts]
    stretches = {name: _Stretch(counts, name) for name in counts[0].features}
    features = {name: _feature(name, profiles, stretches[name]) for name in stretches}
    return Reference(
        label=counts[0].label,
        windows=len(counts),
        volume=_statistic([profile.rows for profile in profiles]),
        click_rate=_statistic([profile.click_rate for profile in profiles]),
        features=_placed(features),
        known_values={name: stretch.values for name, stretch in stretches.items()},
        hash_limits={name: stretch.limit for name, stretch in stretches.items() if stretch.limit < HASH_RANGE},
        abundances={name: stretch.abundances for name, stretch in stretches.items()},
        window_us=window_us,
    )


class _Stretch:
    """Values of one feature over all windows: all, or those below a limit of the hash that every window has."""

    def __init__(self, windows: Sequence[FeatureCounts], feature: str) -> None:
        self.limit = min(window.hash_limit(feature) for window in windows)
        tables = [
            window.sampled_values(feature, self.limit).table.lazy().with_columns(window=pl.lit(i, pl.Int64))
            for i, window in enumerate(windows)
        ]
        by_value = (
            pl.concat(tables, how="vertical_relaxed")
            .group_by("value")
            .agg(
                pl.col("rows").sum(),
                pl.len().alias("windows"),
                pl.col("window").first(),
                (pl.col("rows") * pl.col("weight")).sum().alias("represented"),
            )
            .sort("value")
            .collect()
        )
        alone = by_value.filter(pl.col("windows") == 1)
        self.values = by_value["value"]
        #: Rows with a value in each window, and those whose value is in no other window.
        self.listed = np.array([window.rows - window.nulls(feature) for window in windows])
        self.alone = np.bincount(alone["window"].to_numpy(), alone["represented"].to_numpy(), minlength=len(windows))
        self.abundances = Abundances.of(
            by_value["rows"].to_numpy(), scale=HASH_RANGE / self.limit, all_rows=int(self.listed.sum())
        )


def _feature(name: str, profiles: Sequence[WindowProfile], stretch: _Stretch) -> FeatureReference:
    figures = [profile.features[name] for profile in profiles]
    some = stretch.listed > 0
    ratios = [
        figure.cardinality / stretch.abundances.expected_distinct(int(rows))
        for figure, rows in zip(figures, stretch.listed, strict=True)
        if rows
    ]
    alone = (stretch.alone[some] / stretch.listed[some]).tolist()
    return FeatureReference(
        null_share=_statistic([figure.null_share for figure in figures]),
        cardinality=_statistic([figure.cardinality for figure in figures]),
        cardinality_ratio=_statistic(ratios or [1.0]),
        score=_statistic([figure.score for figure in figures]),
        normalised=_statistic([figure.normalised for figure in figures]),
        unseen_share=_statistic(alone) if len(alone) > 1 else None,
        rank=0,
        listed=int(stretch.listed.sum()),
    )


def _placed(features: Mapping[str, FeatureReference]) -> dict[str, FeatureReference]:
    order = sorted(features, key=lambda name: (-features[name].normalised.mean, name))
    return {name: msgspec.structs.replace(features[name], rank=order.index(name) + 1) for name in features}


def _statistic(values: Sequence[float]) -> Statistic:
    x = np.asarray(values, dtype=np.float64)
    return Statistic(
        mean=float(x.mean()),
        sd=float(x.std(ddof=1)) if x.size > 1 else 0.0,
        min=float(x.min()),
        max=float(x.max()),
    )


def _to_tensor(values: pl.Series) -> np.ndarray:
    """Arrow IPC bytes of a column."""
    batch = pa.record_batch({"value": values.to_arrow(compat_level=pl.CompatLevel.oldest())})
    return np.frombuffer(table_to_bytes(batch), np.uint8)


def _from_tensor(tensor: np.ndarray) -> pl.Series:
    return pl.Series("value", batch_from_bytes(tensor.tobytes()).column("value"))

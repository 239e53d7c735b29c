from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from sparsewatch.detectors.outrank.columns.codes import Codes, encode
from sparsewatch.detectors.outrank.leak_settings import LeakSettings
from sparsewatch.detectors.outrank.leakage import LeakReport, suspect_leaks
from sparsewatch.detectors.outrank.pairs.time_matched_rows import SECOND_US, partners_of
from sparsewatch.schemas.errors import ConfigError, SchemaError

Ints = NDArray[np.int64]


class Stream:
    """Rows of about `rate` a second with a click rate that follows the time of day, drifts, or comes in runs."""

    def __init__(self, seed: int, *, seconds: int = 3_000, rate: float = 5.0, labels: str = "drifting") -> None:
        self.rng = np.random.default_rng(seed)
        per_second = self.rng.poisson(rate, seconds)
        self.second = np.repeat(np.arange(seconds), per_second)
        self.rows = self.second.size
        self.time_us = 1_700_000_000 * SECOND_US + self.second * SECOND_US + self.rng.integers(0, SECOND_US, self.rows)
        self.taste = self.rng.integers(0, 10, self.rows)
        self.click = (self.rng.random(self.rows) < self._rate(labels, seconds) * (0.5 + self.taste / 9)).astype(
            np.int64
        )

    def _rate(self, labels: str, seconds: int) -> NDArray[np.float64]:
        if labels == "drifting":
            return 0.2 + 0.15 * np.sin(2 * np.pi * self.second / seconds)
        if labels == "level":
            return np.full(self.rows, 0.2)
        # Runs: the rate jumps at random every 20 seconds or so.
        runs = np.cumsum(self.rng.random(seconds) < 0.05)
        rates: NDArray[np.float64] = self.rng.uniform(0.02, 0.5, runs[-1] + 1)[runs][self.second]
        return rates

    def flipped(self, labels: Ints, share: float) -> Ints:
        """Labels, wrong in some rows."""
        return np.where(self.rng.random(self.rows) < share, 1 - labels, labels)

    def honest(self) -> dict[str, Codes]:
        """What a feature may know: its own row, the time, and nothing."""
        strong = np.where(self.rng.random(self.rows) < 0.5, self.click, self.rng.integers(0, 2, self.rows))
        return {
            "taste": encode(self.taste),
            "own": encode(strong),
            "minute": encode(self.second // 60),
            "second": encode(self.second),
            "person": encode(np.minimum(self.rng.zipf(1.3, self.rows), 5_000)),
            "coin": encode(self.rng.integers(0, 2, self.rows)),
            "id": encode(np.arange(self.rows)),
        }

    def clicks_in_second(self, shift: int) -> Codes:
        """Clicks of all rows of the second, or of one `shift` seconds later."""
        clicks = np.bincount(self.second, self.click, minlength=self.second[-1] + 1 + abs(shift))
        return encode(np.roll(clicks, -shift)[self.second])

    def look(self, settings: LeakSettings | None = None, **more: Codes) -> LeakReport:
        order = self.rng.permutation(self.rows)
        features = {**self.honest(), **more}
        shuffled = {name: Codes(one.codes[order], one.n_values) for name, one in features.items()}
        return suspect_leaks(shuffled, self.click[order], self.time_us[order], settings)


def found(report: LeakReport) -> list[tuple[str, str]]:
    return [(one.feature, one.kind) for one in report.suspicions]


@pytest.mark.long
@pytest.mark.parametrize("labels", ["drifting", "level", "runs"])
@pytest.mark.parametrize("seed", range(6))
def test_honest_features_are_not_suspected(labels: str, seed: int) -> None:
    report = Stream(seed, labels=labels).look()
    assert report.untold is None
    assert found(report) == []


@pytest.mark.parametrize("labels", ["drifting", "level", "runs"])
def test_clicks_of_the_same_second_are_found(labels: str) -> None:
    stream = Stream(10, labels=labels)
    assert found(stream.look(leak=stream.clicks_in_second(0))) == [("leak", "same_second")]


@pytest.mark.parametrize("labels", ["drifting", "level", "runs"])
def test_clicks_of_the_next_second_are_found(labels: str) -> None:
    stream = Stream(11, labels=labels)
    (suspicion,) = stream.look(leak=stream.clicks_in_second(1)).suspicions
    assert (suspicion.feature, suspicion.kind) == ("leak", "future")
    assert suspicion.value > suspicion.threshold
    assert suspicion.z > 4


def test_clicks_of_the_second_before_are_no_leak() -> None:
    stream = Stream(12)
    assert found(stream.look(history=stream.clicks_in_second(-1))) == []


def test_a_noisy_copy_of_the_label_is_too_good() -> None:
    stream = Stream(13)
    report = stream.look(copy=encode(stream.flipped(stream.click, 0.005)))
    assert found(report) == [("copy", "too_good")]
    assert report.suspicions[0].threshold <= 0.9


def test_far_above_the_rest_is_too_good() -> None:
    stream = Stream(14)
    copy = encode(stream.flipped(stream.click, 0.04))
    features = {"copy": copy, "taste": encode(stream.taste)}
    (suspicion,) = suspect_leaks(features, stream.click, stream.time_us).suspicions
    assert (suspicion.feature, suspicion.kind) == ("copy", "too_good")
    assert 0.5 <= suspicion.threshold < suspicion.value < 0.9
    rival = {**features, "rival": encode(stream.flipped(stream.click, 0.06))}
    assert suspect_leaks(rival, stream.click, stream.time_us).suspicions == []


def test_too_few_rows_a_second_are_reported() -> None:
    report = Stream(15, rate=0.05, seconds=40_000).look()
    assert report.untold is not None
    assert "have partners in their second" in report.untold
    assert report.suspicions == []
    stream = Stream(16, seconds=1_000)
    stream.click[:] = 0
    assert "0 rows with partners have the rarer label" in str(stream.look().untold)


def test_order_of_time_alone_matters() -> None:
    # Rows of the same second keep their order, so only whole seconds are moved about.
    stream = Stream(17)
    features = {"leak": stream.clicks_in_second(1), "coin": encode(stream.rng.integers(0, 2, stream.rows))}
    order = np.argsort(stream.rng.permutation(stream.second[-1] + 1)[stream.second], kind="stable")
    moved = {name: Codes(one.codes[order], one.n_values) for name, one in features.items()}
    assert suspect_leaks(features, stream.click, stream.time_us) == suspect_leaks(
        moved, stream.click[order], stream.time_us[order]
    )


def test_partners_are_those_of_a_slow_search() -> None:
    rng = np.random.default_rng(18)
    time = rng.integers(0, 40, 60) * SECOND_US + rng.integers(0, SECOND_US, 60)
    by_second: dict[int, list[int]] = {}
    for row, second in enumerate((time // SECOND_US).tolist()):
        by_second.setdefault(second, []).append(row)
    expected = []
    for second, rows in sorted(by_second.items()):
        before, after = by_second.get(second - 1), by_second.get(second + 1)
        if len(rows) > 1 and before and after:
            for i, row in enumerate(rows):
                expected.append((row, rows[(i + 1) % len(rows)], before[i % len(before)], after[i % len(after)]))
    assert list(zip(*(part.tolist() for part in partners_of(time)), strict=True)) == expected
    assert expected


def test_no_rows_give_no_suspicion() -> None:
    report = suspect_leaks({"x": Codes(np.zeros(0, np.int32), 0)}, np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert (report.rows, report.paired_rows, report.suspicions) == (0, 0, [])
    assert msgspec.json.decode(msgspec.json.encode(report), type=LeakReport) == report


def test_what_does_not_fit_is_refused() -> None:
    x, times = encode([1, 2]), np.zeros(2, np.int64)
    with pytest.raises(SchemaError, match=r"of one length, got \[2, 3\]"):
        suspect_leaks({"x": x}, np.array([0, 1, 1]), times)
    with pytest.raises(SchemaError, match=r"label: expected 0 or 1 in each row, got \[0, 2\]"):
        suspect_leaks({"x": x}, np.array([0, 2]), times)
    with pytest.raises(ConfigError, match=r"alpha: expected a number from 1e-12 to 0.5, got 0.9"):
        LeakSettings(alpha=0.9)


def test_the_time_of_a_real_conversion_is_too_good(data_dir: Path) -> None:
    clicks = pl.read_parquet(data_dir / "ctr" / "talkingdata.parquet")
    names = ("ip", "app", "device", "os", "channel", "attributed_time")
    features = {name: encode(clicks[name]) for name in names}
    report = suspect_leaks(features, clicks["label"].to_numpy(), clicks["click_time"].dt.epoch("us").to_numpy())
    assert found(report) == [("attributed_time", "too_good")]
    assert report.untold is not None

"""A job says in which rows a change is, whatever blocks and bundles the rows come in."""

import dataclasses
import itertools
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds, RankingThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.ctr.job import ClickMeasure, ConcludeClicks
from sparsewatch.pipelines.ctr.settings import RankingSettings
from sparsewatch.pipelines.job.model_in_use import ModelInUse
from sparsewatch.schemas.block import EVENT_TIME_US, META, Block
from sparsewatch.transforms.window.measure import Window

WINDOW_US, ROWS, SAMPLE = 60_000_000, 1_500, 800
FEATURES = ("site", "sdk", "ad")


def rows(window: int, *, broken: bool = False) -> pa.RecordBatch:
    """A window's rows, with their places; if broken without ads of one site and version."""
    rng = np.random.default_rng(window)
    site, sdk = rng.integers(0, 6, ROWS), rng.choice(["3.1", "3.2"], ROWS)
    inside = (site == 2) & (sdk == "3.2") if broken else np.zeros(ROWS, np.bool_)
    ads = [None if hit else f"ad-{i}" for i, hit in zip(rng.integers(0, 30, ROWS), inside, strict=True)]
    own = {"site": site, "sdk": sdk, "ad": ads, "click": (rng.random(ROWS) < 0.2).astype(np.int64)}
    times = window * WINDOW_US + np.arange(ROWS) * (WINDOW_US // ROWS)
    places = (np.arange(ROWS) % 2, np.arange(ROWS), np.zeros(ROWS), times)
    meta = {field.name: pa.array(values).cast(field.type) for field, values in zip(META, places, strict=True)}
    return pa.record_batch({name: pa.array(values) for name, values in own.items()} | meta)


def save_reference(folder: Path, *, sample: bool) -> str:
    windows, whole = [], [rows(window) for window in range(12)]
    for one in whole:
        counts = FeatureCounts(FEATURES, "click")
        counts.update(one)
        windows.append(counts)
    kept = pa.Table.from_batches(whole).select([*FEATURES, "click", EVENT_TIME_US]).combine_chunks().to_batches()[0]
    starts = [window * WINDOW_US for window in range(12)]
    return str(fit_reference(windows, WINDOW_US, starts, kept if sample else None).save(folder))


def concluding(reference: str, sample_rows: int = SAMPLE) -> ConcludeClicks:
    return ConcludeClicks(
        features=FEATURES,
        label="click",
        reference=ModelInUse.at(reference, Reference.load),
        checks=ClickThresholds(),
        ranking=RankingSettings(),
        thresholds=RankingThresholds(),
        sample_rows=sample_rows,
    )


def concluded(conclude: ConcludeClicks, batch: pa.RecordBatch, cuts: list[int], merged: list[int]) -> bytes:
    """The findings of a window whose rows come in blocks, and the blocks in bundles."""
    bounds = [0, *sorted(cuts), batch.num_rows]
    blocks = [batch.slice(a, b - a) for a, b in itertools.pairwise(bounds) if b > a]
    measures = [ClickMeasure(FEATURES, "click", RankingSettings(), sample_rows=SAMPLE) for _ in range(3)]
    for at, block in enumerate(blocks):
        measures[merged[at % len(merged)]].add(Block((), block))
    conclusion = conclude(Window(99 * WINDOW_US, 100 * WINDOW_US), [measure.to_bytes() for measure in measures])
    return msgspec.json.encode(conclusion.findings)


@pytest.fixture(scope="module")
def conclude(tmp_path_factory: pytest.TempPathFactory) -> ConcludeClicks:
    return concluding(save_reference(tmp_path_factory.mktemp("reference"), sample=True))


@settings(max_examples=15)
@given(st.integers(0, 999), st.lists(st.integers(0, ROWS), max_size=6), st.lists(st.integers(0, 2), min_size=1))
def test_slices_do_not_depend_on_order_blocks_and_bundles(
    conclude: ConcludeClicks, seed: int, cuts: list[int], merged: list[int]
) -> None:
    batch = rows(99, broken=True)
    shuffled = batch.take(pa.array(np.random.default_rng(seed).permutation(ROWS)))
    assert concluded(conclude, shuffled, cuts, merged) == concluded(conclude, batch, [], [0])


def test_a_finding_names_slice_and_records(conclude: ConcludeClicks) -> None:
    batch = rows(99, broken=True)
    findings = msgspec.json.decode(concluded(conclude, batch, [], [0]))
    (nulls,) = [one for one in findings if one["rule"] == "feature_nulls"]
    assert nulls["evidence"]["slice"]["where"] == "site = 2 and sdk = 3.2"
    assert nulls["message"].endswith("where site = 2 and sdk = 3.2, nothing changed elsewhere")
    offsets = [offset for _, offset in nulls["evidence"]["sample_offsets"]]
    assert len(offsets) == 10
    assert batch.column("ad").take(pa.array(offsets)).null_count == 10
    assert [[offset % 2, offset] for offset in offsets] == nulls["evidence"]["sample_offsets"]


def test_a_reference_without_rows_and_a_job_without_a_sample_name_none(tmp_path: Path) -> None:
    batch = rows(99, broken=True)
    old = msgspec.json.decode(concluded(concluding(save_reference(tmp_path / "old", sample=False)), batch, [], [0]))
    assert [one["rule"] for one in old] == ["feature_nulls"]
    assert "slice" not in old[0]["evidence"]
    assert old[0]["evidence"]["sample_offsets"]
    off = dataclasses.replace(concluding(save_reference(tmp_path / "new", sample=True)), sample_rows=0)
    (none,) = msgspec.json.decode(concluded(off, batch, [], [0]))
    assert {"slice", "sample_offsets"} & none["evidence"].keys() == set()

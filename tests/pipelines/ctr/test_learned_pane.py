"""What is kept of a window's rows: no more than the baseline needs, and how they repeat one another."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.repeated_rows import repeated_rows
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.row_sample import RowSample
from sparsewatch.pipelines.ctr.learned_pane import LearnedPane, OwnWindow, learnable
from sparsewatch.pipelines.ctr.sampled_rows import SampleMeasure
from sparsewatch.pipelines.ctr.sliding import ClickPane
from sparsewatch.schemas.block import OFFSET, PARTITION, ROW, Block
from sparsewatch.schemas.errors import StateError

COLUMNS = ["site", "click"]


def window(capacity: int, rows: int = 3_000) -> tuple[OwnWindow, RowSample]:
    rng = np.random.default_rng(capacity)
    batch = pa.record_batch({"site": rng.integers(0, 300, rows), "click": rng.integers(0, 2, rows)})
    counts = FeatureCounts(["site"], "click")
    counts.update(batch)
    measure = SampleMeasure(["site"], "click", capacity)
    for name, places in ((PARTITION, np.zeros(rows, np.int64)), (ROW, np.zeros(rows)), (OFFSET, np.arange(rows))):
        batch = batch.append_column(name, pa.array(places))
    measure.add(Block((), batch))
    pane = ClickPane(complete=True, reported=[], ranking=[], counts=counts.to_bytes())
    return OwnWindow.of(learnable(pane, measure)), measure.state


def kept(own: OwnWindow) -> LearnedPane:
    pane = own.pane
    return LearnedPane(
        suspect=[],
        ranking=msgspec.Raw(msgspec.msgpack.encode([])),
        counts=memoryview(pane.counts),
        history=b"",
        sample=memoryview(pane.learned_rows),
        pairs=pane.learned_pairs,
    )


@pytest.mark.parametrize(("capacity", "expected"), [(4_096, 170), (2_040, 170), (600, 50), (1, 1)])
def test_fewer_rows_are_kept_of_a_smaller_sample(capacity: int, expected: int) -> None:
    own, sample = window(capacity)
    rows = kept(own).rows()
    assert rows.to_pylist() == sample.rows().slice(0, expected).select(COLUMNS).to_pylist()
    assert own.rows.equals(sample.rows())


def test_what_was_kept_before_pairs_were_counted_says_the_same_of_them() -> None:
    own, sample = window(2_040)
    now = kept(own)
    before = msgspec.structs.replace(now, pairs=None)
    assert LearnedPane.from_bytes(before.to_bytes()).repeats(7) == now.repeats(7)
    assert now.repeats(7) == (7, 170, repeated_rows(sample.rows().slice(0, 170), COLUMNS).pairs)
    assert now.repeats(7).equal > 0
    assert own.pane.repeated == repeated_rows(sample.rows(), COLUMNS)


def test_a_damaged_ranking_is_refused_by_name() -> None:
    own, _ = window(600)
    pane = msgspec.structs.replace(kept(own), ranking=msgspec.Raw(msgspec.msgpack.encode([{"no": "feature"}])))
    with pytest.raises(StateError, match="a learned window of clicks"):
        LearnedPane.from_bytes(pane.to_bytes()).ranked()

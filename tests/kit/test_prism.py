"""The Prism binary the tests find runs an endless pipeline."""

from pathlib import Path

import pytest

from tests.kit.ticks import counts_by_window, run_ticks
from tests.kit.waiting import wait_for


@pytest.mark.slow
def test_endless_pipeline_counts_each_tick_on_prism(prism_binary: Path, tmp_path: Path) -> None:
    path = tmp_path / "counts"
    options = ["--runner=PrismRunner", f"--prism_location={prism_binary}", "--streaming"]
    job = run_ticks(options, path, every_s=0.25, window_s=2.0)
    try:
        wait_for(lambda: len(counts_by_window(path)) >= 4, 90, "four windows of ticks")
    finally:
        job.cancel()
    _, *whole = sorted(counts_by_window(path))  # the first window may have begun before the ticks
    assert {counts_by_window(path)[start] for start in whole} == {8}

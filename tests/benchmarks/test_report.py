"""The page of benchmarks says what was measured, and first what falls short."""

from pathlib import Path

from benchmarks.harness import Rounds, rate, write_results
from benchmarks.report import load, page


def results(folder: Path) -> str:
    slow = rate("slow", 5.0, "rows/s", target=10.0, note="The decoder takes it all.")
    fast = rate("fast", Rounds((8.0, 9.0, 10.0)), "rows/s", peer="polars", peer_value=3.0, target=4.0)
    write_results("stream", [slow, fast], folder=folder)
    return page(load(folder))


def test_a_missed_target_is_named_first_with_its_reason(tmp_path: Path) -> None:
    text = results(tmp_path)
    assert text.index("What falls short") < text.index("## stream")
    assert "- `stream` slow: 5 rows/s, target 10. The decoder takes it all." in text


def test_each_result_has_a_row(tmp_path: Path) -> None:
    assert "| fast | 9 | rows/s | 8 to 10 | polars | 3 | 3 | 4 | yes |" in results(tmp_path)


def test_results_of_one_run_share_a_table(tmp_path: Path) -> None:
    assert results(tmp_path).count("| what |") == 1


def test_a_page_without_misses_says_so(tmp_path: Path) -> None:
    write_results("one", [rate("fast", 5.0, "rows/s", target=4.0)], folder=tmp_path)
    assert "Every target was met." in page(load(tmp_path))

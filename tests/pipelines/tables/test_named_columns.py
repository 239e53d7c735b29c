from pathlib import Path

import polars as pl
import pytest

from sparsewatch.pipelines.tables.named_columns import are_patterns, matching, named_columns
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.errors import ConfigError


@pytest.mark.parametrize(
    ("patterns", "meant"),
    [
        (["s*"], ("s1", "s10")),
        (["s?", "t"], ("t", "s1")),
        (["s1[0-9]"], ("s10",)),
        (["*"], ("t", "s1", "s10", "S1", "a*")),
        (["a*"], ("a*",)),
        (["s10", "s*"], ("s1", "s10")),
    ],
)
def test_patterns_mean_columns_in_their_own_order(patterns: list[str], meant: tuple[str, ...]) -> None:
    assert matching(["t", "s1", "s10", "S1", "a*"], patterns, "--columns") == meant


def test_a_pattern_that_means_nothing_is_named_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"--columns: 'x\*' is no column, the files have 'a', 'b'"):
        matching(["a", "b"], ["x*"], "--columns")
    assert not are_patterns(["a", "b.c"])


@pytest.mark.parametrize("ending", ["csv", "parquet", "ndjson"])
def test_columns_are_those_of_the_files(tmp_path: Path, ending: str) -> None:
    frame = pl.DataFrame({"t": [1, 2], "s1": [1.0, 2.0], "s2": ["a", "b"]})
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        frame.write_csv(path)
    elif ending == "parquet":
        frame.write_parquet(path)
    else:
        frame.write_ndjson(path)
    assert named_columns([tmp_path], ["s*"], Reading(), "--columns") == ("s1", "s2")

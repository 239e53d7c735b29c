import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.pipelines.train.file_sample import FileSample, read_sample, write_sample
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError

FILES = st.lists(
    st.lists(st.tuples(st.none() | st.integers(-9, 9), st.sampled_from("abc")), max_size=30), min_size=1, max_size=5
)


def table(rows: list[tuple[Any, Any]]) -> pa.Table:
    numbers, words = ([row[i] for row in rows] for i in (0, 1))
    return pa.table({"number": pa.array(numbers, pa.int64()), "word": pa.array(words, pa.string())})


def pieces(rows: pa.Table, size: int) -> Iterator[pa.RecordBatch]:
    return iter(rows.combine_chunks().to_batches(max_chunksize=size))


def sampled(files: list[tuple[int, pa.Table]], capacity: int, size: int = 7, seed: int = 0) -> FileSample:
    sample = FileSample(files[0][1].column_names if files else ["number", "word"], capacity, seed)
    for number, rows in files:
        sample.add_file(Path(f"day{number}.csv"), pieces(rows, size))
    return sample


@settings(max_examples=60)
@given(files=FILES, capacity=st.integers(1, 25), data=st.data())
def test_the_sample_of_all_files_is_the_merged_samples_of_parts(
    files: list[list[tuple[Any, Any]]], capacity: int, data: Any
) -> None:
    numbered = [(i, table(rows)) for i, rows in enumerate(files)]
    whole = sampled(numbered, capacity)
    shuffled = data.draw(st.permutations(numbered))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(files)), max_size=3)))
    merged = FileSample(["number", "word"], capacity, 0)
    for a, b in itertools.pairwise([0, *cuts, len(files)]):
        part = sampled(shuffled[a:b], capacity, size=data.draw(st.integers(1, 40)))
        merged.merge(FileSample.from_bytes(part.to_bytes()) if data.draw(st.booleans()) else part)
    assert merged.to_bytes() == whole.to_bytes()
    assert merged.rows_seen == sum(map(len, files))
    if merged.rows_seen:
        assert merged.table().num_rows == min(capacity, merged.rows_seen)


def test_every_row_has_the_same_chance_and_the_seed_changes_which() -> None:
    rows, hits = pa.table({"i": np.arange(1000)}), np.zeros(2000)
    files = [(0, rows), (1, pa.table({"i": np.arange(1000, 2000)}))]
    for seed in range(200):
        hits[sampled(files, 200, 64, seed).table()["i"].to_numpy()] += 1
    # Binomial(200, 0.1): mean 20, standard deviation 4.2.
    assert hits.mean() == 20
    assert 3.9 < hits.std() < 4.6
    assert abs(hits[:1000].mean() - 20) < 0.7


def test_files_of_one_name_are_told_apart_by_their_first_rows() -> None:
    sample = FileSample(["i"], 50, 0)
    for first in (0, 100):
        rows = pa.table({"i": np.arange(first, first + 100)})
        sample.add_file(Path(f"{first}/part.parquet"), pieces(rows, 9))
    assert sample.twice == []
    taken = sample.table()["i"].to_numpy()
    assert len(np.unique(taken % 100)) < len(taken)
    sample.add_file(Path("copy/part.csv"), pieces(pa.table({"i": np.arange(100)}), 50))
    assert sample.twice == ["part.csv", "part.parquet"]


def test_types_come_back_and_numbers_that_a_sample_does_not_hold_become_floats() -> None:
    rows = pa.table(
        {
            "flag": [True, None, False],
            "small": pa.array([1, 2, 3], pa.int8()),
            "big": pa.array([1, 2, None], pa.uint64()),
            "price": pa.array([1, 2, 3]).cast(pa.decimal128(22, 2)),
            "word": pa.array(["a", "b", "a"]).dictionary_encode(),
            "none": pa.nulls(3),
        }
    )
    taken = FileSample.from_bytes(sampled([(0, rows)], 9).to_bytes()).table()
    kinds = [pa.bool_(), pa.int64(), pa.float64(), pa.float64(), pa.large_string(), pa.null()]
    assert taken.schema.types == kinds
    expected = [{**row, "price": float(row["price"])} for row in rows.to_pylist()]
    assert sorted(taken.to_pylist(), key=lambda row: row["small"]) == expected


def test_files_of_different_kinds_are_named() -> None:
    sample = sampled([(0, pa.table({"x": [True, False]}))], 9)
    with pytest.raises(SchemaError, match="day9: column 'x': expected all files to hold booleans or none"):
        sample.add_file(Path("day9"), pieces(pa.table({"x": [1]}), 1))
    with pytest.raises(SchemaError, match="day9: column 'x': expected values of kind 'int' as before, got 'str'"):
        sampled([(0, pa.table({"x": [1]}))], 9).add_file(Path("day9"), pieces(pa.table({"x": ["a"]}), 1))
    with pytest.raises(SchemaError, match="booleans or none"):
        sample.merge(sampled([(1, pa.table({"x": [1]}))], 9))
    with pytest.raises(SchemaError, match=r"day9: .*'x'.* got list"):
        FileSample(["x"], 5, 0).add_file(Path("day9"), pieces(pa.table({"x": [[1]]}), 1))


def test_samples_of_other_settings_do_not_merge() -> None:
    one = sampled([(0, table([(1, "a")]))], 5)
    with pytest.raises(StateError, match="seed 0 to merge, got one of seed 1"):
        one.merge(sampled([(1, table([(1, "a")]))], 5, seed=1))
    with pytest.raises(StateError, match="to merge"):
        one.merge(sampled([(1, table([(1, "a")]))], 6))


def test_a_sample_of_nothing_trains_nothing() -> None:
    with pytest.raises(ConfigError, match="rows to train on, got none"):
        sampled([(0, table([]))], 5).table()


def test_a_sealed_sample_says_when_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.sample"
    sample = sampled([(0, table([(1, "a"), (2, "b")]))], 5)
    write_sample(sample, path)
    assert read_sample(path).to_bytes() == sample.to_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["a.sample"]
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for damaged in (b"", b"nonsense", data[:-3], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(StateError, match=r"a\.sample: expected"):
            read_sample(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        write_sample(sample, tmp_path / "file" / "a.sample")


@pytest.mark.parametrize("capacity", [150, 5_000])
def test_rows_are_in_the_order_of_files_by_number_and_of_rows_in_them(capacity: int) -> None:
    files = [(9, pa.table({"i": np.arange(1000)})), (10, pa.table({"i": np.arange(1000, 1700)}))]
    whole = sampled(files, capacity, 64)
    found = whole.in_order()["i"].to_numpy()
    assert len(found) == min(capacity, 1700)
    assert np.all(np.diff(found) > 0)
    assert np.array_equal(np.sort(whole.places()), found)

    merged = FileSample.from_bytes(sampled(files[1:], capacity).to_bytes())
    merged.merge(sampled(files[:1], capacity))
    assert merged.in_order().equals(whole.in_order())

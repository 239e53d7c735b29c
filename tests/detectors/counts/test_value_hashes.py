from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts.value_hashes import MISSING, combine_hashes, hash_mark, hash_values, mix
from sparsewatch.schemas.errors import SchemaError

TEXTS = st.one_of(
    st.none(), st.text(max_size=3), st.text(max_size=40), st.sampled_from(["", "\0", "a", "a\0", "0" * 16])
)

#: Hashes of some values, as the first release with this hash gave them.
INTEGERS = [16294208416658607535, 10451216379200822465, 16490336266968443936, 3055647633038352039]
FLOATS = [16294208416658607535, 16294208416658607535, 17606427253252083309, 16271892440570219358]
WORDS = [0, 5044329704821157017, 17601894214891735395, 623444898569953910, 1481796637423468821]
MARK = 16485871452015160110


def splitmix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def hash_of_text(text: str) -> int:
    """The definition, byte by byte."""
    data, step = text.encode(), 0x9E3779B97F4A7C15
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
    total = sum(
        splitmix((splitmix((word + step) % 2**64) + place * step) % 2**64) for place, word in enumerate(words, start=1)
    )
    return splitmix((total + len(data) * step) % 2**64)


def test_numbers_of_the_generator_splitmix64_are_the_published_ones() -> None:
    seed, step = 1234567, 0x9E3779B97F4A7C15
    states = np.array([(seed + i * step) % 2**64 for i in (1, 2, 3)], np.uint64)
    assert mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.lists(st.text(max_size=40), min_size=1))
def test_a_text_is_hashed_as_defined(texts: list[str]) -> None:
    assert hash_values(pa.array(texts)).tolist() == [hash_of_text(text) for text in texts]


def test_hashes_are_those_of_every_release() -> None:
    # Stored counts rest on them: a change here needs a new hash mark, and makes references and panes unreadable.
    assert hash_values(pa.array([0, 1, -1, 2**63 - 1])).tolist() == INTEGERS
    assert hash_values(pa.array([0.0, -0.0, 0.5, -1e300])).tolist() == FLOATS
    assert hash_values(pa.array(["", "a", "sparsewatch", "é" * 20, "x" * 64])).tolist() == WORDS
    assert hash_mark() == MARK


@given(st.lists(TEXTS, min_size=1))
def test_texts_that_are_not_looked_up_have_the_same_hashes(texts: list[str | None]) -> None:
    values = pa.array(texts, pa.string())
    assert hash_values(values, repeats=False).tolist() == hash_values(values).tolist()
    assert hash_values(values.slice(1), repeats=False).tolist() == hash_values(values).tolist()[1:]


@given(st.lists(TEXTS, min_size=1))
def test_equal_texts_and_only_those_have_equal_hashes(texts: list[str | None]) -> None:
    assert len(set(hash_values(pa.array(texts, pa.string())).tolist())) == len(set(texts))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(-50_000, 50_000),
        np.arange(100_000) / 7,
        pa.array([f"{i}" for i in range(100_000)]),
        pa.array([f"user-{i:09}" for i in range(100_000)]),
    ],
)
def test_a_hundred_thousand_values_have_as_many_hashes_that_spread_evenly(values: Any) -> None:
    hashes = hash_values(pa.array(values))
    assert np.unique(hashes).size == len(values)
    for bits in (hashes >> np.uint64(60), hashes & np.uint64(15)):
        assert np.abs(np.bincount(bits.astype(np.int64)) - 6250).max() < 5 * 6250**0.5


@settings(max_examples=50)
@given(st.lists(TEXTS), st.data())
def test_the_hash_does_not_hang_on_block_slice_chunks_or_encoding(texts: list[str | None], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(texts)))
    whole = pa.array(texts, pa.string())
    expected = hash_values(whole).tolist()
    assert hash_values(whole.slice(cut)).tolist() == expected[cut:]
    assert hash_values(whole.dictionary_encode()).tolist() == expected
    assert hash_values(whole.dictionary_encode(null_encoding="encode")).tolist() == expected
    assert hash_values(whole.cast(pa.string_view())).tolist() == expected
    assert hash_values(pa.chunked_array([whole.slice(0, cut), whole.slice(cut)])).tolist() == expected


def test_more_rows_than_a_chunk_are_hashed_as_fewer() -> None:
    texts = pa.array([f"a{i % 977}" * (i % 5) for i in range(70_000)])
    assert hash_values(texts)[69_000:].tolist() == hash_values(texts.slice(69_000)).tolist()


def test_a_number_has_one_hash_whatever_its_width() -> None:
    assert hash_values(pa.array([3], pa.int8())) == hash_values(pa.array([3], pa.int64()))
    assert hash_values(pa.array([True])) == hash_values(pa.array([1]))
    assert hash_values(pa.array([0.5], pa.float32())) == hash_values(pa.array([0.5]))
    assert hash_values(pa.array([-0.0])) == hash_values(pa.array([0.0]))


def test_null_and_nan_are_the_missing_value() -> None:
    for column in (
        pa.nulls(1),
        pa.array([None], pa.int64()),
        pa.array([np.nan]),
        pa.array([None], pa.string()),
        pa.array([None], pa.dictionary(pa.int32(), pa.string())),
    ):
        assert hash_values(column).tolist() == [MISSING]
    assert hash_values(pa.array([""])).tolist() != [MISSING]


def test_a_type_that_is_not_counted_is_refused() -> None:
    with pytest.raises(SchemaError, match="feature 'when': expected integers"):
        hash_values(pa.array([0], pa.timestamp("s")), "when")


def test_hashes_of_tuples_depend_on_the_places() -> None:
    a, b = hash_values(pa.array(["x"])), hash_values(pa.array(["y"]))
    assert len({int(combine_hashes(list(pair))[0]) for pair in ([a, b], [b, a], [a, a], [b, b], [a], [a, b, a])}) == 6

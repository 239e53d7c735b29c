import numpy as np

from sparsewatch.transforms.records import Fetched, Packed, passed_over

VALUES = [b"one", None, b"", b"four"]


def packed() -> Packed:
    buffer = memoryview(b"--one--four--")
    return Packed(buffer, np.array([2, 0, 5, 7]), np.array([3, -1, 0, 4]))


def run(values: list[bytes | None] | Packed) -> Fetched:
    return Fetched(3, [10, 11, 14, 15], [5] * 4, values, (), lambda i: b"%d" % i, 20)


def test_packed_values_are_those_of_the_buffer() -> None:
    assert list(packed()) == VALUES
    assert list(packed()[1:3]) == VALUES[1:3]
    assert packed()[-1] == VALUES[-1]


def test_sizes_do_not_depend_on_how_values_are_held() -> None:
    assert run(VALUES).sizes().tolist() == run(packed()).sizes().tolist() == [3, -1, 0, 4]


def test_a_cut_run_ends_before_the_offset_and_states_it() -> None:
    for values in (VALUES, packed()):
        cut = run(values).before(14)
        assert (cut.offsets.tolist(), list(cut.values), cut.next_offset) == ([10, 11], VALUES[:2], 14)
        assert run(values).before(20).next_offset == 20


def test_an_offset_passed_over_is_a_run_without_records() -> None:
    assert (len(passed_over(1, 7)), passed_over(1, 7).next_offset) == (0, 7)

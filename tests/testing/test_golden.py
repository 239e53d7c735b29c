"""Golden files: equal bytes pass, others are named with their place, and only a wish rewrites."""

from pathlib import Path

import pytest

from sparsewatch.testing import golden


def test_equal_bytes_are_given_back(tmp_path: Path) -> None:
    path = tmp_path / "state-1.bin"
    path.write_bytes(b"stored")
    assert golden(path, b"stored") == b"stored"


def test_a_difference_is_named_with_its_place_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "state-1.bin"
    path.write_bytes(b"stored long ago")
    wanted = r"state-1\.bin: expected 15 bytes, got 12; from byte 7 on: expected b'long ago', got b'today'"
    with pytest.raises(AssertionError, match=wanted + r"; SPARSEWATCH_GOLDEN=1"):
        golden(path, b"stored today")
    assert path.read_bytes() == b"stored long ago"


def test_a_shorter_writing_differs_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "state-1.bin"
    path.write_bytes(b"stored")
    with pytest.raises(AssertionError, match="from byte 4 on: expected b'ed', got b''"):
        golden(path, b"stor")


def test_a_missing_file_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"none\.bin: no such golden file"):
        golden(tmp_path / "none.bin", b"x")


def test_the_file_is_written_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "state-1.bin"
    assert golden(path, b"first", rewrite=True) == b"first"
    monkeypatch.setenv("SPARSEWATCH_GOLDEN", "1")
    assert golden(path, b"second") == b"second"
    with pytest.raises(AssertionError):
        golden(path, b"third", rewrite=False)
    assert path.read_bytes() == b"second"

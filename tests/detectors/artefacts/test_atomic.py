import errno
from pathlib import Path
from typing import NoReturn

import pytest

from sparsewatch.detectors.artefacts.atomic import new_folder, write_file


def full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_written_and_replaced_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert write_file(path, b"old").st_size == 3
    assert write_file(path, b"newer").st_mtime == path.stat().st_mtime
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_stays_if_the_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    write_file(path, b"old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_any_new_file_or_those_asked_for(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    assert write_file(tmp_path / "a", b"").st_mode == (tmp_path / "plain").stat().st_mode
    assert write_file(tmp_path / "b", b"", mode=0o604).st_mode & 0o777 == 0o604


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "file")
    write_file(link, b"x")
    assert link.is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"x"


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    write_file(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_folder(tmp_path / "m" / "1") as folder:
        (folder / "a").write_bytes(b"x")
        assert not (tmp_path / "m" / "1").exists()
    assert (tmp_path / "m" / "1").stat().st_mode & 0o777 == 0o755

    def half() -> None:
        with new_folder(tmp_path / "m" / "2") as folder:
            (folder / "a").write_bytes(b"x")
            full()

    with pytest.raises(OSError, match="No space"):
        half()
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["1"]


def test_a_folder_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        with new_folder(tmp_path / "1") as folder:
            pass
    (tmp_path / "1" / "a").write_bytes(b"x")
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "1") as folder:
        (folder / "b").write_bytes(b"y")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]

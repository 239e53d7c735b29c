"""The command line, run in this process as a shell runs it: through `cli.main`, with its exit code."""

import logging
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from sparsewatch.pipelines import cli

#: Exit code and standard error of a command.
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def sparsewatch(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs `sparsewatch` with the arguments it is given."""
    loggers = [logging.getLogger(name) for name in ("apache_beam", "kafka", "root")]
    levels = [logger.level for logger in loggers]
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sparsewatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, capfd.readouterr().err

    yield run
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def assert_refused(answer: tuple[int, str], says: str) -> None:
    """The command ended with exit code 2 and one line, which matches `says`."""
    code, error = answer
    assert code == 2, error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1, error
    assert error.startswith("sparsewatch: ")
    assert re.search(says, error), (says, error)

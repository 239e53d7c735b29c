"""`python -m sparsewatch` is the command line, under the same name."""

import subprocess
import sys

from sparsewatch import __version__


def said(*arguments: str) -> str:
    command = [sys.executable, "-m", "sparsewatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_module_is_the_command() -> None:
    assert said("--version") == f"sparsewatch, version {__version__}\n"
    assert said("--help").startswith("Usage: sparsewatch [OPTIONS] COMMAND")
    assert said("rank", "--help").startswith("Usage: sparsewatch rank ")

"""Debian's Chromium without a window: a page as it is once its script has run, and what the browser complains of."""

import re
import shutil
import subprocess
import tempfile
from typing import Literal, NamedTuple

import pytest

BINARY = "chromium"
Scheme = Literal["dark", "light"]


class Seen(NamedTuple):
    """A page in the browser."""

    #: Its elements as HTML.
    dom: str
    #: Lines of the browser's console: errors of scripts, what a policy has refused.
    complaints: list[str]


def seen(url: str, *options: str) -> Seen:
    """What the browser makes of a page, with options of its own; the test is skipped where there is no Chromium."""
    if shutil.which(BINARY) is None:
        pytest.skip("needs Chromium (Debian package chromium)")
    done = open_page(url, "--enable-logging=stderr", *options, "--dump-dom")
    return Seen(done.stdout, re.findall(r"CONSOLE[:(]\d+\)?\] (.*)", done.stderr))


def preferring(scheme: Scheme) -> str:
    """The option of a reader who prefers a scheme."""
    return f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}"


def open_page(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page with a profile of its own.

    Raises:
        FileNotFoundError: Where there is no Chromium.
    """
    with tempfile.TemporaryDirectory(prefix="sparsewatch-chromium-") as profile:
        command = [BINARY, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *options]
        return subprocess.run([*command, url], capture_output=True, text=True, timeout=60, check=True)

"""Debian's Chromium without a window: a page as it is once its script has run, and what the browser complains of."""

import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

import pytest


class Seen(NamedTuple):
    """A page in the browser."""

    #: Its elements as HTML.
    dom: str
    #: Lines of the browser's console: errors of scripts, what a policy has refused.
    complaints: list[str]


def seen(url: str, *options: str) -> Seen:
    """What the browser makes of a page, with options of its own; the test is skipped where there is no Chromium."""
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("needs Chromium (Debian package chromium)")
    with tempfile.TemporaryDirectory(prefix="sparsewatch-chromium-") as profile:
        command = [
            binary,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            *options,
            "--dump-dom",
            url,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return Seen(done.stdout, re.findall(r"CONSOLE[:(]\d+\)?\] (.*)", done.stderr))

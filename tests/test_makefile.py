"""Targets set up the environment of their own checkout, and no other."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.installed import REPO_ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def steps(venv: Path, target: str) -> str:
    """What make would do with this environment."""
    call = ["make", "-n", "-C", str(REPO_ROOT), f"VENV={venv}", target]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("target", ["init", "lint"])
def test_an_environment_that_is_a_link_is_left_as_it_is(tmp_path: Path, target: str) -> None:
    own, link = tmp_path / "own", tmp_path / "link"
    own.mkdir()
    link.symlink_to(own)
    assert "pip --disable-pip-version-check install -q --no-deps --no-build-isolation -e ." in steps(own, target)
    assert "install" not in steps(link, target)

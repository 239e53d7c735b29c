"""The routes in docs/alertmanager.md are routes that Alertmanager takes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs" / "alertmanager.md"


def test_the_routes_of_the_docs_are_taken_by_amtool(tmp_path: Path) -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("needs amtool (Debian package prometheus-alertmanager)")
    (example,) = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    # Mail and chat need a server and a page of their own, which the example leaves to the reader.
    config = tmp_path / "alertmanager.yml"
    config.write_text("global: {smtp_smarthost: 'localhost:25', smtp_from: 'a@example.org'}\n" + example)
    checked = subprocess.run([amtool, "check-config", str(config)], text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr

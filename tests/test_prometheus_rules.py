"""The rules in deploy/prometheus do what they say, and name only series that are exported."""

import re
import shutil
import subprocess

import pytest

from sparsewatch.schemas.metrics import METRICS
from tests.kit.installed import REPO_ROOT

FOLDER = REPO_ROOT / "deploy" / "prometheus"


def promtool(*words: str) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool (Debian package prometheus)")
    checked = subprocess.run([program, *words], cwd=FOLDER, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_settings_and_rules_are_valid() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_rule_fires_on_what_it_is_for_and_not_before() -> None:
    promtool("test", "rules", "rules_test.yml")


def test_the_series_named_are_declared() -> None:
    exported = {metric.name for metric in METRICS}
    for file in ("rules.yml", "rules_test.yml"):
        named = {*re.findall(r"\b(sparsewatch_[a-z_]+)", (FOLDER / file).read_text())}
        assert named - exported == set()


def test_each_alert_is_tested_to_fire() -> None:
    fired = {*re.findall(r"alertname: (\w+)\n +exp_alerts:\n", (FOLDER / "rules_test.yml").read_text())}
    assert fired == {*re.findall(r"alert: (\w+)", (FOLDER / "rules.yml").read_text())}


def test_pages_that_rules_point_to_are_there() -> None:
    pointed = {*re.findall(r"(docs/[a-z]+\.md)#(\w+)", (FOLDER / "rules.yml").read_text())}
    assert len(pointed) > 5
    for page, anchor in pointed:
        headings = re.findall(r"^#+ `?(\w+)`?$", (REPO_ROOT / page).read_text(), flags=re.MULTILINE)
        assert anchor in {heading.lower() for heading in headings}

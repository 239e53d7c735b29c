"""`pytest --memory`: which tests need most memory. None should need more than 2 GB."""

from collections.abc import Generator
from pathlib import Path

import pytest

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_SHOWN = 10
_MB = "memory_mb"
_START = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--memory", action="store_true", help=f"show the {_SHOWN} tests that need most memory (Linux)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--memory"):
        config.pluginmanager.register(_Memory())


class _Memory:
    """Notes by how much the process grew at most while a test and what it asks for were made and run."""

    def __init__(self) -> None:
        self._peaks: list[tuple[float, str]] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        _RESET.write_text("5")  # resets the peak
        item.stash[_START] = _mb("VmRSS")
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.when == "call":
            item.user_properties.append((_MB, _mb("VmHWM") - item.stash[_START]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._peaks += [(float(str(mb)), report.nodeid) for name, mb in report.user_properties if name == _MB]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("most memory")
        for mb, test in sorted(self._peaks, reverse=True)[:_SHOWN]:
            terminalreporter.write_line(f"{mb:7.0f} MB  {test}")


def _mb(name: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024

"""The method that CONTRIBUTING.md shows is one: its code meets the contract as it stands there."""

import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from types import ModuleType

import pytest

from sparsewatch.detectors.rows.methods.registry import METHODS, Method
from tests.detectors.rows.methods import test_contract
from tests.kit.installed import REPO_ROOT

SECTION = (
    (REPO_ROOT / "CONTRIBUTING.md").read_text().partition("## A new method that scores rows")[2].partition("\n## ")[0]
)
CONTRACT = [
    test
    for name, test in vars(test_contract).items()
    if name.startswith("test_")
    and list(inspect.signature(test).parameters) == ["method"]
    and "SUMS" not in inspect.getsource(test)
]


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module that the page shows, and its entry of the list."""
    [code] = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    module = ModuleType("sparsewatch.detectors.rows.methods.x")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(textwrap.dedent(code), module.__name__, "exec"), module.__dict__)
    [entry] = re.findall(r'`"x": (Method\(.*\))`', SECTION)
    monkeypatch.setitem(METHODS, "x", eval(entry, {"Method": Method, **module.__dict__}))


@pytest.mark.parametrize("test", CONTRACT, ids=lambda test: test.__name__)
def test_the_method_that_is_shown_meets_the_contract(test: Callable[[str], None]) -> None:
    test("x")


def test_its_terms_add_up_as_they_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(test_contract.SUMS, "x", lambda scores: scores)
    test_contract.test_terms_add_up_to_the_score_where_they_are_said_to("x")

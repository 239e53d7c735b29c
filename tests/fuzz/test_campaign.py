"""A campaign counts every input, whatever becomes of the process that reads it."""

from pathlib import Path

import pytest

from tests.fuzz.broken_decoders import DECODERS
from tests.fuzz.campaign import Plan, campaign
from tests.fuzz.decoder import ACCEPTED

_MODULE = "tests.fuzz.broken_decoders"
_BY_NAME = {decoder.name: decoder for decoder in DECODERS}
_INPUTS = 40


def _larger(name: str, folder: Path) -> list[int]:
    """Inputs that a broken decoder breaks at."""
    return [n for n in range(_INPUTS) if len(_BY_NAME[name].case(n, folder).data) > 60]


@pytest.mark.parametrize(
    ("name", "says"),
    [("crash", "the process ended with code -11"), ("endless", "not read after 2 s"), ("hungry", "MemoryError")],
)
def test_an_input_that_breaks_its_process_is_named_and_the_others_are_read(
    name: str, says: str, tmp_path: Path
) -> None:
    broken = _larger(name, tmp_path)
    assert broken
    (tally,) = campaign([name], Plan(_MODULE, _INPUTS, 1, endless_s=2), lambda _: None)
    assert tally.inputs == _INPUTS
    assert tally.outcomes[ACCEPTED] == _INPUTS - len(broken)
    assert sorted(number for number, _ in tally.failures) == broken
    assert all(says in what for _, what in tally.failures)


def test_errors_without_a_name_are_failures_and_others_are_not(tmp_path: Path) -> None:
    sizes = [len(_BY_NAME["foreign"].case(number, tmp_path).data) for number in range(100)]
    done: list[str] = []
    sound, foreign = campaign(["sound", "foreign"], Plan(_MODULE, 100, 2), lambda tally: done.append(tally.decoder))
    assert sorted(done) == ["foreign", "sound"]
    assert (sound.inputs, sound.failed, sound.outcomes[ACCEPTED]) == (100, 0, 100)
    assert foreign.failed == sum(size < 20 for size in sizes) > 0
    assert foreign.outcomes["SchemaError"] == sum(size > 60 for size in sizes) > 0
    assert "FAILED" in foreign.line()

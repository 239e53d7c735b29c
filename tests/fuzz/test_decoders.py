"""Damaged inputs of every decoder are read or refused by name; `make fuzz` tries 20,000 of each."""

from pathlib import Path

import pytest

from tests.fuzz.decoder import Decoder, tally_of
from tests.fuzz.decoders import DECODERS

_INPUTS = 200


# NumPy warns where a damaged model computes with numbers that are none.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: decoder.name.replace(" ", "-"))
def test_damaged_inputs_are_read_or_refused_by_name(decoder: Decoder, tmp_path: Path) -> None:
    for at, seed in enumerate(decoder.seeds):
        decoder.sound(at, seed, tmp_path)
    tally = tally_of(decoder, range(_INPUTS), tmp_path)
    assert tally.failures == []
    assert tally.outcomes.total() == tally.inputs == _INPUTS


def test_decoders_have_names_of_their_own() -> None:
    assert len({decoder.name for decoder in DECODERS}) == len(DECODERS)

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.budget.chance import MOST_Z, alpha_of, p_value, z_of

Z = st.floats(0.01, MOST_Z)


@given(Z)
def test_alpha_and_z_are_inverses(z: float) -> None:
    assert z_of(alpha_of(z)) == pytest.approx(z, rel=1e-6)
    assert alpha_of(z) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-6)


@given(st.floats(0, 60), Z)
def test_the_p_value_is_that_of_the_last_z_at_which_a_rule_fires(border: float, z: float) -> None:
    """A slow oracle: the rule fires up to a border, and the border's own probability is known."""
    found = p_value(lambda strict: strict <= border, min(z, border))
    assert found == pytest.approx(alpha_of(min(border, MOST_Z)), rel=1e-3)
    assert found <= alpha_of(min(z, border))


@given(Z, Z)
def test_a_larger_deviation_has_no_larger_p_value(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert p_value(lambda z: z <= more, 0.01) <= p_value(lambda z: z <= less, 0.01)

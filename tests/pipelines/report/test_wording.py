import pytest

from sparsewatch.pipelines.report import wording
from sparsewatch.schemas.alerts import counted


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (wording.score(0.1234567), "0.123457"),
        (wording.score(-1e-9), "0.000000"),
        (wording.share(0.0), "0 %"),
        (wording.share(0.00001), "<0.1 %"),
        (wording.share(0.99999), ">99.9 %"),
        (wording.share(-0.0001), "0.0 %"),
        (wording.probability(0.04321), "0.043"),
        (wording.probability(0.0), "<1e-99"),
        (wording.probability(3.2e-12), "3e-12"),
        (wording.quantity(1234567.0), "1,234,567"),
        (wording.quantity(0.30000000000000004), "0.3"),
        (wording.quantity(float("nan")), "nan"),
        (wording.quantity(float("inf")), "inf"),
        (counted(1, "window"), "1 window"),
        (counted(0, "window"), "0 windows"),
        (counted(2_500, "window"), "2,500 windows"),
        (wording.size(999), "999 bytes"),
        (wording.size(1_234_567), "1.2 MB"),
        (wording.listed(list("abcdefg")), "a, b, c, d, e and 2 more"),
    ],
)
def test_numbers_have_the_digits_a_reader_can_use(shown: str, expected: str) -> None:
    assert shown == expected


def test_long_names_are_shortened_and_harmless() -> None:
    assert wording.shortened("a" * 41, 40) == "a" * 39 + "…"
    assert wording.shortened("a\x1b", 40) == "a\\x1b"

import math
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import AlarmRate, Count, Range, Share, check_range, check_ranges


@pytest.mark.parametrize(
    ("stated", "inside", "outside", "words"),
    [
        (Range(above=0, at_most=0.5), [1e-300, 0.5], [0, 0.7, -1], "above 0 and at most 0.5"),
        (Range(at_least=0, at_most=1 << 20), [0, 1 << 20], [-1, (1 << 20) + 1], "from 0 to 1048576"),
        (Range(at_least=1), [1, math.inf], [0.999, -math.inf], "of at least 1"),
        (Range(below=1), [-math.inf, 0.999], [1, math.inf], "below 1"),
        (Range(at_least=0, below=1), [0], [1], "of at least 0 and below 1"),
    ],
)
def test_a_range_takes_its_numbers_and_says_so(
    stated: Range, inside: list[float], outside: list[float], words: str
) -> None:
    assert all(number in stated for number in inside)
    assert not any(number in stated for number in [*outside, math.nan])
    assert str(stated) == words


@dataclass(frozen=True, kw_only=True)
class _Settings:
    name: str = "any"
    rate: AlarmRate | None = None
    shares: dict[str, Share] = None  # type: ignore[assignment]
    sizes: tuple[Count, ...] = ()
    free: float = -1.0

    def __post_init__(self) -> None:
        check_ranges(self)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 1.0}, r"^rate: expected a number above 0 and below 1, got 1\.0$"),
        ({"rate": math.nan}, r"^rate: expected a number above 0 and below 1, got nan$"),
        ({"shares": {"donut": 0.5, "ring": 1.5}}, r"^shares\.ring: expected a number from 0 to 1, got 1\.5$"),
        ({"sizes": (3, 0)}, r"^sizes: expected a whole number of at least 1, got 0$"),
    ],
)
def test_a_number_outside_its_range_is_refused_by_its_key(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _Settings(**given)


def test_numbers_inside_and_without_a_range_pass() -> None:
    _Settings(rate=0.5, shares={"donut": 0.0}, sizes=(1, 2), free=math.nan)


def test_one_number_is_checked_like_a_field() -> None:
    check_range(AlarmRate, 0.01, "alarm_rate")
    check_range(Annotated[int, Range(at_least=2)] | None, None, "k")
    with pytest.raises(ConfigError, match=r"^share: expected a number below 1, got 1$"):
        check_range(Range(below=1), 1, "share")
    with pytest.raises(ConfigError, match=r"^k: expected a whole number of at least 2, got 1$"):
        check_range(Annotated[int, Range(at_least=2)] | None, 1, "k")

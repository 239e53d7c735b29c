from typing import Annotated, Any, Literal

import pytest

from sparsewatch.schemas.errors import ConfigError, SettingError
from sparsewatch.schemas.settings import Range, Settings, read_settings


class _Leak(Settings, frozen=True, kw_only=True):
    ratio: Annotated[float, Range(at_least=1)] = 2.0


class _Thresholds(Settings, frozen=True, kw_only=True):
    model: str
    format: Literal["json", "arrow"] | None = None
    columns: dict[str, Literal["int", "str"]] = {}  # noqa: RUF012
    change: Annotated[float, Range(above=0, at_most=0.5)] = 0.05
    leakage: _Leak = _Leak()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.leakage.ratio > 10 * self.change:
            raise SettingError(f"leakage.ratio: expected at most ten times change, got {self.leakage.ratio}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"change": 0.7}, "rows.change: expected a number above 0 and at most 0.5, got 0.7"),
        ({"leakage": {"ratio": 0.5}}, "rows.leakage.ratio: expected a number of at least 1, got 0.5"),
        ({"leakage": {"ratio": 9}}, "rows.leakage.ratio: expected at most ten times change, got 9.0"),
        ({"change": "much"}, "rows.change: expected `float`, got `str`"),
        ({"leakage": {"ratoi": 1}}, "rows.leakage: unknown key 'ratoi', expected one of ratio; did you mean 'ratio'?"),
        ({"model": 1}, "rows.model: expected `str`, got `int`"),
        ({"format": "arow"}, "rows.format: expected one of 'json', 'arrow', got 'arow'; did you mean 'arrow'?"),
        ({"format": "avro"}, "rows.format: expected one of 'json', 'arrow', got 'avro'"),
        ({"columns": {"ad": "int", "site": "text"}}, "rows.columns.site: expected one of 'int', 'str', got 'text'"),
        ({"columns": {"ad": 7}}, "rows.columns.ad: expected one of 'int', 'str', got 7"),
        ({"columns": "int"}, "rows.columns: expected `object`, got `str`"),
        ({"leakage": 1}, "rows.leakage: expected `object`, got `int`"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_full_key_said_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_settings({"model": "m", "change": 0.5} | given, _Thresholds, "rows")
    assert str(refused.value) == message


def test_without_a_table_the_key_stands_alone() -> None:
    with pytest.raises(ConfigError, match=r"^change: expected a number above 0 and at most 0\.5, got 0\.7$"):
        read_settings({"model": "m", "change": 0.7}, _Thresholds)
    with pytest.raises(
        ConfigError, match=r"^unknown key 'chnage', expected one of model, .*; did you mean 'change'\?$"
    ):
        read_settings({"model": "m", "chnage": 0.7}, _Thresholds)
    with pytest.raises(ConfigError, match=r"^expected the key 'model', it is missing$"):
        read_settings({}, _Thresholds)


def test_made_by_hand_settings_are_checked_alike() -> None:
    with pytest.raises(ConfigError, match=r"^ratio: expected a number of at least 1, got 0\.5$"):
        _Leak(ratio=0.5)


def test_what_is_not_given_has_its_default() -> None:
    assert read_settings({"model": "m", "change": 0.25}, _Thresholds) == _Thresholds(model="m", change=0.25)

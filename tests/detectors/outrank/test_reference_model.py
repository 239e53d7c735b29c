import pytest

from sparsewatch.detectors.outrank.reference_model import parse_reference_model
from sparsewatch.schemas.errors import ConfigError


def test_entries_with_commas_are_interactions_of_ascending_names() -> None:
    model = parse_reference_model('{"desc": {"features": ["b", "a", "c,a", "a,c", "d,b,a"], "other": 1}, "more": []}')
    assert model.features == ("b", "a")
    assert model.interactions == (("a", "c"), ("a", "b", "d"))
    assert model.names == ("b", "a", "a AND c", "a AND b AND d")


def test_columns_are_all_that_appear_also_as_fields() -> None:
    model = parse_reference_model(b'{"desc": {"features": ["b,a"], "fields": ["c", "a,d"]}}')
    assert model.columns == ("a", "b", "c", "d")
    assert model.features == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected .*features.*, Input data was truncated"),
        ("{", "expected .*features"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "missing required field `desc`"),
        ('{"desc": {}}', "expected names in desc.features or desc.fields, got none"),
        ('{"desc": {"features": "a"}}', r"Expected `array`, got `str` - at `\$.desc.features`"),
        ('{"desc": {"features": ["a", 1]}}', r"Expected `str`, got `int` - at `\$.desc.features"),
        ('{"desc": {"features": ["a,"]}}', "desc.features: expected distinct names between commas, got 'a,'"),
        ('{"desc": {"fields": ["a,a"]}}', "desc.fields: expected distinct names between commas, got 'a,a'"),
        (b'{"desc": {"features": ["\xff"]}}', "reference model: expected"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_reference_model(text)

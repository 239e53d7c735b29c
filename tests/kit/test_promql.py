import pytest

from tests.kit.promql import Matcher, Named, Selector, named_in


@pytest.mark.parametrize(
    ("expression", "names", "labels"),
    [
        ("a", ["a"], set()),
        ("rate(a:b_c{x='1',y=~\"b.*\"}[5m] offset 1h)", ["a:b_c"], set()),
        ("sum by (job, x) (rate(a[$__rate_interval]))", ["a"], {"job", "x"}),
        ("sum(a) by (job) / on (job) group_left (x) count without (y) (b == bool 1e3)", ["a", "b"], {"job", "x", "y"}),
        ("a and on () b unless c or d", ["a", "b", "c", "d"], set()),
        ('label_replace(a, "sum", "$1", "b", "(.*)")  # c', ["a"], set()),
        ("time() - a > 1d and vector(1)", ["a"], set()),
        ("max_over_time((a - b)[1h:5m]) ^ -2", ["a", "b"], set()),
    ],
)
def test_series_and_labels_are_told_from_all_else(expression: str, names: list[str], labels: set[str]) -> None:
    named = named_in(expression)
    assert [selector.name for selector in named.selectors] == names
    assert named.labels == labels


def test_matchers_hold_as_they_do_in_prometheus() -> None:
    [selector] = named_in('a{x="1",y!="2",z=~"b|c",w!~"d.*"}').selectors
    assert selector.selects("a", {"x": "1", "z": "c"})
    for odd in ({"x": "2"}, {"y": "2"}, {"z": "bc"}, {"w": "dd"}):
        assert not selector.selects("a", {"x": "1", "z": "c", **odd})
    assert not selector.selects("b", {"x": "1", "z": "c"})


def test_a_value_may_hold_what_looks_like_more() -> None:
    assert named_in('a{x="{b}, c"}') == Named((Selector("a", (Matcher("x", "=", "{b}, c"),)),), frozenset())


@pytest.mark.parametrize("expression", ['{job="a"}', "a{x}", "a ? b", 'a{x="b}'])
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"expected|not in list|list\.index"):
        named_in(expression)

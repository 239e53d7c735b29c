"""Every rule has its place in the order of suspicion."""

from sparsewatch.detectors.clicks.feature_checks import RULES as FEATURE_RULES
from sparsewatch.detectors.incidents.causes import RULES, STREAM_RULES, by_suspicion
from sparsewatch.schemas.incidents import Member
from tests.kit.finding_rules import rules_of
from tests.kit.installed import REPO_ROOT


def test_every_rule_has_a_kind_and_no_other_has() -> None:
    sources = [path for room in ("detectors", "transforms", "pipelines") for path in REPO_ROOT.glob(f"{room}/**/*.py")]
    made = {rule for path in sources for rule in rules_of(path)} | {rule.__name__ for rule in FEATURE_RULES}
    assert set(RULES) == made
    assert set(RULES) >= STREAM_RULES


def member(rule: str, subject: str, value: float, baseline: float, since_us: int = 0) -> Member:
    return Member(rule, subject, "warning", since_us, since_us + 1, value, 0.01, baseline, "")


def test_of_values_that_vanished_that_of_most_rows_is_suspected() -> None:
    """One source is dropped: it had all rows of its site, most of a category's, and some of an app's."""
    by_rows = [
        member("value_vanished", "site", 0.0, 0.12),
        member("value_vanished", "category", 0.0, 0.08),
        member("value_vanished", "app", 0.001, 0.02),
        member("feature_values_moved", "country", 0.4, 0.0),
        member("feature_values_moved", "browser", 0.1, 0.0),
    ]
    shown = [by_rows[at] for at in (4, 2, 0, 3, 1)]
    assert sorted(shown, key=by_suspicion) == by_rows


def test_what_was_found_first_is_suspected_however_few_rows_it_has() -> None:
    first, later = member("value_vanished", "z", 0.0, 0.02), member("value_vanished", "a", 0.0, 0.5, since_us=1)
    assert sorted([later, first], key=by_suspicion) == [first, later]


def test_values_that_are_no_shares_of_rows_are_not_compared() -> None:
    of_many, of_few = member("feature_cardinality", "b", 9_000, 100), member("feature_cardinality", "a", 9, 3)
    assert sorted([of_many, of_few], key=by_suspicion) == [of_few, of_many]

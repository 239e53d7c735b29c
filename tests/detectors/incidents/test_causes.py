"""Every rule has its place in the order of suspicion."""

from sparsewatch.detectors.clicks.feature_checks import RULES as FEATURE_RULES
from sparsewatch.detectors.incidents.causes import RULES, STREAM_RULES
from tests.kit.finding_rules import rules_of
from tests.kit.installed import REPO_ROOT


def test_every_rule_has_a_kind_and_no_other_has() -> None:
    sources = [path for room in ("detectors", "transforms", "pipelines") for path in REPO_ROOT.glob(f"{room}/**/*.py")]
    made = {rule for path in sources for rule in rules_of(path)} | {rule.__name__ for rule in FEATURE_RULES}
    assert set(RULES) == made
    assert set(RULES) >= STREAM_RULES

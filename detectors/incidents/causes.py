"""Which findings have one cause, and which of them is suspected to be its root.

Rules fall into kinds; findings of different kinds have different causes:

* *data*: what the rows of a window show. Findings that appear in the same window have one cause: two faults seldom
  begin within one window, while one fault seldom shows in one rule on one feature. The edge of a fault may lie inside a
  window, so findings of the next window belong to it, too. While the stream itself is at fault (no rows, few rows, rows
  that come twice, many rejects), all that rows show follows from it. So does what else a row model finds while it no
  longer describes the stream: a quarter of the rows are outliers.
  New values come one after the other as a stream's population changes: those of one feature join those of another. So
  do new fields.
* *pattern*: each pattern of defects is one of its own.
* *source*: what happened to the source topic, told once.
* *books*: the accounts do not balance. The job commits nothing from there on, so its next run ends it.

The order of `RULES` is the order of suspicion: what explains most comes first.
"""

from typing import Literal

from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import SEVERITIES, Member

Kind = Literal["books", "source", "data", "pattern"]

#: Kind of each rule, the strongest explanation first.
RULES: dict[str, Kind] = {
    "books_unbalanced": "books",
    "commits_behind": "books",
    "source_recreated": "source",
    "source_truncated": "source",
    "records_lost": "source",
    "model_does_not_fit": "data",
    "rejects_high": "data",
    "no_data": "data",
    "volume_low": "data",
    "late_high": "data",
    "rows_duplicated": "data",
    "feature_type_changed": "data",
    "feature_vanished": "data",
    "feature_appeared": "data",
    "feature_nulls": "data",
    "feature_cardinality": "data",
    "feature_unseen_values": "data",
    "feature_numbers_moved": "data",
    "value_vanished": "data",
    "leakage_suspected": "data",
    "feature_values_moved": "data",
    "feature_link_lost": "data",
    "label_signal_lost": "data",
    "feature_signal_lost": "data",
    "feature_signal_gained": "data",
    "rank_drift": "data",
    "new_field": "data",
    "columns_moved": "data",
    "column_out_of_range": "data",
    "column_link_lost": "data",
    "volume_high": "data",
    "click_rate_shift": "data",
    "calibration_shift": "data",
    "rows_unlike_training": "data",
    "row_scores_drift": "data",
    "defects_outside": "data",
    "novel_pattern": "data",
    "emerging_pattern": "pattern",
    "pattern_rate_high": "pattern",
    "pattern_concentrated": "pattern",
}
#: Rules on the stream itself: what the rows of the same window show follows from them.
STREAM_RULES = frozenset({"rejects_high", "no_data", "volume_low", "rows_duplicated"})
#: Rules whose value is a share of rows: of two subjects the one of which more rows changed comes first.
SHARES = frozenset(
    {
        "feature_type_changed",
        "feature_vanished",
        "feature_appeared",
        "feature_nulls",
        "feature_unseen_values",
        "feature_numbers_moved",
        "value_vanished",
        "feature_values_moved",
    }
)
#: Subjects that no one thing has: findings on them are alike only by the same rule.
_WHOLES = frozenset({"stream", "rows", "wafers"})
#: Share of a feature's rows from which on unseen values are no news.
_MOSTLY_UNSEEN = 0.5
#: Rules on a model's columns; that its row scores drift says no column, and follows from these.
_OF_COLUMNS = frozenset({"columns_moved", "column_out_of_range", "column_link_lost", "rows_unlike_training"})
#: Share of the rows that are outliers from which on a row model does not describe the stream.
_LARGELY_UNLIKE = 0.25
_ORDER = {rule: place for place, rule in enumerate(RULES)}


def kind_of(rule: str) -> Kind:
    """Kind of a rule; a rule that is not known is one on data."""
    return RULES.get(rule, "data")


def is_about(found: Finding, member: Member) -> bool:
    """Whether a finding goes on with what a member of an incident found before.

    Example: a feature that lacks some values now lacks all of them.
    """
    if kind_of(found.rule) != kind_of(member.rule) or found.subject != member.subject:
        return False
    if kind_of(found.rule) == "pattern" or found.subject in _WHOLES:
        return found.rule == member.rule
    return True


def is_news(found: Finding | Member) -> bool:
    """Whether it tells of new fields, or of new values that are no fault of their feature: a campaign begins.

    If most rows have new values, that is no news but a fault, such as another hash.
    """
    return found.rule == "new_field" or (found.rule == "feature_unseen_values" and found.value < _MOSTLY_UNSEEN)


def is_of_stream(found: Finding) -> bool:
    """Whether what the rows of the same window show follows from it."""
    return found.rule in STREAM_RULES or (found.rule == "rows_unlike_training" and found.value >= _LARGELY_UNLIKE)


def follows(found: Finding, other: Finding) -> bool:
    """Whether a finding follows from another one of the same window."""
    return is_of_stream(other) or (found.rule == "row_scores_drift" and other.rule in _OF_COLUMNS)


def cause_key(found: Finding) -> tuple[str, ...]:
    """What new findings of a window that have one cause have in common."""
    kind = kind_of(found.rule)
    return (kind, found.rule, found.subject) if kind == "pattern" else (kind,)


def by_suspicion(member: Member) -> tuple[int, int, int, float, str]:
    """Sort key of the members of an incident, the root suspect first.

    What was found first explains what was found later; of the same window see `explains`. Example: without one source
    its `site` is gone with all its rows, and so are other features' values that few other sources have.
    """
    return (member.since_us, *explains(member))


def explains(found: Finding | Member) -> tuple[int, int, float, str]:
    """Sort key of what is found in a window: first what explains most.

    The strongest explanation counts, then the severity, then, by the same rule, of how many more rows the subject
    shows it.
    """
    changed = abs(found.value - found.baseline) if found.rule in SHARES else 0.0
    severity = SEVERITIES.index(found.severity)
    return (_ORDER.get(found.rule, len(_ORDER)), -severity, -changed, found.subject)

"""The draft of a click job: which column is the label, and which tell of an event."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.budget.settings import AlertSettings
from sparsewatch.pipelines.init.draft import Draft, Findings, column_tables
from sparsewatch.pipelines.init.pace import EVENTS_A_WINDOW
from sparsewatch.pipelines.init.sample import Column, words_of
from sparsewatch.pipelines.init.toml_text import Entry, Lines, comment, table, toml
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.pipelines.tables.columns import listed
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import nearest

#: Words that name what came of an event; with a verb of being before, too.
_LABELS = frozenset(
    {"label", "target", "outcome", "y", "response", "result"}
    | {"click", "clicked", "clicks", "clk", "conversion", "converted", "attributed", "engaged", "engagement"}
    | {"install", "installed", "purchase", "purchased", "bought", "order", "ordered", "sold", "won"}
    | {"fraud", "churn", "churned", "default", "defaulted", "spam", "anomaly", "failed", "failure", "error"}
)
_NOT_A_WORD = frozenset({"is", "has", "was", "flag", "did"})
#: Windows that features are compared with, those of a reference apart.
_PANES = 12
#: How well a click job suits where the label has a name of labels or is rare, and where it is any column of 0 and 1.
_LIKELY, _POSSIBLE = 3, 1
_RARE = 0.1
#: Values from which on a column of whole numbers may be one of amounts.
_MANY = 100
#: Events with a 1 that a window is to hold, and with a 0: a change of ranks is told from 20 on (docs/ranking.md).
_ONES = 30


def draft_clicks(findings: Findings) -> Draft:
    """A click job of a sample.

    Raises:
        ConfigError: If no column can be the label, or none a feature.
    """
    labels = find_labels(findings.events()) if findings.label is None else [_asked(findings, findings.label)]
    if not labels:
        raise ConfigError(f"no column of 0 and 1 that could be the label of a click job{_near_labels(findings)}")
    label, *others = labels
    events = [column for column in findings.events() if column.name != label.name]
    ids = {
        c.name: f"{c.distinct:,} values in {c.present:,} events: it names them and tells nothing"
        for c in events
        if c.is_id
    }
    features = [column for column in events if column.name not in ids]
    if not features:
        raise ConfigError(f"no column besides the label {label.name!r} and the time tells of an event")
    told = _label_told(label, others)
    columns = [Column(label.name, label.whole, label.mistyped, label.example), *features]
    return Draft(
        suits=_LIKELY if findings.label or _is_named(label) or share_of_ones(label) <= _RARE else _POSSIBLE,
        keys=[Entry("label", label.name, told)],
        tables=[
            column_tables(findings, columns, ids, {label.name: "the label"}),
            _ranking(features),
            _checks(findings),
            _alerts(),
        ],
        window_events=_window_events(share_of_ones(label)),
        told=[("label", f"{label.name}: {told}"), ("features", _told(features, ids))],
    )


def find_labels(columns: Sequence[Column]) -> list[Column]:
    """Columns that could be the label, the best candidate first: by its name, then the rarer."""
    found = [column for column in columns if _is_label(column)]
    return sorted(found, key=lambda column: (not _is_named(column), share_of_ones(column)))


def share_of_ones(column: Column) -> float:
    """Share of the events with a label that have a 1."""
    return float(pc.mean(column.whole).as_py())


def _is_label(column: Column) -> bool:
    """Whether a column holds 0 and 1; 0 alone where its name says that ones are to come."""
    if column.whole is None:
        return False
    values = set(column.whole.unique().drop_null().to_pylist())
    return values == {0, 1} or (values == {0} and _is_named(column))


def _is_named(column: Column) -> bool:
    words = {*words_of(column.name)} - _NOT_A_WORD
    return bool(words & _LABELS)


def _asked(findings: Findings, name: str) -> Column:
    """The label that the user names."""
    columns = findings.sample.columns
    if name not in columns:
        raise ConfigError(f"--label: expected one of {', '.join(columns)}, got {name!r}{nearest(name, columns)}")
    column = columns[name]
    values = set() if column.whole is None else set(column.whole.unique().drop_null().to_pylist())
    if not values or not values <= {0, 1}:
        shown = column.values.drop_null().unique()[:4].to_pylist()
        raise ConfigError(f"--label {name!r}: expected whole numbers 0 and 1, got {column.unfit or shown}")
    return column


def _near_labels(findings: Findings) -> str:
    """Columns that a producer could write as a label."""
    booleans = [column.name for column in findings.events() if column.values.type == pa.bool_()]
    of_two = [column for column in findings.events() if column.distinct == 2 and _is_named(column)]
    told = [f"of true and false, which a producer must write as 1 and 0: {listed(booleans)}"] if booleans else []
    for column in of_two:
        if column.name not in booleans:
            values = sorted(map(repr, column.values.unique().drop_null().to_pylist()))
            told.append(f"{column.name!r} holds {' and '.join(values)}, which a producer must write as 0 and 1")
    return "".join(f"; {text}" for text in told)


def _label_told(label: Column, others: Sequence[Column]) -> str:
    share = share_of_ones(label)
    told = [f"{share:.2%} are 1" if share else "0 in all events of the sample"]
    if missing := label.values.null_count:
        told.append(f"the {missing / len(label.values):.2%} without one will be rejects")
    if not _is_named(label):
        told.append("taken as the rarest column of 0 and 1" if others else "the only column of 0 and 1")
    if others:
        told.append(f"also of 0 and 1: {listed([column.name for column in others])}")
    return "; ".join(told)


def _window_events(share: float) -> int:
    """Events of a window in which there are enough with either label."""
    rarer = min(share, 1 - share)
    return max(EVENTS_A_WINDOW, round(_ONES / rarer)) if rarer else EVENTS_A_WINDOW


def _ranking(features: Sequence[Column]) -> Lines:
    lines = table("ranking", [Entry("panes", _PANES, "windows that each is compared with: which features drift")])
    many = [column.name for column in features if column.kind == "int" and column.distinct >= _MANY]
    if not many:
        return lines
    told = (
        "Whole numbers of many values, taken as names. Those that are amounts, as times and prices, count in bins by:"
    )
    return [*lines, comment(told), comment(f"number_columns = {toml(many)}")]


def _checks(findings: Findings) -> Lines:
    learning = LearningSettings()
    folder = f"models/{findings.name}"
    return [
        comment(f"The job learns what is usual of its first {learning.least} whole windows, and checks from then on:"),
        comment("[checks.learning]"),
        comment(f"least = {learning.least}    # windows learned before the first is checked"),
        comment(f"windows = {learning.windows}  # compared with the last so many in which nothing was wrong"),
        "#",
        comment("With a reference of ordinary days, known to be good, it compares with these instead:"),
        comment(f"sparsewatch train reference JOB.toml --last 7d --out {folder}"),
        comment("[checks]"),
        comment(f"reference = {toml(folder)}"),
    ]


def _alerts() -> Lines:
    budget = AlertSettings().false_incidents_per_day
    return [
        comment("How many incidents a day may be false; the fewer, the larger a change must be to be found:"),
        comment("[alerts]"),
        comment(f"false_incidents_per_day = {budget}"),
    ]


def _told(features: Sequence[Column], ids: dict[str, str]) -> str:
    return f"{len(features)}" + (f", without {listed(list(ids))}: each event has another" if ids else "")

"""Where the change of a finding is: the slice of rows that carries it, and offsets of rows that show it.

Each rule that says of single rows whether they show the change has an `Indicator`: a missing value, a value that the
reference does not know, a click. The slice is searched by `sparsewatch.detectors.slices.search`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.known_values import as_arrow
from sparsewatch.detectors.clicks.moved_values import shown
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.repeated_rows import repeated_places
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import NO_BINS, NumberBins, binned
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_values
from sparsewatch.detectors.incidents.causes import explains
from sparsewatch.detectors.sample_offsets import sample_offsets
from sparsewatch.detectors.slices.columns import code_columns
from sparsewatch.detectors.slices.scan import Change
from sparsewatch.detectors.slices.search import Found, find_slice
from sparsewatch.detectors.slices.told import evidence, text
from sparsewatch.schemas.alerts import Finding

#: Findings of a window that are located, those that explain most first.
MOST_LOCATED = 8

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Rows of a window and rows of its baseline."""

    #: With partition and offset.
    now: pa.RecordBatch
    #: Rows of the window.
    rows: int
    #: None where the baseline has no sample: then only offsets are told.
    before: pa.RecordBatch | None
    #: Columns whose values make slices, in the order in which equal explanations are preferred.
    features: Sequence[str]
    label: str
    #: Known values of each feature, and the limit of their hashes; see `sparsewatch.detectors.clicks.reference`.
    known_values: Mapping[str, pl.Series]
    hash_limits: Mapping[str, int]
    #: Features whose known values are bins.
    bins: NumberBins = NO_BINS

    @classmethod
    def of(cls, counts: FeatureCounts, rows: pa.RecordBatch, reference: Reference) -> "Samples":
        """Of a window with these counts and this sample of its rows, with partition and offset, beside a reference."""
        return cls(
            now=rows,
            rows=counts.rows,
            before=reference.sample,
            features=counts.features,
            label=counts.label,
            known_values=reference.known_values,
            hash_limits=reference.hash_limits,
            bins=reference.bins,
        )


@dataclass(frozen=True)
class _Rows:
    """One of the two samples, for indicators."""

    rows: pa.RecordBatch
    samples: Samples

    def missing(self, name: str) -> Mask:
        column = self.rows.column(name)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), None, column)
        found: Mask = column.is_null().to_numpy(zero_copy_only=False)
        return found

    def unknown(self, name: str) -> Mask:
        """Values that the baseline does not know; of too many to store, those that it would."""
        known = self.samples.known_values.get(name)
        if known is None:
            return np.zeros(self.rows.num_rows, np.bool_)
        column, bins = self.rows.column(name), self.samples.bins
        if name in bins.features:
            column = binned(column, bins.bits)
        held = as_arrow(known)
        hashes = hash_values(column, name)
        limit = self.samples.hash_limits.get(name, HASH_RANGE)
        is_stored = hashes <= np.uint64(min(limit, HASH_RANGE) - 1)
        found: Mask = ~self.missing(name) & is_stored & ~np.isin(hashes, hash_values(held, name))
        return found

    def holds(self, name: str, values: Collection[Any]) -> Mask:
        """Values as an alert shows them; of features in bins none, since an alert shows their bins."""
        if name in self.samples.bins.features:
            return np.zeros(self.rows.num_rows, np.bool_)
        return np.array([shown(value) in values for value in self.rows.column(name).to_pylist()], np.bool_)

    def above(self, name: str, border: float) -> Mask:
        """Numbers above a border, or on a positive one: bins lack the border farther from zero."""
        numbers = self.rows.column(name).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        found: Mask = numbers >= border if border > 0 else numbers > border
        return found

    def repeated(self) -> Mask:
        """Rows that are equal to another one of the sample."""
        found = np.zeros(self.rows.num_rows, np.bool_)
        found[repeated_places(self.rows, [*self.samples.features, self.samples.label])] = True
        return found

    def equal(self, values: Mapping[str, Any]) -> Mask:
        """Rows with these values, as an alert shows them."""
        places = np.arange(self.rows.num_rows)
        for name, value in values.items():
            cells = self.rows.column(name).take(pa.array(places)).to_pylist()
            places = places[[shown(cell) == value for cell in cells]]
        found = np.zeros(self.rows.num_rows, np.bool_)
        found[places] = True
        return found

    def clicked(self) -> Mask:
        found: Mask = self.rows.column(self.samples.label).to_numpy(zero_copy_only=False) == 1
        return found


Scope = Literal["feature", "rows", "label", "volume", "others"]


@dataclass(frozen=True)
class Indicator:
    """Which rows show a change, by rule."""

    shows: Callable[[_Rows, Finding], Mask]
    #: What changes: the part of the rows in which a feature shows it, or all columns together, or the label; or the
    #: number of rows, against the baseline's or against that of all others.
    scope: Scope = "feature"
    #: What changes, where that is not what the finding is about.
    what: str = "it"


def _missing(rows: _Rows, finding: Finding) -> Mask:
    return rows.missing(finding.subject)


def _listed(rows: _Rows, finding: Finding) -> Mask:
    return ~rows.missing(finding.subject)


def _unknown(rows: _Rows, finding: Finding) -> Mask:
    return rows.unknown(finding.subject)


def _risen(rows: _Rows, finding: Finding) -> Mask:
    rises = {one["value"]: one["now"] - one["before"] for one in finding.evidence.get("moved", ())}
    most = max(rises.values(), default=0.0)
    return rows.holds(finding.subject, {value for value, rise in rises.items() if rise > 0 and rise >= _RISEN * most})


def _other_number(rows: _Rows, finding: Finding) -> Mask:
    return _risen(rows, finding) if finding.value < finding.baseline else rows.unknown(finding.subject)


def _vanished(rows: _Rows, finding: Finding) -> Mask:
    return rows.holds(finding.subject, finding.evidence["vanished"])


def _moved_across(rows: _Rows, finding: Finding) -> Mask:
    evidence = finding.evidence
    above = rows.above(finding.subject, evidence["border"])
    return above if evidence["below"] < evidence["below_before"] else ~above & ~rows.missing(finding.subject)


def _clicked(rows: _Rows, finding: Finding) -> Mask:
    del finding
    return rows.clicked()


def _repeated(rows: _Rows, finding: Finding) -> Mask:
    most, more = finding.evidence["most_repeated"], finding.evidence["effect"] * finding.evidence["rows"]
    # A bot's rows are told from those that are equal by chance.
    return rows.equal(most["values"]) if most["rows"] >= _ONE_KIND * more else rows.repeated()


def _all(rows: _Rows, finding: Finding) -> Mask:
    del finding
    return np.ones(rows.rows.num_rows, np.bool_)


#: By rule; findings of other rules are not located.
INDICATORS: dict[str, Indicator] = {
    "volume_low": Indicator(_all, "volume"),
    "volume_high": Indicator(_all, "volume"),
    "rows_duplicated": Indicator(_repeated, "rows", "the repetition"),
    "click_rate_shift": Indicator(_clicked, "label"),
    "feature_signal_gained": Indicator(_clicked, "label", "the change in clicks"),
    "feature_type_changed": Indicator(_missing),
    "feature_vanished": Indicator(_missing),
    "feature_nulls": Indicator(_missing),
    "feature_appeared": Indicator(_listed),
    "feature_unseen_values": Indicator(_unknown),
    "feature_cardinality": Indicator(_other_number),
    "feature_values_moved": Indicator(_risen),
    "feature_numbers_moved": Indicator(_moved_across),
    "value_vanished": Indicator(_vanished),
}
#: Where a value is gone with its rows, and no other value has them.
_DROPPED = Indicator(_all, "others", "the lost rows")
#: Part of the greatest rise of a value from which on another has risen, too.
_RISEN = 0.2
#: Part of the repeated rows from which on one row that comes again and again is all that is looked for.
_ONE_KIND = 0.5
#: Rules by which it is news that a feature has no value: no slice then says that it has none.
_LOSSES = frozenset({"feature_type_changed", "feature_vanished", "feature_nulls"})


def locate(
    findings: Sequence[Finding], samples: Samples, before: Callable[[str], pa.RecordBatch | None] | None = None
) -> list[Finding]:
    """The findings with `slice` and `sample_offsets` in their evidence, and the slice in the message.

    Args:
        findings: Of a window. All but `MOST_LOCATED` that explain most, and those of other rules, stay as they are.
        samples: Of the window and its baseline.
        before: Rows of the baseline of a subject; those of `samples` for all if absent.
    """
    places = [at for at, one in enumerate(findings) if one.rule in INDICATORS and _is_sampled(one, samples)]
    places.sort(key=lambda at: explains(findings[at]))
    if not places or not samples.now.num_rows:
        return list(findings)
    lost, searches = [one.subject for one in findings if one.rule in _LOSSES], dict[int, _Search]()
    located: dict[int, Finding] = {}
    for at in places[:MOST_LOCATED]:
        own = samples.before if before is None else before(findings[at].subject)
        # Most findings of a window have the same baseline.
        if id(own) not in searches:
            searches[id(own)] = _Search(replace(samples, before=own), lost)
        located[at] = searches[id(own)].located(findings[at])
    return [located.get(at, finding) for at, finding in enumerate(findings)]


def _is_sampled(finding: Finding, samples: Samples) -> bool:
    return _indicator(finding).scope in ("rows", "label", "volume") or finding.subject in samples.features


def _indicator(finding: Finding) -> Indicator:
    if finding.rule == "value_vanished" and finding.evidence.get("into") is None:
        return _DROPPED
    return INDICATORS[finding.rule]


class _Search:
    def __init__(self, samples: Samples, lost: Sequence[str]) -> None:
        self._samples, self._lost = samples, lost
        self._now = _Rows(samples.now, samples)
        has_both = samples.before is not None and samples.before.num_rows
        self._before = _Rows(samples.before, samples) if has_both else None
        self._columns = code_columns(samples.now, samples.before, samples.features) if has_both else []

    def located(self, finding: Finding) -> Finding:
        """A finding with what is known of its place."""
        shows = _indicator(finding).shows(self._now, finding)
        found = None if self._before is None else self._found(finding, shows, self._before)
        added: dict[str, Any] = {}
        message = finding.message
        if found is not None and self._before is not None:
            a_row = self._samples.rows / shows.size
            what = _indicator(finding).what
            added["slice"] = evidence(found, a_row, a_row * self._scale(finding, self._before), what)
            message = f"{message}; {text(found, what)}"
        if offsets := self._offsets(finding, shows, found):
            added["sample_offsets"] = offsets
        return msgspec.structs.replace(finding, message=message, evidence={**finding.evidence, **added})

    def _found(self, finding: Finding, shows: Mask, before: _Rows) -> Found | None:
        indicator = _indicator(finding)
        expected = finding.baseline * shows.size if finding.rule == "feature_unseen_values" else 0.0
        change = Change(
            shows,
            indicator.shows(before, finding),
            scale=self._scale(finding, before),
            prior=1 + expected,
            is_certain=indicator.scope in ("volume", "others"),
            of_rows=indicator.scope == "label",
        )
        is_feature = indicator.scope == "feature"
        found = find_slice(
            self._columns,
            change,
            without={finding.subject} if is_feature else (),
            never_missing=self._lost if is_feature else (),
        )
        # Rows that are lost with a value are somewhere.
        return None if found is not None and found.kind != "slice" and indicator.scope == "others" else found

    def _scale(self, finding: Finding, before: _Rows) -> float:
        """Rows of the window's sample that are expected for a row of the baseline's."""
        now, scope = self._now.rows.num_rows, _indicator(finding).scope
        if scope == "others":
            gone, gone_before = (_vanished(rows, finding) for rows in (self._now, before))
            return float((~gone).sum() / max((~gone_before).sum(), 1))
        volume = finding.baseline / self._samples.rows if scope == "volume" else 1.0
        return float(volume * now / before.rows.num_rows)

    def _offsets(self, finding: Finding, shows: Mask, found: Found | None) -> list[list[int]]:
        """Partition and offset of rows in the slice that show the change; of a loss, of rows that came."""
        if _indicator(finding).scope == "label":
            if found is None:
                return []
            shows = shows if found.is_more else ~shows
        return sample_offsets(self._samples.now, shows if found is None else shows & found.inside)

"""Whether a reference fits a click-through job: the same label, length of windows and types of columns.

Example: a reference of one-minute windows says nothing about windows of five minutes; every one of them would have
five times its rows.
"""

import polars as pl

from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import ColumnType
from sparsewatch.schemas.settings import duration_text

_MEND = "Make one for this job: `sparsewatch train reference`"
_TYPES: dict[type[pl.DataType], ColumnType] = {
    pl.Int64: "int",
    pl.Float64: "float",
    pl.String: "str",
    pl.Boolean: "bool",
}


def check_reference_fits(reference: Reference, job: CtrJob, window_us: int) -> None:
    """Refuse a reference with which nothing of this job can be compared.

    Args:
        reference: The reference the job names.
        job: The job.
        window_us: Length of its windows, microseconds.

    Raises:
        ConfigError: If label, window length or the type of a feature differ, or if they share no feature.
    """
    faults = [*_of_windows(reference, job, window_us), *_of_types(reference, job), *_of_numbers(reference, job)]
    if not set(job.ranked_features) & set(reference.features):
        faults.append(f"expected some of the features {sorted(job.ranked_features)}, got {sorted(reference.features)}")
    if faults:
        raise ConfigError(f"checks.reference: {job.checks.reference} does not fit: {'; '.join(faults)}. {_MEND}")


def _of_windows(reference: Reference, job: CtrJob, window_us: int) -> list[str]:
    faults = []
    if reference.window_us not in (None, window_us):
        found = duration_text(reference.window_us or 0)
        faults.append(f"expected windows of {job.windows.length}, got a reference of windows of {found}")
    if reference.label != job.label:
        faults.append(f"expected the label {job.label!r}, got {reference.label!r}")
    return faults


def _of_types(reference: Reference, job: CtrJob) -> list[str]:
    known = {name: _TYPES.get(reference.known_values[name].dtype.base_type()) for name in reference.features}
    return [
        f"column {name!r}: expected values of type {job.columns[name]!r}, got {found!r}"
        for name, found in known.items()
        if found is not None
        and name in job.ranked_features
        and found != job.columns[name]
        # Bins of integers are floats.
        and name not in reference.bins.features
    ]


def _of_numbers(reference: Reference, job: CtrJob) -> list[str]:
    """Features that the reference counts in bins, and the job by value, or the other way round."""
    both = set(reference.features) & set(job.ranked_features)
    learned, counted = (both & set(bins.features) for bins in (reference.bins, job.number_bins))
    if learned and counted and reference.bins.bits != job.number_bins.bits:
        return [f"expected bins of {job.number_bins.bits} bits, got {reference.bins.bits} (ranking.number_bits)"]
    faults = [f"column {name!r}: expected counts in bins, got counts by value" for name in sorted(counted - learned)]
    faults += [f"column {name!r}: expected counts by value, got counts in bins" for name in sorted(learned - counted)]
    return [*faults[:-1], f"{faults[-1]} (ranking.numbers, ranking.number_columns)"] if faults else []


def reference_remarks(reference: Reference, job: CtrJob) -> tuple[str, ...]:
    """What a person should know about a reference that fits."""
    remarks = []
    if missing := sorted(set(job.ranked_features) - set(reference.features)):
        remarks.append(f"not in the reference and so not checked: {', '.join(missing)}")
    if reference.window_us is None:
        remarks.append("the reference is of an earlier release: the length of its windows is not known")
    prediction = job.checks.prediction
    if prediction is not None and (reference.calibration is None or reference.calibration.prediction != prediction):
        remarks.append(
            f"the calibration of {prediction} is not in the reference and so not checked: fit it again with "
            "`sparsewatch train reference`, from windows with clicks"
        )
    return tuple(remarks)

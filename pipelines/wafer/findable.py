"""What a wafer job can find in windows of several sizes, at its budget."""

from collections.abc import Iterator

from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.window_counts import least_wafers
from sparsewatch.pipelines.job.ready import Findable

#: Wafers of the windows that are told of.
_WAFERS = (25, 100, 1_000)


def findable_wafers(false_novel_rate: float, check: WaferCheck) -> Iterator[Findable]:
    """Fewest wafers of an unknown pattern, and of patterns with a rate, that are found.

    Args:
        false_novel_rate: Share of known wafers that are called novel by chance.
        check: Level and least numbers.
    """
    rates = {"wafers of unknown patterns": false_novel_rate, **check.expected_rates}
    for name, rate in rates.items():
        for wafers in _WAFERS:
            least = least_wafers(wafers, rate, check)
            found = "none is found" if least is None else f"{least} wafers ({rate:.1%} expected)"
            yield Findable(name, found, f"windows of {wafers:,} wafers")

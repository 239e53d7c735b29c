"""What a wafer job can find in windows of several sizes, at its budget."""

from collections.abc import Iterator

from sparsewatch.detectors.wafers.concentration import least_lots
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.window_counts import least_wafers
from sparsewatch.pipelines.job.ready import Findable

#: Wafers of the windows that are told of; lots, over so many tools.
_WAFERS = (25, 100, 1_000)
_LOTS, _TOOLS = (20, 40, 100), 4


def findable_wafers(false_novel_rate: float, check: WaferCheck) -> Iterator[Findable]:
    """Fewest wafers of an unknown pattern, of patterns with a rate, and lots of one tool, that are found.

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
    for lots in _LOTS:
        least = least_lots(lots, _TOOLS, check.of_tools)
        found = "none is found" if least is None else f"{least} lots of one tool, no other"
        yield Findable("lots of one tool with a pattern", found, f"windows of {lots} lots on {_TOOLS} tools")

"""Bounds on the series that an exporter serves: of each metric of a job, and of all.

Which series stay follows from what there is alone, whatever came first: of a metric those that are first in the order
of their labels, of all those of the metrics that are declared first. So exporters of the same topic serve the same, now
and after a restart, and one series more moves at most one out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.metrics import METRICS

#: Series that an exporter serves unless told otherwise.
MAX_SERIES = 20_000
#: Most series of a metric of a job that is not declared: of another version, or of a user's own step.
UNDECLARED = 1_000
_BOUNDS = {metric.name: metric.series for metric in METRICS}
_PLACES = {metric.name: place for place, metric in enumerate(METRICS)}


def within_bounds(samples: Iterable[MetricSample], most: int) -> tuple[dict[str, list[MetricSample]], Counter[str]]:
    """Series that are served.

    Args:
        samples: One of each series, in order of their keys.
        most: Series that are served at most.

    Returns:
        Those served, by metric, and how many of each metric are not.
    """
    served: dict[str, list[MetricSample]] = defaultdict(list)
    cut: Counter[str] = Counter()
    of_job: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        name = sample.name
        place = name, sample.labels.get("job", "")
        if of_job[place] < _BOUNDS.get(name, UNDECLARED):
            of_job[place] += 1
            served[name].append(sample)
        else:
            cut[name] += 1
    left = most
    for name in sorted(served, key=lambda name: (_PLACES.get(name, len(_PLACES)), name)):
        if left < len(served[name]):
            cut[name] += len(served[name]) - left
            served[name] = served[name][:left]
        left -= len(served[name])
    return {name: found for name, found in served.items() if found}, cut

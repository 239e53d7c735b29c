"""What the exporter serves: the newest sample of every series of a metrics topic, and its own health."""

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sparsewatch.pipelines.exporter.guard import MAX_SERIES, within_bounds
from sparsewatch.schemas.alerts import SAMPLE, MetricSample, number
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.metrics import (
    EXPORTER_BAD_SAMPLES,
    EXPORTER_LAST_READ,
    EXPORTER_SERIES,
    EXPORTER_SERIES_CUT,
    EXPORTER_UP,
)
from sparsewatch.transforms.kafka.follow_topic import Records

_logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


class Series:
    """The newest sample of every series; filled by one thread, read by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, MetricSample] = {}
        self._bad = 0

    def take(self, records: Records) -> bool:
        """Take records of the metrics topic; null removes a series, a record that is no sample is counted.

        Returns:
            Whether there were any.
        """
        found = list(records)
        with self._lock:
            for key, value in found:
                self._take_one(key.decode(errors="replace"), value)
        return bool(found)

    def _take_one(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._newest.pop(key, None)
            return
        try:
            sample = SAMPLE.parse(value, MetricSample)
            _check(key, sample)
        except (StateError, ValueError) as error:
            self._bad += 1
            _logger.warning("a record of the metrics topic cannot be read as a sample: %s", error)
        else:
            self._newest[key] = sample

    def newest(self) -> tuple[list[MetricSample], int]:
        """All series in order of their keys, and how many records were no samples."""
        with self._lock:
            return [self._newest[key] for key in sorted(self._newest)], self._bad


def _check(key: str, sample: MetricSample) -> None:
    # One line that Prometheus cannot read, or that stands there twice, costs it the whole page.
    if not _NAME.fullmatch(sample.name) or not all(_LABEL.fullmatch(name) for name in sample.labels):
        raise ValueError(f"expected names of letters, digits and '_', got {sample.key!r}")
    if key != sample.key:
        raise ValueError(f"expected the key {sample.key!r}, got {key!r}")


class MetricsCollector:
    """Series as prometheus_client asks for them, and the exporter's own; follows a topic of samples.

    Args:
        ends: Where the source ends, if that is known.
        max_series: Series of jobs that are served at most.
    """

    def __init__(self, ends: Callable[[], Sequence[MetricSample]] = tuple, max_series: int = MAX_SERIES) -> None:
        self._series = Series()
        self._max_series = max_series
        #: Metrics of which not all series are served.
        self._cut: frozenset[str] = frozenset()
        self._ends = ends
        self._up = False
        self._last_read = 0.0

    def serve(self, series: Series, now: float) -> None:
        """Serve these series from now on."""
        self._series = series
        self.seen(now)

    def seen(self, now: float | None = None) -> None:
        """The topic was read, or the broker reported that it is read to its end; now if no time is given."""
        self._up, self._last_read = True, time.time() if now is None else now

    def begin(self, records: Records) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""
        series = Series()
        series.take(records)
        # Only now: counters of half a topic would look as if they had been reset.
        self.serve(series, time.time())

    def take(self, records: Records) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""
        if self._series.take(records):
            self.seen()

    def lost(self) -> None:
        """The topic cannot be read; the series stay."""
        self._up = False

    def collect(self) -> Iterable[Metric]:
        """All series within bounds, grouped by name, and the exporter's own."""
        newest, bad = self._series.newest()
        served, cut = within_bounds([*newest, *self._ends()], self._max_series)
        self._tell(cut)
        yield from map(_family, served.values())
        own = (
            EXPORTER_UP.sample(self._up),
            EXPORTER_LAST_READ.sample(self._last_read),
            EXPORTER_BAD_SAMPLES.sample(bad),
            EXPORTER_SERIES.sample(sum(map(len, served.values()))),
            EXPORTER_SERIES_CUT.sample(cut.total()),
        )
        yield from (_family([sample]) for sample in own)

    def _tell(self, cut: Counter[str]) -> None:
        if new := cut.keys() - self._cut:
            said = ", ".join(f"{number(cut[name])} of {name}" for name in sorted(new))
            _logger.warning("series that are not served, since there are more than allowed: %s", said)
        self._cut = frozenset(cut)


def _family(samples: Sequence[MetricSample]) -> Metric:
    first = samples[0]
    names = sorted({name for sample in samples for name in sample.labels})
    kind = CounterMetricFamily if first.kind == "counter" else GaugeMetricFamily
    family: Metric = kind(first.name, first.help, labels=names)
    for sample in samples:
        family.add_metric([sample.labels.get(name, "") for name in names], sample.value)  # type: ignore[attr-defined]
    return family

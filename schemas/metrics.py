"""Metric samples: what the pipeline writes and the exporter serves. Names follow Prometheus' naming rules."""

from typing import Literal

import msgspec

from sparsewatch.schemas.stored import Format

SAMPLE = Format("a metric sample")
MetricKind = Literal["counter", "gauge"]


class MetricSample(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of one series; the newest of a key wins."""

    #: Base units, `sparsewatch_` in front; counters end in `_total`.
    name: str
    kind: MetricKind
    help: str
    value: float
    labels: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Identity of the series: name and sorted labels."""
        inside = ",".join(f'{k}="{v}"' for k, v in sorted(self.labels.items()))
        return f"{self.name}{{{inside}}}"


def gauge(name: str, text: str, value: float, labels: dict[str, str] | None = None) -> MetricSample:
    """A sample of a gauge."""
    return MetricSample(name=name, kind="gauge", help=text, value=float(value), labels=labels or {})

"""What a metric is declared to be; the declarations themselves are in `sparsewatch.schemas.metrics`."""

import re
from dataclasses import dataclass
from typing import Literal

from sparsewatch.schemas.alerts import MetricKind, MetricSample

#: Whose metric it is: a kind of job, as in job files, the exporter or `notify`.
Owner = Literal["ctr", "rows", "wafer", "exporter", "notify"]
EVERY_JOB: tuple[Owner, ...] = ("ctr", "rows", "wafer")
_NAME = re.compile(r"sparsewatch_[a-z][a-z_]*[a-z]")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric, from which its samples are made, its line in the docs, the rules and the panels that name it."""

    #: Base unit at its end where it has one; a counter ends in `_total`.
    name: str
    kind: MetricKind
    #: Of a value: a base unit of Prometheus (seconds, ratio), or what is counted, in the plural.
    unit: str
    #: One sentence, on the exporter's page and in the docs.
    help: str
    of: tuple[Owner, ...] = EVERY_JOB
    #: Besides `job`, which every metric of a job has.
    labels: tuple[str, ...] = ()
    #: Most series that one job, or one process of another owner, has of it.
    series: int = 1
    #: With or without which setting a job states it, in words; empty if any does.
    needs: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"expected a name such as sparsewatch_window_rows, got {self.name!r}")
        if self.name.endswith("_total") != (self.kind == "counter"):
            raise ValueError(f"{self.name}: expected a counter, and no other, to end in _total")

    def sample(self, value: float, **labels: str) -> MetricSample:
        """A sample of it.

        Args:
            value: In its unit.
            **labels: Its labels, all of them.

        Raises:
            ValueError: If the labels are others than declared.
        """
        if labels.keys() != set(self.labels):
            raise ValueError(f"{self.name}: expected labels {sorted(self.labels)}, got {sorted(labels)}")
        return MetricSample(name=self.name, kind=self.kind, help=self.help, value=float(value), labels=labels)

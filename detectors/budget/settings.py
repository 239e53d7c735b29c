"""Settings of what a job may raise by chance."""

from typing import Annotated

from sparsewatch.schemas.settings import Range, Settings


class AlertSettings(Settings, frozen=True, kw_only=True):
    """How many incidents of a job may be false."""

    #: Incidents a day that chance alone may raise, over all rules and subjects. Thresholds that a job file does not set
    #: follow from it.
    false_incidents_per_day: Annotated[float, Range(at_least=0.001, at_most=1_000)] = 1.0

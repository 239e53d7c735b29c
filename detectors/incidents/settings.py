"""Settings of the incidents of every kind of job."""

from typing import Annotated

from sparsewatch.schemas.settings import Positive, Range, Settings


class IncidentSettings(Settings, frozen=True, kw_only=True):
    """When an incident is over, and how long it may come back as the same one; in windows."""

    #: Whole windows in a row without one of its findings that resolve it.
    resolve_after: Annotated[int, Range(at_least=1, at_most=1_000)] = 2
    #: Windows after that within which it is opened again, not anew.
    reopen_within: Annotated[int, Range(at_least=0, at_most=1_000)] = 6
    #: Weight from which on an incident is critical whatever its findings, see `sparsewatch.detectors.incidents.weight`.
    critical_from: Positive = 12.0

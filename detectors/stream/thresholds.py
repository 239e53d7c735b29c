"""Thresholds of the checks on a stream, of every kind of job."""

from typing import Annotated

from sparsewatch.schemas.settings import Count, Range, Settings

_Part = Annotated[float, Range(above=0, at_most=1)]


class StreamThresholds(Settings, frozen=True, kw_only=True):
    """When silence, volume or what is set aside is worth a person's time."""

    #: Probability that chance begins a silence as long as one that raises `no_data`; 0 never raises it.
    silence_chance: Annotated[float, Range(at_least=0, at_most=0.1)] = 0.001
    #: Volume, divided by the mean of the job's own last windows, where there is no reference.
    volume_low: Annotated[float, Range(above=0, below=1)] = 0.5
    #: Chance is excluded above so many standard deviations of the volume of the job's own windows.
    volume_z: Annotated[float, Range(above=1, below=20)] = 5.0
    #: Windows with rows, of the job's own, below which their volume is no baseline.
    min_windows: Annotated[int, Range(at_least=2, at_most=64)] = 20
    #: Share of the events read that are rejects, and that are late; 1 for all of them.
    rejects_high: _Part = 0.05
    late_high: _Part = 0.05
    #: Rejects, and late events, of a window below which neither is judged.
    min_set_aside: Count = 10

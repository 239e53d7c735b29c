"""Thresholds of the checks on a stream, of every kind of job."""

from typing import Annotated

import msgspec

from sparsewatch.detectors.budget.spending import Allowance
from sparsewatch.schemas.settings import Count, Range, Settings

#: Families of tests, one test a window each.
FAMILIES = ("volume", "silence")
#: Without a budget; silences are not independent of each other, so that no budget allows more of them.
SILENCE_CHANCE = 0.001
_VOLUME_Z = 5.0
_Part = Annotated[float, Range(above=0, at_most=1)]


class StreamThresholds(Settings, frozen=True, kw_only=True):
    """When silence, volume or what is set aside is worth a person's time."""

    #: Probability that chance begins a silence as long as one that raises `no_data`; 0 never raises it. By the job's
    #: budget if absent, but at most `SILENCE_CHANCE`.
    silence_chance: Annotated[float, Range(at_least=0, at_most=0.1)] | None = None
    #: Volume, divided by the mean of the job's own last windows, where there is no reference.
    volume_low: Annotated[float, Range(above=0, below=1)] = 0.5
    #: Chance is excluded above so many standard deviations of the volume of the job's own windows; by the job's budget
    #: if absent.
    volume_z: Annotated[float, Range(above=1, below=20)] | None = None
    #: Windows with rows, of the job's own, below which their volume is no baseline.
    min_windows: Annotated[int, Range(at_least=2, at_most=64)] = 20
    #: Share of the events read that are rejects, and that are late; 1 for all of them.
    rejects_high: _Part = 0.05
    late_high: _Part = 0.05
    #: Rejects, and late events, of a window below which neither is judged.
    min_set_aside: Count = 10
    #: Whether fields of JSON events that the job does not name are told when they are new.
    new_fields: bool = True

    @property
    def of_silence(self) -> float:
        """Probability at which a silence is odd."""
        return SILENCE_CHANCE if self.silence_chance is None else self.silence_chance

    @property
    def of_volume(self) -> float:
        """Standard deviations above which chance is excluded."""
        return _VOLUME_Z if self.volume_z is None else self.volume_z

    def within(self, allowance: Allowance) -> "StreamThresholds":
        """As strict as a job's budget asks where nothing else is set.

        Args:
            allowance: With the families `FAMILIES`.
        """
        chance = min(SILENCE_CHANCE, allowance.spent("silence"))
        return msgspec.structs.replace(
            self,
            silence_chance=chance if self.silence_chance is None else self.silence_chance,
            volume_z=allowance.z("volume") if self.volume_z is None else self.volume_z,
        )

"""Settings of the baseline that a job learns of its own windows."""

from typing import Annotated

from sparsewatch.schemas.errors import SettingError
from sparsewatch.schemas.settings import Range, Settings


class LearningSettings(Settings, frozen=True, kw_only=True):
    """The baseline that a job learns of its own windows; see docs/alerts.md."""

    #: Whether it learns one.
    enabled: bool = True
    #: Windows of the baseline: the last ones in which nothing was wrong.
    windows: Annotated[int, Range(at_least=10, at_most=500)] = 24
    #: Windows that are learned before one is compared with them.
    least: Annotated[int, Range(at_least=4, at_most=500)] = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least > self.windows:
            raise SettingError(f"least: expected at most windows ({self.windows}), got {self.least}")

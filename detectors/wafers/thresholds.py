"""Thresholds of the checks on a window of wafers, see `sparsewatch.detectors.wafers.window_counts`."""

import msgspec

from sparsewatch.detectors.budget.spending import Allowance
from sparsewatch.schemas.settings import AlarmRate, Count, Level, Settings, Share

#: Without a budget.
_ALPHA = 1e-6


class WaferCheck(Settings, frozen=True, kw_only=True):
    """When a window of wafers raises an alert."""

    #: Share of known wafers to be called novel by chance; that of the models that judged the window if None.
    false_novel_rate: AlarmRate | None = None
    #: Share of wafers of each pattern in normal production; patterns without a rate are not checked.
    expected_rates: dict[str, Share] = msgspec.field(default_factory=dict)
    #: Level of each test; by the job's budget if absent.
    alpha: Level | None = None
    #: Level at which a window tells that a pattern is concentrated on a tool; by the job's budget if absent.
    concentrated: Level | None = None
    #: Least number of wafers that raises an alert.
    min_wafers: int = 4
    #: Least ratio of the observed share to the expected rate.
    min_lift: float = 2.0
    #: An attribute's type has changed from this share of its values, and from so many wafers.
    mistyped_share: Share = 0.05
    mistyped_cells: Count = 4
    #: Share of a wafer's defects outside of it, at least 3, from which on the window tells of it.
    outside: Share = 0.05

    @property
    def of_test(self) -> float:
        """Level of each test."""
        return _ALPHA if self.alpha is None else self.alpha

    @property
    def of_tools(self) -> float:
        """Level of all comparisons of tools in a window."""
        return _ALPHA if self.concentrated is None else self.concentrated

    def within(self, allowance: Allowance) -> "WaferCheck":
        """As strict as a job's budget asks where nothing else is set.

        Args:
            allowance: With the families `wafers`, one test of unknown patterns and one of each pattern with a rate,
                and `tools`, one test.
        """
        # Wafers of a lot are alike: a budget makes the tests on them stricter, never laxer. Tools are compared by lots.
        return msgspec.structs.replace(
            self,
            alpha=min(_ALPHA, allowance.alpha("wafers")) if self.alpha is None else self.alpha,
            concentrated=allowance.alpha("tools") if self.concentrated is None else self.concentrated,
        )

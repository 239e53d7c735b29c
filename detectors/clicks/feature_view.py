"""One feature of one window beside its reference, as the rules on features see it."""

from dataclasses import dataclass
from typing import Any, Self

import msgspec

from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.moved_values import Moved, most_moved, shown
from sparsewatch.detectors.clicks.number_shares import NumberMovement, numbers_now
from sparsewatch.detectors.clicks.profile import FeatureProfile
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import (
    share_tolerance,
)
from sparsewatch.detectors.clicks.value_shares import Movement, movement
from sparsewatch.detectors.counts.counts import Part
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One feature in one window, and its reference."""

    name: str
    counts: FeatureCounts
    figures: FeatureProfile
    reference: Reference
    settings: ClickThresholds
    #: How the shares of its values changed; None where the reference does not know them.
    movement: Movement | None = None
    #: Where its numbers lie and lay; None where they are counted by value.
    numbers: NumberMovement | None = None

    @classmethod
    def of(
        cls,
        name: str,
        counts: FeatureCounts,
        figures: FeatureProfile,
        reference: Reference,
        settings: ClickThresholds,
    ) -> Self:
        """A feature of a window beside its reference."""
        shares, numbers = reference.shares.get(name), reference.numbers.get(name)
        return cls(
            name=name,
            counts=counts,
            figures=figures,
            reference=reference,
            settings=settings,
            movement=None if shares is None else movement(shares, counts, name),
            numbers=None if numbers is None else numbers_now(numbers, counts, name),
        )

    @property
    def before(self) -> FeatureReference:
        """The feature's reference."""
        return self.reference.features[self.name]

    @property
    def windows(self) -> int:
        """Windows of the feature's reference."""
        return self.before.windows(self.reference.windows)

    @property
    def listed(self) -> int:
        """Rows with a value."""
        return self.counts.rows - self.counts.nulls(self.name)

    @property
    def held(self) -> Part:
        """Its values in the window."""
        return self.counts.stored([self.name])[0]

    def null_tolerance(self, z: float | None = None) -> float:
        """How far the share of rows without a value may lie from its reference, at the settings' `z` if absent."""
        z = self.settings.of_features if z is None else z
        return null_tolerance(self.before, self.reference, self.counts.rows, z)

    def moved_values(self) -> list[Moved]:
        """The values whose shares of the rows with a value changed most, with these before and now."""
        if self.movement is None:
            return []
        known, limit = self.reference.known_values[self.name], self.reference.hash_limit(self.name)
        return [self.told(one) for one in most_moved(self.movement, self.held, known, limit)]

    def told(self, moved: Moved) -> Moved:
        """With the value as alerts show it."""
        return msgspec.structs.replace(moved, value=self.told_value(moved.value))

    def told_value(self, value: Any) -> Any:
        """A value as alerts show it."""
        return shown(self.counts.value_text(self.name, value))

    def cause(self) -> str:
        """Why rows lack a value, where values of another type have a part in it."""
        share = self.figures.mistyped_share
        return f"; {share:.1%} hold a value of another type" if share else ""

    def finding(
        self,
        rule: str,
        severity: Severity,
        value: float,
        threshold: float,
        baseline: float,
        message: str,
        p_value: float,
        **evidence: Any,
    ) -> Finding:
        """A finding on this feature."""
        return Finding(
            rule=rule,
            subject=self.name,
            severity=severity,
            value=value,
            threshold=threshold,
            baseline=baseline,
            message=f"{self.name}: {message}",
            evidence={
                "rows": self.counts.rows,
                "effect": value - baseline,
                **evidence,
                "moved": [msgspec.structs.asdict(one) for one in self.moved_values()],
            },
            p_value=p_value,
        )


def null_tolerance(before: FeatureReference, reference: Reference, rows: float, z: float) -> float:
    """How far the share of so many rows without a value may lie from its reference.

    Args:
        before: The feature's reference.
        reference: The whole reference.
        rows: Rows of the window.
        z: Strictness, in standard deviations.
    """
    windows = before.windows(reference.windows)
    return share_tolerance(before.null_share, windows, rows, reference.volume.mean, z)

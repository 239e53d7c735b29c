"""What a reference knows of one feature."""

import msgspec

from sparsewatch.detectors.clicks.tolerances import Statistic
from sparsewatch.detectors.sequential.steadiness import Steadiness


class FeatureReference(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one feature over the windows of the reference."""

    null_share: Statistic
    cardinality: Statistic
    #: Cardinality, divided by that expected of as many rows drawn from the whole stretch (see
    #: `sparsewatch.detectors.clicks.tolerances`).
    cardinality_ratio: Statistic
    score: Statistic
    normalised: Statistic
    #: Share of a window's rows with a value whose value is in no window before it, over the later half of the windows;
    #: None for fewer than three windows with a value.
    unseen_share: Statistic | None
    #: Place by mean normalised score, 1 is best.
    rank: int
    #: Rows with a value in the whole stretch.
    listed: int
    #: Windows of the reference that are not in these figures, since the feature is unlike itself in them.
    left_out: int = 0
    #: Of `null_share`; None in references of earlier releases, and of few windows.
    null_steadiness: Steadiness | None = None
    #: Whether its values come and go with the time, and are not checked (see `sparsewatch.detectors.clicks.timely`).
    follows_time: bool = False

    def windows(self, windows: int) -> int:
        """Windows that these figures are over, of a reference of so many."""
        return windows - self.left_out

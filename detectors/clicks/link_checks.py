"""The rules on labels that no longer go with the values of features: of one feature, or of all."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.feature_view import View
from sparsewatch.detectors.clicks.label_links import LinkOver
from sparsewatch.detectors.clicks.profile import WindowProfile
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding

#: Evidence that a window is expected to give, nats, from which on a link is judged: of less a few rows decide.
_TELLING = 12.0
#: Lost is what no longer goes with the values. Of much more than all rows, clicks go with other values instead, as when
#: people's taste changes.
_MOST_LOST = 1.5
#: Share of the rows from which on a feature is among those whose labels are lost.
_HALF = 0.5


class _Now(NamedTuple):
    """A link in a window."""

    over: LinkOver
    #: Evidence a row, nats.
    gain: float
    rows: int

    @property
    def lost(self) -> float:
        return self.over.lost(self.gain)

    def is_beyond(self, z: float) -> bool:
        """Whether what is lost is no chance."""
        return self.over.gain.mean - self.gain >= self.over.tolerance(self.rows, z)

    @property
    def is_telling(self) -> bool:
        return self.over.gain.mean * self.rows >= _TELLING

    def is_lost(self, settings: ClickThresholds) -> bool:
        """Whether labels go with the values in few rows at most."""
        some = self.is_telling and 1 - settings.signal_lost <= self.lost <= _MOST_LOST
        return some and self.is_beyond(settings.of_signal)

    def threshold(self, settings: ClickThresholds) -> float:
        """Evidence a row at or below which it is."""
        before = self.over.gain.mean
        effect = (1 - settings.signal_lost) * 2 * before
        return before - max(effect, self.over.tolerance(self.rows, settings.of_signal))


def check_links(
    counts: FeatureCounts,
    profile: WindowProfile,
    reference: Reference,
    settings: ClickThresholds,
    told: Collection[str],
) -> list[Finding]:
    """Rule `label_signal_lost`, or `feature_signal_lost` of features whose loss their information does not show.

    Args:
        counts: Of a window with rows.
        profile: Its figures.
        reference: The baseline.
        settings: When a deviation matters.
        told: Subjects of which another rule told.
    """
    if min(counts.clicks, counts.rows - counts.clicks) < settings.min_clicks:
        return []
    links = {
        name: _Now(link.over, gain, counts.rows)
        for name, link in reference.links.features.items()
        if name in counts.features and (gain := link.gain(counts, name)) is not None
    }
    whole = None
    if reference.links.whole is not None and len(links) == len(reference.links.features):
        whole = _Now(reference.links.whole, sum(one.gain for one in links.values()), counts.rows)
        if whole.is_lost(settings) and _is_lost_of_all(list(links.values())):
            return [_of_label(whole, links, reference, settings)]
    return [
        _of_feature(View.of(name, counts, profile.features[name], reference, settings), one)
        for name, one in links.items()
        if name not in told and one.is_lost(settings)
    ]


def _is_lost_of_all(links: Sequence[_Now]) -> bool:
    """Whether each feature that tells enough has lost half, and so have all together but the one that told most."""
    if any(one.lost < _HALF for one in links if one.is_telling):
        return False
    # One feature that is dealt out anew takes the largest part of all evidence with it. Of rows dealt out anew the
    # evidence is as much below 0 as it was above.
    others = sorted(links, key=lambda one: one.over.gain.mean)[:-1]
    return sum(one.gain for one in others) <= (1 - 2 * _HALF) * sum(one.over.gain.mean for one in others)


def smallest_loss(over: LinkOver, rows: float, settings: ClickThresholds) -> float | None:
    """Share of the rows in which labels must no longer go with the values to be told; None if none is.

    Args:
        over: The link.
        rows: Of a window.
        settings: When a deviation matters.
    """
    now = _Now(over, 0.0, round(rows))
    share = 0.5 * (1 - now.threshold(settings) / over.gain.mean)
    return share if now.is_telling and share <= 1 else None


def _of_label(whole: _Now, links: dict[str, _Now], reference: Reference, settings: ClickThresholds) -> Finding:
    before = whole.over.gain.mean
    return Finding(
        rule="label_signal_lost",
        subject="stream",
        severity="warning",
        value=whole.gain,
        threshold=whole.threshold(settings),
        baseline=before,
        message=f"clicks no longer go with the values of any feature as they did in {reference.name}: "
        f"{min(whole.lost, 1.0):.0%} of that is lost, of {len(links)} features",
        evidence={
            "rows": whole.rows,
            "effect": whole.gain - before,
            "lost": whole.lost,
            "features": {name: one.lost for name, one in links.items()},
        },
        p_value=p_value(whole.is_beyond, settings.of_signal),
    )


def _of_feature(view: View, now: _Now) -> Finding:
    return view.finding(
        "feature_signal_lost",
        "warning",
        now.gain,
        now.threshold(view.settings),
        now.over.gain.mean,
        f"clicks no longer go with its values as they did in {view.reference.name}: {min(now.lost, 1.0):.0%} of that "
        "is lost",
        p_value(now.is_beyond, view.settings.of_signal),
        test="links",
        lost=now.lost,
        score_nats=view.figures.score,
    )

"""The rule on features that no longer determine one another.

Of a feature whose values stand in other rows several links break, those of others still hold: the one with most broken
links, less those that hold, is told, and its links are explained; then the next.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.determined import Judged, Link
from sparsewatch.detectors.clicks.moved_values import shown
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.sample_offsets import sample_offsets
from sparsewatch.schemas.alerts import Finding

RULE = "feature_link_lost"
#: Pairs of values that are told.
_MOST_EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class _Now:
    """A link in a window."""

    link: Link
    judged: Judged

    @property
    def share(self) -> float:
        return self.judged.breaking / self.judged.rows

    @property
    def rise(self) -> float:
        return self.share - self.link.over.share.mean

    def is_beyond(self, z: float) -> bool:
        """Whether so many rows break it that it is no chance."""
        return self.rise >= self.link.over.tolerance(self.judged.rows, z)

    def is_broken(self, settings: ClickThresholds) -> bool:
        """Whether many rows do, and of more than one value."""
        spread = self.judged.spread / self.judged.rows - self.link.over.share.mean
        return spread >= settings.links_broken and self.is_beyond(settings.of_features)


def check_determined(
    rows: pa.RecordBatch, links: Sequence[Link], settings: ClickThresholds, told: Collection[str], name: str
) -> list[Finding]:
    """Rule `feature_link_lost`.

    Args:
        rows: Sampled of a window, with partition and offset.
        links: Of the baseline.
        settings: When a deviation matters.
        told: Features of which another rule told: their links are explained.
        name: How messages call the baseline.
    """
    some = [_Now(link, link.judge(rows)) for link in links if not {link.by, link.feature} & {*told}]
    some = [one for one in some if one.judged.rows >= settings.min_rows]
    broken = [one for one in some if one.is_broken(settings)]
    held = Counter(feature for one in some if one not in broken for feature in (one.link.by, one.link.feature))
    findings: list[Finding] = []
    while broken:
        subject = _suspect(broken, held)
        own = [one for one in broken if subject in (one.link.by, one.link.feature)]
        findings.append(_finding(subject, own, rows, settings, name))
        broken = [one for one in broken if one not in own]
    return findings


def _suspect(broken: Sequence[_Now], held: Counter[str]) -> str:
    """The feature that explains most; of two alike the one whose values are said by the other."""
    points: Counter[str] = Counter()
    for one in broken:
        points.update((one.link.by, one.link.feature))
    said = Counter(one.link.feature for one in broken)
    return max(points, key=lambda name: (points[name] - held[name], said[name], name))


def _finding(subject: str, own: Sequence[_Now], rows: pa.RecordBatch, settings: ClickThresholds, name: str) -> Finding:
    most = max(own, key=lambda one: one.rise)
    link, before = most.link, most.link.over.share.mean
    least = max(settings.links_broken, link.over.tolerance(most.judged.rows, settings.of_features))
    return Finding(
        rule=RULE,
        subject=subject,
        severity="warning",
        value=most.share,
        threshold=before + least,
        baseline=before,
        message=f"{link.by} no longer says {link.feature} as it did in {name}: {most.share:.1%} of rows have another "
        f"value, {before:.1%} before",
        evidence={
            "rows": most.judged.rows,
            "effect": most.rise,
            "links": [
                {"by": one.link.by, "feature": one.link.feature, "share": one.share, "before": one.link.over.share.mean}
                for one in own
            ],
            "broken": _examples(most, rows),
            "sample_offsets": sample_offsets(rows, most.judged.broken),
        },
        p_value=p_value(most.is_beyond, settings.of_features),
    )


def _examples(one: _Now, rows: pa.RecordBatch) -> list[dict[str, Any]]:
    """What rows that break a link have, what is said of them, and how many do; the most frequent first."""
    places = np.flatnonzero(one.judged.broken)
    keys, now = one.judged.key[places].tolist(), rows.column(one.link.feature).take(pa.array(places)).to_pylist()
    counted = Counter(zip(keys, now, strict=True))
    most = sorted(counted.items(), key=lambda item: (-item[1], item[0][0], str(item[0][1])))[:_MOST_EXAMPLES]
    return [
        {
            "value": shown(one.link.keys[key]),
            "says": shown(one.link.values[key]),
            "has": shown(value),
            "share": times / one.judged.rows,
        }
        for (key, value), times in most
    ]

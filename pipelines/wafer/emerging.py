"""The wafer job's search over its last windows: novel-looking wafers that form a cluster are an emerging pattern.

A wafer near a pattern found earlier joins it, or is skipped if a user has named or dismissed the pattern. As long as
nobody has, and wafers come more often than chance explains, the pattern is told again. The others of the last windows
are searched for clusters (`sparsewatch.detectors.open_set.emerging`); the background are the model's calibration wafers
and the windows before. Wafers embedded by another network are left out.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.emerging import (
    Cluster,
    ClusterRules,
    Floats,
    Recent,
    Sample,
    find_clusters,
    nearest_of,
    unlikeliness,
    whitening,
    widest,
)
from sparsewatch.detectors.open_set.emerging_calibration import threshold
from sparsewatch.detectors.wafers.emerging_pattern import Found, centre, emerging_finding, joined, raise_pattern
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.novel_wafers import embeddings_of
from sparsewatch.pipelines.wafer.kept_wafers import Look, look_over
from sparsewatch.pipelines.wafer.pattern_book import BookInMemory, PatternBook, ReadBook, pattern_record
from sparsewatch.pipelines.wafer.settings import PatternSettings
from sparsewatch.schemas.alerts import Finding, MetricSample
from sparsewatch.schemas.metrics import OPEN_PATTERNS, UNEXPLAINED_WAFERS
from sparsewatch.schemas.patterns import NovelLooking, Pattern
from sparsewatch.schemas.units import DAY_US
from sparsewatch.transforms.window.measure import Conclusion, LookBack
from sparsewatch.transforms.window.panes import Pane

_logger = logging.getLogger(__name__)

#: Seed of the calibration's draws.
_SEED = 5
#: A threshold holds for numbers of wafers up to this factor apart.
_STEP = 1.2
#: Newest windows in which an open pattern still comes, and the statistic above which it does: a chance of a thousandth.
#: Over all windows that are searched, one wafer by chance would fire again long after the pattern has gone.
_STILL_WINDOWS, _STILL = 4, -math.log(1e-3)


@dataclass(frozen=True)
class KnownEmbeddings:
    """Embeddings of a model's known wafers, and how they are compared."""

    space: str
    model: str
    whitening: Floats
    #: Its novel-looking calibration wafers.
    known: Sample

    @classmethod
    def of(cls, model: WaferModel, level: float) -> Self:
        """The calibration wafers of a model whose p-value is at most `level`."""
        novelty, white = model.novelty, whitening(model.novelty.within)
        looking_novel = novelty.p_value(novelty.calibration) <= level
        embeddings = novelty.calibration_embeddings[looking_novel].astype(np.float64)
        return cls(model.space, model.id, white, Sample(embeddings @ white, len(novelty.calibration)))


@dataclass
class PatternsView:
    """See `sparsewatch.transforms.window.measure.LookBack`."""

    job: str
    topic: str
    settings: PatternSettings
    book: ReadBook
    #: The model that recognises wafers now.
    model: Callable[[], WaferModel]
    _thresholds: dict[tuple[Any, ...], float] = field(default_factory=dict, repr=False)

    @property
    def panes(self) -> int:
        """See `sparsewatch.transforms.window.measure.LookBack`."""
        return self.settings.windows + self.settings.history

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.LookBack`."""
        model, book = self.model(), self.book()
        look = look_over(pane, earlier, self.settings, model.space)
        known_wafers = KnownEmbeddings.of(model, look.level)
        standing = {p.id: p for p in book.patterns.values() if p.space == known_wafers.space}
        free, joining = _assign(look, standing, known_wafers)
        limit = self._threshold(look, known_wafers, pane.end_us - pane.start_us)
        changed: dict[str, Pattern] = {}
        for cluster in self._clusters(free, known_wafers, limit):
            members = [free.recent[i] for i in cluster.members.tolist()]
            where = Found(self.job, known_wafers.model, pane.start_us, cluster, limit)
            found = raise_pattern(where, members, known_wafers.whitening)
            same = _same(found, standing | changed, known_wafers)
            if same is None:
                changed[found.id] = found
            else:
                joining.setdefault(same, []).extend(members)
        for id_, wafers in joining.items():
            pattern = (standing | changed)[id_]
            grown = joined(pattern, wafers, known_wafers.whitening, pane.start_us)
            if grown is not pattern and book.status(id_) == "open":
                changed[id_] = grown
        # A window that is closed again after a crash raises the same alerts, with the same ids.
        raised = [p for p in (standing | changed).values() if p.raised_us == pane.start_us]
        raised = [p for p in raised if book.status(p.id) == "open" or p.id in changed]
        newest = self._newest(pane, earlier, model.space, look.level)
        return Conclusion(
            rows=look.recent_wafers,
            summary={
                "emerging": {
                    "wafers": look.recent_wafers,
                    "looking_novel": len(look.recent),
                    "of_no_pattern": len(free.recent),
                    "background": known_wafers.known.wafers + look.earlier_wafers,
                    "threshold": limit,
                    "open": _open(book, standing | changed),
                    "raised": [pattern.id for pattern in raised],
                    "other_spaces": len(book.patterns) - len(standing),
                }
            },
            findings=[
                *(emerging_finding(pattern) for pattern in raised),
                *self._going_on(newest, standing | changed, known_wafers, pane.start_us),
            ],
            metrics=_metrics(book, standing | changed, free),
            records=[pattern_record(self.topic, pattern) for pattern in changed.values()],
        )

    def _newest(self, pane: Pane, earlier: Sequence[Pane], space: str, level: float) -> Look:
        """A look at the few windows that tell whether a pattern still comes."""
        windows = min(_STILL_WINDOWS, self.settings.windows)
        settings = msgspec.structs.replace(self.settings, windows=windows)
        newest = look_over(pane, earlier[len(earlier) + 1 - windows :], settings, space)
        return replace(newest, recent=[wafer for wafer in newest.recent if wafer.p_value <= level])

    def _going_on(
        self, look: Look, patterns: Mapping[str, Pattern], known_wafers: KnownEmbeddings, start_us: int
    ) -> Iterator[Finding]:
        """Findings of open patterns that were raised before and still come more often than chance puts wafers there.

        Chance is that of the calibration wafers alone: the pattern's own earlier wafers do not make it usual.
        """
        known, book = known_wafers.known, self.book()
        old = [patterns[id_] for id_ in _open(book, patterns) if patterns[id_].raised_us < start_us]
        of_recent = np.array(_nearest(look.recent, old, known_wafers), np.int64)
        of_known = _places(known.embeddings, old, known_wafers)
        fresh = np.array([wafer.id in look.fresh for wafer in look.recent], np.bool_)
        for place, pattern in enumerate(old):
            own = of_recent == place
            if own.sum() >= self.settings.min_wafers and (own & fresh).any():
                odds = look.recent_wafers / known.wafers
                statistic = float(unlikeliness(int(own.sum()), int((of_known == place).sum()), odds))
                if statistic > _STILL:
                    yield emerging_finding(msgspec.structs.replace(pattern, statistic=statistic, threshold=_STILL))

    def close(self) -> None:
        """See `sparsewatch.transforms.window.measure.LookBack`."""
        self.book.close()

    def in_memory(self) -> LookBack:
        """See `sparsewatch.transforms.window.measure.KeepsRecords`."""
        return _RememberedPatterns(self.job, self.topic, self.settings, BookInMemory(), self.model)

    def _clusters(self, free: Look, known_wafers: KnownEmbeddings, limit: float) -> list[Cluster]:
        if not free.recent:
            return []
        lots = np.unique([wafer.lot for wafer in free.recent], return_inverse=True)[1]
        fresh = np.array([wafer.id in free.fresh for wafer in free.recent])
        sample = Sample(embeddings_of(free.recent) @ known_wafers.whitening, free.recent_wafers)
        known = known_wafers.known
        if free.earlier:
            before = embeddings_of(free.earlier) @ known_wafers.whitening
            known = Sample(np.concatenate([known.embeddings, before]), known.wafers)
        background = Sample(known.embeddings, known.wafers + free.earlier_wafers)
        rules = ClusterRules(threshold=limit, min_wafers=self.settings.min_wafers, min_lots=self.settings.min_lots)
        return find_clusters(Recent(sample, lots, fresh), background, rules)

    def _threshold(self, look: Look, known_wafers: KnownEmbeddings, length_us: int) -> float:
        """Threshold of the statistic; computed again when the numbers of wafers have changed by a fifth."""
        wafers = max(look.recent_wafers, self.settings.min_wafers)
        share = max(look.fresh_wafers, 1) / wafers
        steps = [int(np.ceil(np.log(number) / np.log(_STEP))) for number in (wafers, share)]
        key = (known_wafers.space, len(known_wafers.known.embeddings), *steps)
        if key not in self._thresholds:
            self._thresholds[key] = threshold(
                known_wafers.known,
                round(_STEP ** steps[0]),
                min(1.0, _STEP ** steps[1]),
                min(1.0, self.settings.of_patterns * length_us / DAY_US),
                self.settings.min_wafers,
                np.random.default_rng(_SEED),
            )
        return self._thresholds[key]


@dataclass
class _RememberedPatterns(PatternsView):
    """The same search, of which the patterns go to no topic."""

    book: BookInMemory

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.LookBack`."""
        whole = super().__call__(pane, earlier)
        for record in whole.records:
            self.book().take(record.key, record.value)
        return whole


def _assign(
    look: Look, standing: Mapping[str, Pattern], known_wafers: KnownEmbeddings
) -> tuple[Look, dict[str, list[NovelLooking]]]:
    """The wafers that belong to no pattern, and the fresh wafers of each pattern."""
    patterns = list(standing.values())
    of_recent, of_earlier = (_nearest(wafers, patterns, known_wafers) for wafers in (look.recent, look.earlier))
    joining: dict[str, list[NovelLooking]] = {}
    for wafer, place in zip(look.recent, of_recent, strict=True):
        if place >= 0 and wafer.id in look.fresh:
            joining.setdefault(patterns[place].id, []).append(wafer)
    free = replace(
        look,
        recent=[wafer for wafer, place in zip(look.recent, of_recent, strict=True) if place < 0],
        earlier=[wafer for wafer, place in zip(look.earlier, of_earlier, strict=True) if place < 0],
    )
    return free, joining


def _same(found: Pattern, others: Mapping[str, Pattern], known_wafers: KnownEmbeddings) -> str | None:
    """The pattern at whose place a cluster lies: a known pattern's wafers would spread over both."""
    patterns = list(others.values())
    if not patterns:
        return None
    centres = np.array([centre(pattern, known_wafers.whitening) for pattern in patterns])
    reach = np.full(len(patterns), widest(len(known_wafers.whitening)))
    [place] = nearest_of(centre(found, known_wafers.whitening)[None], centres, reach).tolist()
    return None if place < 0 else patterns[place].id


def _nearest(wafers: Sequence[NovelLooking], patterns: Sequence[Pattern], known_wafers: KnownEmbeddings) -> list[int]:
    """Place of the pattern that each wafer belongs to, -1 for none."""
    if not wafers or not patterns:
        return [-1] * len(wafers)
    nearest: list[int] = _places(embeddings_of(wafers) @ known_wafers.whitening, patterns, known_wafers).tolist()
    return nearest


def _places(white: Floats, patterns: Sequence[Pattern], known_wafers: KnownEmbeddings) -> NDArray[np.int64]:
    """Likewise, of embeddings after whitening, shape (n, d)."""
    centres = np.array([centre(pattern, known_wafers.whitening) for pattern in patterns])
    return nearest_of(white, centres, np.array([pattern.reach for pattern in patterns]))


def _open(book: PatternBook, patterns: Iterable[str]) -> list[str]:
    return sorted(id_ for id_ in patterns if book.status(id_) == "open" and book.root(id_) == id_)


def _metrics(book: PatternBook, patterns: Iterable[str], free: Look) -> list[MetricSample]:
    return [
        OPEN_PATTERNS.sample(len(_open(book, patterns))),
        UNEXPLAINED_WAFERS.sample(len(free.recent)),
    ]

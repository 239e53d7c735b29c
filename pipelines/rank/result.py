"""What `sparsewatch rank` found, whole: tables, files, pages and pictures are made of it."""

import msgspec

from sparsewatch.detectors.outrank.column_report import ColumnReport
from sparsewatch.detectors.outrank.feature_cost import FeatureCost
from sparsewatch.detectors.outrank.leakage import Suspicion
from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.detectors.outrank.pairs.twins import Twins
from sparsewatch.detectors.outrank.rank_drift import RankDrift
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature


class RankResult(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking and the other findings on its columns."""

    #: File or folder, as the user named it.
    source: str
    label: str
    heuristic: str
    #: Rows that were counted, and lines that could not be used, by reason.
    rows: int
    rejected: dict[str, int]
    #: Rows of the sample that the ranking is computed from; None if all rows were counted.
    sampled_rows: int | None
    #: Nats.
    label_entropy: float
    label_values: int
    #: Rows of its rarest value.
    rarest_label_rows: int
    #: Features and combinations (`a AND b`), best first.
    ranking: list[RankedFeature] | list[ScoredFeature]
    columns: list[ColumnReport]
    #: Redundancy of all pairs of columns, if requested.
    pairs: PairScores | None = None
    #: Scores of pairs of columns in nats, only for the files of the public tool.
    pair_scores: PairScores | None = None
    twins: list[Twins] = []
    leaks: list[Suspicion] = []
    #: Why leakage from other rows or the future could not be tested; None if it was, or was not requested.
    untold: str | None = None
    #: In the order of the ranking, without combinations.
    costs: list[FeatureCost] = []
    #: Change against another file.
    drift: RankDrift | None = None
    #: Seconds spent, by part.
    seconds: dict[str, float] = {}
    #: Settings of the command, for the record.
    arguments: dict[str, str] = {}

"""What `sparsewatch rank` found, whole: the one thing that tables, files, pages and pictures are made of."""

import msgspec

from sparsewatch.detectors.outrank.column_report import ColumnReport
from sparsewatch.detectors.outrank.feature_cost import FeatureCost
from sparsewatch.detectors.outrank.leakage import Suspicion
from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.detectors.outrank.pairs.twins import Twins
from sparsewatch.detectors.outrank.rank_drift import RankDrift
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature


class RankResult(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking and what else is known of its columns."""

    #: File or folder, as the user named it.
    source: str
    label: str
    heuristic: str
    #: Rows that were counted, and lines that could not be used, by reason.
    rows: int
    rejected: dict[str, int]
    #: Rows the ranking rests on where it was made from a sample; None where all rows were counted.
    sampled_rows: int | None
    #: Nats.
    label_entropy: float
    label_values: int
    #: Rows of its rarest value.
    rarest_label_rows: int
    #: Features and combinations (`a AND b`), best first.
    ranking: list[RankedFeature] | list[ScoredFeature]
    columns: list[ColumnReport]
    #: Redundancy of all pairs of columns, where it was asked for.
    pairs: PairScores | None = None
    #: Scores of pairs of columns in nats, for the files of the public tool alone.
    pair_scores: PairScores | None = None
    twins: list[Twins] = []
    leaks: list[Suspicion] = []
    #: Why features that know other rows or the future could not be looked for; None if they were, or nobody asked.
    untold: str | None = None
    #: In the order of the ranking, without combinations.
    costs: list[FeatureCost] = []
    #: Change against another file.
    drift: RankDrift | None = None
    #: Seconds spent, by part.
    seconds: dict[str, float] = {}
    #: Settings of the command, for the record.
    arguments: dict[str, str] = {}

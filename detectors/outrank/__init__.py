"""Cardinality-aware feature ranking by mutual information with a label, and what goes with it.

After OutRank (Škrlj and Mramor, RecSys 2023, arXiv 2309.01552): the score of a feature is its mutual information with
the label less what a feature of the same cardinality would have by chance. The chance part is computed exactly from
counts, so the score depends neither on the order of rows nor on a random generator. Scores are in nats unless a
heuristic says otherwise; higher is more relevant, rank 1 is best.

A column is `Codes` (`encode`); `score` takes two of them, `rank_codes` a table of them, `rank_features` the counts of a
stream. Names are loaded when they are first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from sparsewatch.lazy_names import lazy_names

if TYPE_CHECKING:
    from sparsewatch.detectors.outrank.column_report import ColumnReport as ColumnReport
    from sparsewatch.detectors.outrank.column_report import report_columns as report_columns
    from sparsewatch.detectors.outrank.columns.codes import Codes as Codes
    from sparsewatch.detectors.outrank.columns.codes import combine as combine
    from sparsewatch.detectors.outrank.columns.codes import encode as encode
    from sparsewatch.detectors.outrank.columns.codes import encode_as_text as encode_as_text
    from sparsewatch.detectors.outrank.columns.interactions import interaction_columns as interaction_columns
    from sparsewatch.detectors.outrank.columns.interactions import interaction_names as interaction_names
    from sparsewatch.detectors.outrank.columns.quantile_bins import CodedColumn as CodedColumn
    from sparsewatch.detectors.outrank.columns.quantile_bins import code_column as code_column
    from sparsewatch.detectors.outrank.feature_cost import ColumnSize as ColumnSize
    from sparsewatch.detectors.outrank.feature_cost import FeatureCost as FeatureCost
    from sparsewatch.detectors.outrank.feature_cost import column_sizes as column_sizes
    from sparsewatch.detectors.outrank.feature_cost import feature_costs as feature_costs
    from sparsewatch.detectors.outrank.heuristics import DEFAULT_HEURISTIC as DEFAULT_HEURISTIC
    from sparsewatch.detectors.outrank.heuristics import HEURISTICS as HEURISTICS
    from sparsewatch.detectors.outrank.heuristics import score as score
    from sparsewatch.detectors.outrank.information.adjusted_mi import (
        adjusted_mutual_information as adjusted_mutual_information,
    )
    from sparsewatch.detectors.outrank.information.adjusted_mi import (
        codes_mutual_information as codes_mutual_information,
    )
    from sparsewatch.detectors.outrank.information.adjusted_mi import net_mutual_information as net_mutual_information
    from sparsewatch.detectors.outrank.information.mutual_information import entropy as entropy
    from sparsewatch.detectors.outrank.information.mutual_information import (
        expected_mutual_information as expected_mutual_information,
    )
    from sparsewatch.detectors.outrank.information.shifted_mi import (
        shifted_mutual_information as shifted_mutual_information,
    )
    from sparsewatch.detectors.outrank.leak_settings import LeakSettings as LeakSettings
    from sparsewatch.detectors.outrank.leakage import LeakReport as LeakReport
    from sparsewatch.detectors.outrank.leakage import Suspicion as Suspicion
    from sparsewatch.detectors.outrank.leakage import suspect_leaks as suspect_leaks
    from sparsewatch.detectors.outrank.pairs.pairwise import PairScores as PairScores
    from sparsewatch.detectors.outrank.pairs.pairwise import pairwise_scores as pairwise_scores
    from sparsewatch.detectors.outrank.pairs.three_mr import RankedStep as RankedStep
    from sparsewatch.detectors.outrank.pairs.three_mr import rank_three_mr as rank_three_mr
    from sparsewatch.detectors.outrank.pairs.twins import Twins as Twins
    from sparsewatch.detectors.outrank.pairs.twins import find_twins as find_twins
    from sparsewatch.detectors.outrank.rank_drift import FeatureDrift as FeatureDrift
    from sparsewatch.detectors.outrank.rank_drift import RankDrift as RankDrift
    from sparsewatch.detectors.outrank.rank_drift import compare_rankings as compare_rankings
    from sparsewatch.detectors.outrank.rank_drift import rank_biased_overlap as rank_biased_overlap
    from sparsewatch.detectors.outrank.ranking import RankedFeature as RankedFeature
    from sparsewatch.detectors.outrank.ranking import ScoredFeature as ScoredFeature
    from sparsewatch.detectors.outrank.ranking import rank_codes as rank_codes
    from sparsewatch.detectors.outrank.ranking import rank_features as rank_features
    from sparsewatch.detectors.outrank.selector import OutRankSelector as OutRankSelector
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__, __file__)

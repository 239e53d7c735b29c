"""What a logistic regression makes of chosen features, on real data sets.

Features are chosen on half of the rows by our score, alone and less redundancy (3MR), by the importance of a random
forest and by `mutual_info_classif`; the last two are scikit-learn's, on the same integer codes. The model learns from
one-hot values of the best 5, the best 10 and all features of that half, and is judged on the other. Values it has not
seen have no effect. Halves are the earlier and the later half where rows have a time, else random halves, several
times.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from benchmarks.harness import Result, Rounds
from sparsewatch.detectors.outrank.columns.codes import Codes, encode
from sparsewatch.detectors.outrank.pairs.pairwise import pairwise_scores
from sparsewatch.detectors.outrank.pairs.three_mr import min_max, rank_three_mr
from sparsewatch.detectors.outrank.ranking import rank_codes

#: The column of time, where rows have a time, by data set.
DATA_SETS: dict[str, str | None] = {
    "census_income": None,
    "bank": None,
    "amazon_access": None,
    "avazu": "hour",
    "criteo": None,
    "talkingdata": "click_time",
}
#: Left out, since it is known only together with the label.
LEAKS = ("attributed_time",)
LABEL = "label"
KS = (5, 10)
#: Random halves of a data set without time.
SPLITS = 5
#: Rows drawn of a larger set, so that all models fit in minutes.
MOST_ROWS = 100_000
TREES = 100

Order = NDArray[np.int64]


class Halves(NamedTuple):
    """A data set as codes, split in two."""

    features: list[str]
    #: Shape (n_rows, n_features).
    train: NDArray[np.int32]
    train_labels: NDArray[np.int32]
    test: NDArray[np.int32]
    test_labels: NDArray[np.int32]


class Judged(NamedTuple):
    """Figures of a model on the rows it has not seen, and its features."""

    auc: float
    log_loss: float
    features: frozenset[str]


class Chosen(NamedTuple):
    """Result of a selection: models by number of features, and seconds to choose."""

    models: dict[int, Judged]
    seconds: float


def halves(rows: pl.DataFrame, time_column: str | None, seed: int) -> Halves:
    """Split a table by time, or at random."""
    order = np.random.default_rng(seed).permutation(rows.height)[:MOST_ROWS]
    rows = rows[order] if time_column is None else rows[np.sort(order)].sort(time_column, maintain_order=True)
    features = [name for name in rows.columns if name not in (LABEL, *LEAKS)]
    codes = np.stack([encode(rows[name]).codes for name in features], axis=1)
    labels = rows[LABEL].to_numpy().astype(np.int32)
    middle = rows.height // 2
    return Halves(features, codes[:middle], labels[:middle], codes[middle:], labels[middle:])


def by_score(data: Halves) -> Order:
    """Our ranking: mutual information less its chance level."""
    return np.array(list(_scores(data)))


def by_three_mr(data: Halves) -> Order:
    """Our scores, each less its median redundancy with the features before it."""
    redundancy = pairwise_scores({str(i): _codes(column) for i, column in enumerate(data.train.T)})
    pairs = combinations(enumerate(redundancy.names), 2)
    redundant = {(a, b): float(redundancy.matrix[i, j]) for (i, a), (j, b) in pairs}
    relevance = {str(i): score for i, score in _scores(data).items()}
    return np.array([int(step.feature) for step in rank_three_mr(min_max(relevance), redundant, {})])


def by_forest(data: Halves) -> Order:
    """Importance in a random forest on the codes."""
    forest = RandomForestClassifier(TREES, n_jobs=-1, random_state=0).fit(data.train, data.train_labels)
    return np.argsort(-forest.feature_importances_, kind="stable")


def by_mutual_information(data: Halves) -> Order:
    """scikit-learn's mutual information, of codes."""
    return np.argsort(-mutual_info_classif(data.train, data.train_labels, discrete_features=True), kind="stable")


#: What our score is compared with, by the end of a result's name.
PEERS: dict[str, tuple[str, Callable[[Halves], Order]]] = {
    "three_mr": ("ours less redundancy", by_three_mr),
    "forest": ("random forest importance", by_forest),
    "plain_mi": ("mutual_info_classif", by_mutual_information),
}


def judge(data: Halves, chosen: Order) -> Judged:
    """A logistic regression with the features of these positions, in whatever order."""
    chosen = np.sort(chosen)
    encoder = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    model = LogisticRegression(max_iter=1_000).fit(encoder.fit_transform(data.train[:, chosen]), data.train_labels)
    chance = model.predict_proba(encoder.transform(data.test[:, chosen]))[:, 1]
    return Judged(
        auc=float(roc_auc_score(data.test_labels, chance)),
        log_loss=float(log_loss(data.test_labels, chance)),
        features=frozenset(data.features[i] for i in chosen),
    )


def bench_downstream(name: str, rows: pl.DataFrame) -> Iterator[Result]:
    """AUC with our selection beside each other selection, with all features, and the seconds of each selection."""
    by_time = DATA_SETS[name]
    splits = [halves(rows, by_time, seed) for seed in range(1 if by_time else SPLITS)]
    ours = [_choose(data, by_score) for data in splits]
    for end, (peer, by) in PEERS.items():
        theirs = [_choose(data, by) for data in splits]
        for k in ours[0].models:
            pair = [(own.models[k], other.models[k]) for own, other in zip(ours, theirs, strict=True)]
            yield _compared(f"{name}_best_{k}_{end}", pair, peer)
        seconds = [Rounds([each.seconds for each in side]) for side in (ours, theirs)]
        yield _beside(f"{name}_seconds_{end}", seconds[0], "s to choose", peer, seconds[1], "")
    whole = [judge(data, np.arange(len(data.features))) for data in splits]
    split = f"by {by_time}" if by_time else f"at random, {SPLITS} times"
    note = (
        f"{len(splits[0].features)} features, {len(splits[0].train_labels):,} rows to learn from, split {split}; "
        f"log loss {np.mean([each.log_loss for each in whole]):.4f}."
    )
    auc = Rounds([each.auc for each in whole])
    yield Result(name=f"{name}_all", value=auc.median, unit="AUC", spread=_spread(auc), note=note)


def _choose(data: Halves, by: Callable[[Halves], Order]) -> Chosen:
    started = time.perf_counter()
    order = by(data)
    taken = time.perf_counter() - started
    return Chosen({k: judge(data, order[:k]) for k in KS if k < len(data.features)}, taken)


def _compared(name: str, splits: Sequence[tuple[Judged, Judged]], peer: str) -> Result:
    """The middle of the splits on both sides, how often ours was ahead, and where they differ in the first split."""
    ours, theirs = (Rounds([each.auc for each in side]) for side in zip(*splits, strict=True))
    ahead = sum(own.auc > other.auc for own, other in splits)
    behind = sum(own.auc < other.auc for own, other in splits)
    losses = " against ".join(f"{np.mean([each.log_loss for each in side]):.4f}" for side in zip(*splits, strict=True))
    own, other = (each.features for each in splits[0])
    differ = (
        f"only ours chose {_list(own - other)}, only the peer {_list(other - own)}" if own != other else "same features"
    )
    return _beside(
        name,
        ours,
        "AUC",
        peer,
        theirs,
        f"Ahead in {ahead}, behind in {behind} of {len(splits)}; log loss {losses}; {differ}.",
    )


def _beside(name: str, ours: Rounds, unit: str, peer: str, theirs: Rounds, note: str) -> Result:
    return Result(
        name=name,
        value=ours.median,
        unit=unit,
        peer=peer,
        peer_value=theirs.median,
        ratio=ours.median / theirs.median,
        spread=_spread(ours),
        note=note,
    )


def _spread(rounds: Rounds) -> tuple[float, float] | None:
    return rounds.spread if len(rounds.values) > 1 else None


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _scores(data: Halves) -> dict[int, float]:
    """Our score of each feature by its position, best first."""
    columns = {str(i): _codes(column) for i, column in enumerate(data.train.T)}
    return {int(found.feature): found.score for found in rank_codes(columns, _codes(data.train_labels))}


def _codes(column: NDArray[np.int32]) -> Codes:
    return Codes(column, int(column.max()) + 1)

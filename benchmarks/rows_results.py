"""Figures of `benchmarks.rows`, as boards and as results with a target or a peer."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from benchmarks.harness import Result, cost, rate
from benchmarks.rows_figures import Board, board
from benchmarks.rows_labelled import NETWORKS
from benchmarks.rows_peers import PEERS
from benchmarks.rows_protocol import Measurement, halves, set_names
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS

#: Rows of the labelled table that choose among others of it by the validation AUC.
BEST_METHOD, BEST_NETWORK = "best method by validation", "best network by validation"


def label_free(measurements: Iterable[Measurement], figure: str = "auc") -> Board:
    """Board of the methods and peers that exist now."""
    known = {*METHODS, *PEERS}
    return board((entry for entry in measurements if entry.protocol == "label-free" and entry.method in known), figure)


def labelled(measurements: Iterable[Measurement], figure: str = "auc") -> Board:
    """Board of the labelled protocol, with the rows that choose among others."""
    by_set: dict[str, list[Measurement]] = {}
    for entry in measurements:
        if entry.protocol == "labelled":
            by_set.setdefault(entry.set, []).append(entry)
    chosen = [choice for entries in by_set.values() for choice in _choices(entries)]
    return board([*(entry for entries in by_set.values() for entry in entries), *chosen], figure)


def _choices(entries: Sequence[Measurement]) -> Iterator[Measurement]:
    """The rows of a set that a user would choose by the validation AUC."""
    for name, of_network in ((BEST_METHOD, False), (BEST_NETWORK, True)):
        rows = [figures for e in entries if (e.method in NETWORKS) == of_network for figures in e.rows.values()]
        if rows:
            best = max(rows, key=lambda figures: float(figures["validation_auc"]))
            first = entries[0]
            yield Measurement(
                protocol=first.protocol,
                set=first.set,
                seed=first.seed,
                method=name,
                rows={name: best},
                seconds=0.0,
                machine=first.machine,
                date=first.date,
                command=first.command,
            )


def results_of(measurements: Iterable[Measurement]) -> list[Result]:
    """The figures with a target or a peer; none before the default was measured beside all peers."""
    measurements = list(measurements)
    aucs, precisions = label_free(measurements), label_free(measurements, "ap")
    if not aucs.sets or DEFAULT not in aucs.methods or not set(PEERS) <= set(aucs.methods):
        return []
    results = [
        _beside_best("default_auc", aucs, "ROC AUC"),
        _beside_best("default_ap", precisions, "average precision"),
    ]
    results += [
        rate(f"default_auc_beside_{detector}", aucs.means[DEFAULT], "mean ROC AUC", **_peer(peer, aucs.means[peer]))
        for peer, detector in PEERS.items()
    ]
    for name, sets in zip(("chosen_on", "other"), halves(set_names()), strict=True):
        if (half := aucs.only(sets)).sets:
            results.append(_beside_best(f"default_auc_half_{name}", half, "ROC AUC"))
    ranks = aucs.mean_ranks
    results.append(cost("default_mean_rank", ranks[DEFAULT], f"of {len(ranks)} methods, by ROC AUC", note=_ranks(aucs)))
    taken = seconds_taken(measurements).means
    slowest = max(PEERS, key=lambda peer: taken[peer])
    results.append(
        rate(
            "default_seconds",
            taken[DEFAULT],
            "mean seconds a set to fit and score",
            peer=slowest,
            peer_value=taken[slowest],
            note="less is better; the slowest peer",
        )
    )
    return results + _labelled_results(labelled(measurements))


def _labelled_results(aucs: Board) -> list[Result]:
    if not aucs.sets or not {BEST_METHOD, BEST_NETWORK, DEFAULT} <= set(aucs.methods):
        return []
    peer = _peer(BEST_METHOD, aucs.means[BEST_METHOD], target=False)
    note = f"labels of a quarter of the rows choose; {len(aucs.sets)} sets"
    return [
        rate("labelled_auc_best_network", aucs.means[BEST_NETWORK], "mean ROC AUC", note=note, **peer),
        rate("labelled_auc_default", aucs.means[DEFAULT], "mean ROC AUC", note=note, **peer),
    ]


def _beside_best(name: str, values: Board, what: str) -> Result:
    """The default beside the peer with the best mean."""
    best = max(PEERS, key=lambda peer: values.means[peer])
    note = f"label-free; mean ranks: {_ranks(values)}"
    unit = f"mean {what} of {len(values.sets)} sets"
    return rate(name, values.means[DEFAULT], unit, note=note, **_peer(best, values.means[best]))


def _peer(name: str, value: float, *, target: bool = True) -> dict[str, Any]:
    return {"peer": name, "peer_value": value, "target": value if target else None}


def _ranks(values: Board) -> str:
    ranks = values.mean_ranks
    return ", ".join(f"{name} {ranks[name]:.2f}" for name in (DEFAULT, *PEERS))


def seconds_taken(measurements: Sequence[Measurement]) -> Board:
    """Seconds to fit and to score, together."""
    fits, scores = label_free(measurements, "fit_seconds"), label_free(measurements, "score_seconds")
    return Board(fits.sets, fits.methods, fits.values + scores.values)

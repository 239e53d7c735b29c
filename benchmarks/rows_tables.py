"""Figures of `benchmarks.rows`, as the page `docs/rows-benchmark.md`."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.harness import number
from benchmarks.rows_figures import TIE, Board, compare
from benchmarks.rows_labelled import NETWORKS, STEPS, TRAINING_SECONDS
from benchmarks.rows_peers import PEERS
from benchmarks.rows_protocol import MOST_ROWS, Measurement, halves, set_names, set_shape
from benchmarks.rows_results import BEST_METHOD, BEST_NETWORK, label_free, labelled, seconds_taken
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS

#: From here on a difference may be chance.
_LEVEL = 0.05
PAGE = Path(__file__).resolve().parent.parent / "docs" / "rows-benchmark.md"


def write_tables(measurements: Iterable[Measurement], path: Path = PAGE) -> None:
    """Write the page from the measurements there are."""
    measurements = sorted(measurements, key=lambda entry: entry.date)
    parts = [_INTRODUCTION.format(most=MOST_ROWS), _circumstances(measurements)]
    if label_free(measurements).sets:
        parts += _label_free_part(measurements)
    if labelled(measurements).sets:
        parts += _labelled_part(measurements)
    path.write_text("\n".join(parts), encoding="utf-8")


def missing(measurements: Iterable[Measurement], path: Path = PAGE) -> list[str]:
    """Methods, sets and protocols that the page shows and the measurements lack: written now, it would lose them."""
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    known = {*METHODS, *PEERS, *set_names()}
    shown = {*re.findall(r"^\| \**([^|*]+?)\** \|", page, flags=re.MULTILINE)} & known
    headings = {"label-free": "## Without labels\n", "labelled": "## With labels\n"}
    shown |= {protocol for protocol, heading in headings.items() if heading in page}
    return sorted(shown - {name for entry in measurements for name in (entry.method, entry.set, entry.protocol)})


_INTRODUCTION = """# Row anomalies on public data: the benchmark

Written by `make bench-rows`. The sets are 29 of ADBench's classical ones (Han et al., NeurIPS 2022); the protocols
are in `benchmarks/rows_protocol.py` and `benchmarks/rows_labelled.py`. Normal rows and outliers are permuted
separately and cut 50 % train, 25 % validation, 25 % test. Sets of more than {most:,} rows are first sampled to that
many, normal rows and outliers in proportion, so that a set with few outliers leaves an outlier for the test part;
ADBench samples all rows alike, to 10,000. All methods get the same rows. No figure is taken from a paper.
"""

_LABEL_FREE = """## Without labels

Every method at its defaults, fitted on train and validation rows, outliers included and their labels unseen, judged on
the test rows; a set's figure is the mean over the seeds, each with a split of its own. PyOD's detectors, at its
defaults, run in an environment of their own on the same rows, z-scored by the fitted part (its autoencoder scales them
once more itself). Our methods get the rows as their encoder makes them.
"""

_HALVES = """### The half it was chosen on, and the other

The default was chosen by its mean ROC AUC on the first half: every second set in the order of the sorted file names,
without 17_InternetAds. The second half, with that set, had no part in it.
"""

_LABELLED = """## With labels

Labels of the validation part choose, on one split per set (seed 42). The autoencoders follow their authors' protocol:
trained on train and validation rows, the validation AUC chooses the epoch, k and one of five seeds; {steps} steps of
up to 2,048 rows (the authors: 5,000, of all rows), evaluated every 20 steps, k of 2, 3, 5, 10, 20, 40, 65 and 100,
and at most {seconds:.0f} s of training per network and set. The other methods choose settings, and one of five seeds
where they are random, by the validation AUC of a fit on the training rows, and are fitted again on both parts.
`{method}` takes the method among them with the best validation AUC, `{network}` the best of the networks and targets,
whose validation rows were trained on. `none` compares with the row itself, `mss1` to `mss3` with the row shifted so
many times.
"""


def _circumstances(measurements: Sequence[Measurement]) -> str:
    """Machines, dates and commands."""
    groups: dict[tuple[str, int, str], list[Measurement]] = {}
    for entry in measurements:
        groups.setdefault((entry.machine.cpu, entry.machine.cores, entry.command), []).append(entry)
    lines = [
        f"- {_dates(entries)}, {cpu}, {cores} cores, `{command}`: "
        f"{len(entries)} measurements, {sum(entry.seconds for entry in entries) / 60:.0f} min"
        for (cpu, cores, command), entries in groups.items()
    ]
    return "\n".join(["Measured:\n", *lines, ""])


def _dates(entries: Sequence[Measurement]) -> str:
    """From the first to the last, which come in this order."""
    return " to ".join(dict.fromkeys(f"{entries[i].date:%Y-%m-%d}" for i in (0, -1)))


def _seeds(measurements: Sequence[Measurement], sets: Sequence[str]) -> str:
    """Number of seeds, and the methods and sets with fewer."""
    counts = Counter((e.set, e.method) for e in measurements if e.protocol == "label-free" and e.set in sets)
    most = max(counts.values())
    fewer = [f"{method} on {name} {n}" for (name, method), n in sorted(counts.items()) if n < most]
    return f"{most} seeds a set" + (f" ({', '.join(fewer)})" if fewer else "")


def _label_free_part(measurements: Sequence[Measurement]) -> Iterator[str]:
    aucs, precisions, seconds = label_free(measurements), label_free(measurements, "ap"), seconds_taken(measurements)
    yield _LABEL_FREE
    of = f"{len(aucs.sets)} of {len(set_names())} sets, {_seeds(measurements, aucs.sets)}"
    yield f"{of}. Seconds are means over the sets, on one core.\n"
    fits, scores = label_free(measurements, "fit_seconds"), label_free(measurements, "score_seconds")
    yield _summary(aucs, precisions, {"seconds to fit": fits, "to score": scores})
    if DEFAULT in aucs.methods:
        yield _standing(aucs, precisions)
        yield f"### `{DEFAULT}`, the default, against each other method\n"
        yield f"Wilcoxon signed-rank test over the sets' mean AUCs, two-sided; a tie is within {TIE}.\n"
        yield _comparisons(aucs)
    yield _HALVES
    yield _halves_table(aucs)
    yield "### ROC AUC by set\n"
    yield _by_set(aucs)
    yield "### Average precision by set\n"
    yield _by_set(precisions)
    yield "### Seconds to fit and score, by set\n"
    yield _by_set(seconds, digits=2, best=False)
    yield "### The sets\n"
    yield _sets(measurements)


def _labelled_part(measurements: Sequence[Measurement]) -> Iterator[str]:
    aucs, precisions = labelled(measurements), labelled(measurements, "ap")
    yield _LABELLED.format(steps=STEPS, seconds=TRAINING_SECONDS, method=BEST_METHOD, network=BEST_NETWORK)
    yield f"{len(aucs.sets)} of {len(set_names())} sets.\n"
    yield _summary(aucs, precisions, {})
    if BEST_METHOD in aucs.methods:
        yield f"### `{BEST_METHOD}` against each other method\n"
        yield _comparisons(aucs, BEST_METHOD)
    yield "### ROC AUC by set, chosen by labels\n"
    yield _by_set(aucs)
    yield "### Average precision by set, chosen by labels\n"
    yield _by_set(precisions)
    yield "### What the labels chose for the networks\n"
    yield "k and seed; in brackets the mean test AUC of the five seeds, each at the epoch that the labels chose.\n"
    yield _chosen(measurements)


def _summary(aucs: Board, precisions: Board, more: Mapping[str, Board]) -> str:
    """Means and mean ranks, the best first."""
    headings = ("method", "mean AUC", "mean rank", "mean AP", "mean rank by AP", *more)
    ranks, ap_ranks = aucs.mean_ranks, precisions.mean_ranks
    extra = [values.means for values in more.values()]
    rows = [
        (
            _name(method),
            f"{mean:.4f}",
            f"{ranks[method]:.2f}",
            f"{precisions.means[method]:.4f}",
            f"{ap_ranks[method]:.2f}",
            *(f"{seconds[method]:.2f}" for seconds in extra),
        )
        for method, mean in aucs.means.items()
    ]
    return table(headings, rows)


def _standing(aucs: Board, precisions: Board) -> str:
    """Where the default is ahead, where not, and where its lead may be chance."""
    chosen_on, other = (aucs.only(sets) for sets in halves(set_names()))
    means = {
        "Mean AUC": aucs.means,
        "Mean AUC on the half it was chosen on": chosen_on.means if chosen_on.sets else {},
        "Mean AUC on the other half": other.means if other.sets else {},
        "Mean AP": precisions.means,
        "Mean rank by AUC": {name: -rank for name, rank in aucs.mean_ranks.items()},
    }
    lines = [f"- {figure}: {_ahead_of_default(of)}." for figure, of in means.items() if of]
    found = compare(aucs, DEFAULT)
    counts = [f"{found[peer].losses} to {peer}" for peer in PEERS if peer in found]
    lines.append(f"- Sets of {len(aucs.sets)} that it loses: {', '.join(counts) or 'no peer was measured'}.")
    unclear = [name for name, c in found.items() if c.mean_difference > 0 and c.p_corrected >= _LEVEL]
    lines.append(f"- Leads that may be chance, corrected p from {_LEVEL}: {', '.join(unclear) or 'none'}.")
    return "\n".join([f"Where `{DEFAULT}` stands:\n", *lines, ""])


def _ahead_of_default(figures: Mapping[str, float]) -> str:
    ahead = [name for name, figure in figures.items() if figure > figures[DEFAULT]]
    return f"behind {', '.join(ahead)}" if ahead else "ahead of all"


def _comparisons(aucs: Board, method: str = DEFAULT) -> str:
    headings = ("other", "mean difference", "wins", "losses", "ties", "p", "p, Holm")
    rows = [
        (
            other,
            f"{found.mean_difference:+.4f}",
            *(str(count) for count in (found.wins, found.losses, found.ties)),
            _p(found.p),
            _p(found.p_corrected),
        )
        for other, found in sorted(compare(aucs, method).items(), key=lambda item: item[1].mean_difference)
    ]
    return table(headings, rows)


def _halves_table(aucs: Board) -> str:
    """Mean AUC of both halves, and the default's lead."""
    parts = [half for sets in halves(set_names()) if (half := aucs.only(sets)).sets]
    headings = ["method"]
    for half, name in zip(parts, ("chosen on", "other half"), strict=False):
        headings += [f"{name}, {len(half.sets)} sets", "mean rank"]
        if DEFAULT in aucs.methods:
            headings.append(f"{DEFAULT}'s lead")
    rows = []
    for method in aucs.means:
        row = [_name(method)]
        for half in parts:
            row += [f"{half.means[method]:.4f}", f"{half.mean_ranks[method]:.2f}"]
            if DEFAULT in aucs.methods:
                row.append(f"{half.means[DEFAULT] - half.means[method]:+.4f}" if method != DEFAULT else "")
        rows.append(row)
    return table(headings, rows)


def _by_set(values: Board, *, digits: int = 3, best: bool = True) -> str:
    """Sets by methods, the best of a set in bold; the mean last."""
    rows = []
    for name, row in zip([*values.sets, "mean"], [*values.values, values.values.mean(axis=0)], strict=True):
        texts = [f"{value:.{digits}f}" for value in row]
        top = max(texts, key=float)
        rows.append([name, *(f"**{text}**" if best and text == top else text for text in texts)])
    return table(("set", *values.methods), rows)


def _sets(measurements: Sequence[Measurement]) -> str:
    """Sizes; of the test part where it was measured."""
    judged = {e.set: next(iter(e.rows.values())) for e in measurements if e.protocol == "label-free"}
    rows = []
    for name in sorted(judged, key=lambda name: f"{name}.npz"):
        n, d = set_shape(name)
        figures = judged[name]
        sizes = (n, min(n, MOST_ROWS), d, figures["rows"], figures["outliers"])
        rows.append([name, *map(number, sizes)])
    return table(("set", "rows", "used", "columns", "test rows", "test outliers"), rows)


def _chosen(measurements: Sequence[Measurement]) -> str:
    found: dict[str, dict[str, str]] = {}
    for entry in measurements:
        if entry.protocol == "labelled" and entry.method in NETWORKS:
            for row, figures in entry.rows.items():
                chosen = figures["chosen"]
                text = f"{chosen['k']}, {chosen['seed']} ({figures['mean_auc']:.3f})"
                found.setdefault(entry.set, {})[row] = text
    names = list(dict.fromkeys(row for rows in found.values() for row in rows))
    sets = sorted(found, key=lambda name: f"{name}.npz")
    return table(("set", *names), [[name, *(found[name].get(row, "") for row in names)] for name in sets])


def _name(method: str) -> str:
    return f"**{method}**" if method == DEFAULT else method


def _p(value: float) -> str:
    return f"{value:.1e}" if value < 0.001 else f"{value:.3f}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; all but the first column to the right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

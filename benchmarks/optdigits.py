"""Optdigits by the authors' protocol of arXiv 2304.00709: 20 seeds, 5,000 epochs, on one thread.

The only result in the authors' public code (2023-04): ROC AUC 0.93606 without shift, 0.99355, 0.99283 and 0.99189 with
one to three, with the k given there (65, 40, 88). The network is trained with these k; the k that our own
search over a coarse grid chooses, and its AUC, is measured with `--search`. The figure of the protocol is that of a
single seed, chosen with labels; the mean over seeds stands beside it. Data: folder SPARSEWATCH_DATA.
"""

import time

import click

from benchmarks.apre_labelled import LabelledSettings, TargetResult, labelled_protocol
from benchmarks.harness import Result, rate, write_results
from benchmarks.rows_protocol import read_set

DATA_SET = "26_optdigits"
#: Of the authors' result files: k of one, two and three shifts, and the AUC of each.
KNOWN_KS = (65, 40, 88)
PUBLISHED = {"none": 0.93606, "mss1": 0.99355, "mss2": 0.99283, "mss3": 0.99189}
#: Least AUC; without shift it is to be within 0.02 of the published AUC.
TARGETS = {"none": 0.91606, "mss1": 0.98, "mss2": 0.98, "mss3": 0.98}
_AUTHORS = "the authors' result file"
WORDS = {"none": "no shift", "mss1": "1 shift", "mss2": "2 shifts", "mss3": "3 shifts"}


def measure(settings: LabelledSettings) -> dict[str, TargetResult]:
    """Run the protocol with its progress on standard error."""
    data, start = read_set(DATA_SET), time.perf_counter()

    def show(done: int, total: int, of: str) -> None:
        click.echo(f"training {done + 1} of {total}, {of}, after {time.perf_counter() - start:,.0f} s", err=True)

    return labelled_protocol(data.X, data.outlier, settings, report=show)


def results(found: dict[str, TargetResult], settings: LabelledSettings) -> list[Result]:
    """The AUC of the chosen seed of each target, and the mean of all seeds; no shift has no k to search."""
    of = "k searched" if not settings.known_ks else "k of the authors"
    rows = []
    for name, target in found.items():
        if not target.shifts and not settings.known_ks:
            continue
        words = WORDS[name] + (f", {of}: {target.k}" if target.shifts else "")
        spread = f"mean of {len(target.aucs)} seeds {target.mean:.4f}, sd {target.sd:.4f}"
        note = f"seed {target.seed}, validation {target.valid_auc:.4f}; {spread}"
        auc = rate(
            words, target.auc, "ROC AUC", peer=_AUTHORS, peer_value=PUBLISHED[name], target=TARGETS[name], note=note
        )
        rows += [auc, rate(f"{words}; average precision", target.average_precision, "AP", note=f"seed {target.seed}")]
    return rows


@click.command(help=__doc__)
@click.option("--epochs", default=5000, show_default=True, help="Full-batch epochs of a training.")
@click.option("--seeds", default=20, show_default=True, help="Trainings that validation chooses from.")
@click.option("--look-every", default=1, show_default=True, help="Epochs between two looks at the validation AUC.")
@click.option("--search", is_flag=True, help="Search k, with five more trainings, in place of the authors' k.")
def main(epochs: int, seeds: int, look_every: int, search: bool) -> None:
    """Measure, print and write the results."""
    known = () if search else KNOWN_KS
    settings = LabelledSettings(epochs=epochs, seeds=tuple(range(seeds)), look_every=look_every, known_ks=known)
    write_results("optdigits", results(measure(settings), settings), keep_others=True)


if __name__ == "__main__":
    main()

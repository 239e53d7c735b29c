"""Open-set recognition of real die maps, one class withheld: `python -m benchmarks.wafer_real`.

Trains on about 70 % of the lots of `wafers/wm811k_dev_small.npz` (folder: SPARSEWATCH_DATA), the withheld class
left out, and judges the wafers of the other lots: macro-F1 over the known classes, AUROC of the novelty
score for the withheld class against the known ones.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from benchmarks.harness import rate, write_results
from detectors.sparse_net.train import Epoch, TrainConfig
from detectors.wafer_training import WaferTrainingConfig, lot_places, train_wafer_model
from pipelines.wafer_files import read_wafer_npz, select_wafers

#: Share of the lots that training sees.
TRAIN_SHARE = 0.7
#: Apart from the seeds of training: the test lots stay the same whatever the model's seed.
SPLIT_SEED = 811


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a model reached on wafers of lots that training has not seen."""

    macro_f1: float
    auroc: float
    #: Share of known wafers called novel, and of withheld ones.
    false_novel: float
    true_novel: float
    test_known: int
    test_withheld: int
    train_seconds: float


def measure(data: Path, withheld: str, config: TrainConfig, report: bool = True) -> Outcome:
    """Train without a class and judge the test lots."""
    wafers = read_wafer_npz(data)
    tested = lot_places(wafers.rows["lot"].to_pylist(), SPLIT_SEED) >= TRAIN_SHARE
    names = np.array(wafers.labels)
    learned = select_wafers(wafers, np.flatnonzero(~tested & (names != withheld)))
    started = time.perf_counter()

    def show(epoch: Epoch) -> bool:
        if report:
            print(
                f"epoch {epoch.number:3d}  loss {epoch.loss:.3f}  validation macro-F1 "
                f"{epoch.macro_f1:.3f}  {time.perf_counter() - started:5.0f} s",
                flush=True,
            )
        return True

    settings = WaferTrainingConfig(train_share=0.8, validation_share=0.05, train=config)
    model, _ = train_wafer_model(learned.rows, learned.labels, settings, show)
    seconds = time.perf_counter() - started
    judged = select_wafers(wafers, np.flatnonzero(tested))
    answers = model.recognise(judged.rows)
    truth, novelty = np.array(judged.labels), answers["novelty"].to_numpy()
    called = np.array(answers["verdict"].to_pylist()) == "novel"
    pattern, strange = np.array(answers["pattern"].to_pylist()), truth == withheld
    return Outcome(
        macro_f1=float(f1_score(truth[~strange], pattern[~strange], average="macro")),
        auroc=float(roc_auc_score(strange, novelty)),
        false_novel=float(called[~strange].mean()),
        true_novel=float(called[strange].mean()),
        test_known=int((~strange).sum()),
        test_withheld=int(strange.sum()),
        train_seconds=seconds,
    )


@click.command()
@click.option("--withhold", default="Donut", show_default=True, metavar="CLASS")
@click.option("--file", default="wafers/wm811k_dev_small.npz", show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=15, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def main(withhold: str, file: str, epochs: int, seed: int, threads: int) -> None:
    """Train with a class withheld and report what the model reached on other lots."""
    folder = Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data"))
    config = TrainConfig(epochs=epochs, seed=seed, threads=threads)
    outcome = measure(folder / file, withhold, config)
    what = f"{outcome.test_known} known wafers, {outcome.test_withheld} of {withhold}, which was withheld"
    results = [
        rate("macro_f1", outcome.macro_f1, "macro-F1 of the known classes", target=0.85, note=what),
        rate(f"auroc_{withhold}", outcome.auroc, "area under the ROC curve", target=0.75, note=what),
        rate("called_novel_withheld", outcome.true_novel, "share", note=what),
        rate("called_novel_known", outcome.false_novel, "share", note=what),
        rate("training", outcome.train_seconds, "s", note=f"{epochs} epochs at most, {threads} threads"),
    ]
    write_results("wafer_real", results)


if __name__ == "__main__":
    main()

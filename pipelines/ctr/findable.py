"""What a click-through job can find: the smallest change of each kind, at its volume and its budget."""

from collections.abc import Collection, Iterator
from statistics import median

from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.sensitivity import Sensitivity, sensitivity
from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.pipelines.job.ready import Findable


def findable(reference: Reference, job: CtrJob) -> tuple[Findable, ...]:
    """Smallest changes that are found in an average window of a reference.

    Args:
        reference: The job's.
        job: With its budget, or thresholds of its own.
    """
    seen = sensitivity(reference, job.checks.thresholds.within(job.allowance))
    predicted = () if reference.calibration is None else (_of_prediction(seen, reference.calibration.prediction),)
    return (*_of_stream(seen), *predicted, *_of_features(seen, len(reference.features)))


def _of_stream(seen: Sensitivity) -> Iterator[Findable]:
    where = f"windows of {seen.rows:,.0f} rows"
    low = seen.volume_low
    yield Findable("fall of the volume", _none(None if low is None else f"{1 - low / seen.rows:.0%}"), where)
    yield Findable("rise of the volume", f"{seen.volume_high / seen.rows:.1f} times", where)
    change = seen.click_rate_change
    yield Findable("change of the click rate", _none(None if change is None else f"{change:.0%}"), where)


def _of_prediction(seen: Sensitivity, prediction: str) -> Findable:
    change = seen.calibration_change
    return Findable("shift of the calibration", _none(None if change is None else f"{change:.0%}"), prediction)


def _of_features(seen: Sensitivity, features: int) -> Iterator[Findable]:
    lost = [loss for loss in seen.signal_loss.values() if loss is not None]
    falls = [1 - low for low, _ in seen.cardinality.values() if low > 0]
    rises = [high for _, high in seen.cardinality.values()]
    yield _typical("rise of missing values", seen.null_rise.values(), features, "{:.1%} of rows")
    yield _typical("rise of new values", seen.unseen_rise.values(), features, "{:.1%} of rows with a value")
    yield _typical("fall of distinct values", falls, features, "{:.0%}")
    yield _typical("rise of distinct values", rises, features, "{:.1f} times")
    yield _typical("loss of signal", lost, len(seen.signal_loss), "{:.0%} of it", "that have it")
    yield _typical("gain of signal", seen.signal_gain.values(), features, "{:.1%} of the label's entropy")


def _typical(change: str, least: Collection[float], features: int, wording: str, which: str = "") -> Findable:
    where = " ".join(filter(None, (f"median of {len(least)} of {features} features", which)))
    return Findable(change, _none(wording.format(median(least)) if least else None), where)


def _none(least: str | None) -> str:
    return "none is found" if least is None else least

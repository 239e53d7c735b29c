"""Metrics are declared once, as Prometheus wants them, and make samples of what is declared and nothing else."""

import pytest

from sparsewatch.schemas.metric import Metric
from sparsewatch.schemas.metrics import FEATURE_RANK, METRICS, RECORDS

#: Units that Prometheus wants at the end of a name.
_BASE = ("seconds", "ratio", "nats")


def test_each_has_a_name_of_its_own_and_its_unit_at_the_end() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 40
    for metric in METRICS:
        units = [unit for unit in _BASE if metric.name.removesuffix("_total").endswith(f"_{unit}")]
        assert units == [metric.unit] if metric.unit in _BASE and "index" not in metric.name else units == []


def test_each_is_explained_in_a_sentence_and_bounded() -> None:
    for metric in METRICS:
        assert metric.help.endswith(".")
        assert "\n" not in metric.help + metric.needs
        assert "|" not in metric.help + metric.needs
        assert metric.series > 1 if metric.labels else metric.series == 1
        assert ("job" in metric.labels) <= ("exporter" in metric.of)
        assert metric.of


@pytest.mark.parametrize(
    ("kind", "name"), [("gauge", "sparsewatch_x_total"), ("counter", "sparsewatch_x"), ("gauge", "x"), ("gauge", "a b")]
)
def test_a_name_that_prometheus_would_not_have_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        Metric(name=name, kind=kind, unit="rows", help="Rows.")  # type: ignore[arg-type]


def test_a_sample_has_what_is_declared() -> None:
    sample = RECORDS.sample(3, outcome="late").of_job("clicks")
    assert sample.key == 'sparsewatch_records_total{job="clicks",outcome="late"}'
    assert (sample.kind, sample.help, sample.value) == ("counter", RECORDS.help, 3.0)


@pytest.mark.parametrize("labels", [{}, {"outcome": "late"}, {"feature": "ad", "job": "clicks"}])
def test_labels_that_are_not_declared_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"sparsewatch_feature_rank: expected labels \['feature'\], got"):
        FEATURE_RANK.sample(1, **labels)

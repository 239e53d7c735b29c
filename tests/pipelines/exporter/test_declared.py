"""What an exporter serves of real jobs is what is declared: no metric less, none more, none otherwise."""

import pytest

from sparsewatch.pipelines.job.kinds import KINDS
from sparsewatch.schemas.metrics import METRICS
from tests.kit.exported_jobs import exported

#: The jobs have models.
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("kind", KINDS)
def test_jobs_of_a_kind_export_what_is_declared_of_it(kind: str) -> None:
    declared = {metric.name for metric in METRICS if {kind, "exporter"} & {*metric.of}}
    assert {sample.name for sample in exported(kind)} == declared


@pytest.mark.parametrize("kind", KINDS)
def test_series_have_the_labels_declared_and_are_no_more_than_declared(kind: str) -> None:
    by_name = {metric.name: metric for metric in METRICS}
    for sample in exported(kind):
        metric = by_name[sample.name]
        assert set(sample.labels) == {*metric.labels, *(() if "exporter" in metric.of else ("job",))}
        series = {frozenset(one.labels.items()) for one in exported(kind) if one.name == sample.name}
        assert len(series) <= metric.series

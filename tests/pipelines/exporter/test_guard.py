"""The guard bounds series by metric and in all; what stays depends on what there is alone."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.pipelines.exporter.guard import UNDECLARED, within_bounds
from sparsewatch.pipelines.exporter.series import MetricsCollector
from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.metrics import FEATURE_RANK, FEATURES, METRICS, RECORDS, SLIDING_RANK

_OWN = MetricSample(name="own_step", kind="gauge", help="Of a user.", value=1.0)


def ranks(number: int, job: str = "a") -> list[MetricSample]:
    return [FEATURE_RANK.sample(i, feature=f"f{i:05}").of_job(job) for i in range(number)]


def in_order(*samples: MetricSample) -> list[MetricSample]:
    return sorted(samples, key=lambda sample: sample.key)


def test_no_job_has_more_series_of_a_metric_than_declared() -> None:
    served, cut = within_bounds(in_order(*ranks(FEATURES + 7), *ranks(3, "b")), 10_000)
    kept = [sample.labels["feature"] for sample in served[FEATURE_RANK.name] if sample.labels["job"] == "a"]
    assert kept == [f"f{i:05}" for i in range(FEATURES)]
    assert len(served[FEATURE_RANK.name]) == FEATURES + 3
    assert cut == {FEATURE_RANK.name: 7}


def test_a_metric_that_is_not_declared_is_bounded_and_gives_way_first() -> None:
    own = [MetricSample(name=_OWN.name, kind="gauge", help="", value=1.0, labels={"x": str(i)}) for i in range(2_000)]
    served, cut = within_bounds(in_order(*own, *ranks(9)), 10_000)
    assert ({name: len(found) for name, found in served.items()}, cut) == (
        {FEATURE_RANK.name: 9, _OWN.name: UNDECLARED},
        {_OWN.name: 1_000},
    )
    served, _ = within_bounds(in_order(*own, *ranks(9)), 12)
    assert {name: len(found) for name, found in served.items()} == {FEATURE_RANK.name: 9, _OWN.name: 3}


def test_what_tells_whether_a_job_works_stays_longest() -> None:
    records = [RECORDS.sample(1, outcome=outcome).of_job("a") for outcome in ("counted", "late", "rejected")]
    sliding = [SLIDING_RANK.sample(1, feature=f"f{i}").of_job("a") for i in range(4)]
    served, cut = within_bounds(in_order(*ranks(4), *records, *sliding), 5)
    assert {name: len(found) for name, found in served.items()} == {RECORDS.name: 3, FEATURE_RANK.name: 2}
    assert cut == {FEATURE_RANK.name: 2, SLIDING_RANK.name: 4}


names = st.sampled_from([metric.name for metric in METRICS] + ["own_step"])


@given(st.sets(st.tuples(names, st.integers(0, 60)), max_size=120), st.integers(0, 80), st.tuples(names, st.integers()))
def test_one_series_more_moves_at_most_one_out_of_what_is_served(
    there: set[tuple[str, int]], most: int, more: tuple[str, int]
) -> None:
    def keys(found: set[tuple[str, int]]) -> set[str]:
        samples = [MetricSample(name=n, kind="gauge", help="", value=0.0, labels={"x": str(i)}) for n, i in found]
        served, cut = within_bounds(in_order(*samples), most)
        assert sum(map(len, served.values())) + cut.total() == len(found)
        assert sum(map(len, served.values())) <= most
        return {sample.key for one in served.values() for sample in one}

    assert len(keys(there) - keys(there | {more})) <= 1


def test_exporters_of_a_topic_serve_the_same_whatever_came_first(caplog: pytest.LogCaptureFixture) -> None:
    records = [(sample.key.encode(), msgspec.json.encode(sample)) for sample in ranks(FEATURES + 20)]
    pages = []
    for seed in range(3):
        Random(seed).shuffle(records)
        collector = MetricsCollector(max_series=30)
        collector.begin(records[:40])
        collector.take(records[40:])
        pages.append({f.name: [(s.labels, s.value) for s in f.samples] for f in collector.collect()})
        assert [line for line in caplog.messages if "not served" in line] == [
            f"series that are not served, since there are more than allowed: 40 of {FEATURE_RANK.name}"
        ]
        list(collector.collect())
        assert len(caplog.messages) == 1, "it is told once"
        caplog.clear()
        assert pages[-1]["sparsewatch_exporter_series"] == [({}, 30.0)]
        assert pages[-1]["sparsewatch_exporter_series_cut"] == [({}, 40.0)]
    assert [page[FEATURE_RANK.name] for page in pages] == [pages[0][FEATURE_RANK.name]] * 3

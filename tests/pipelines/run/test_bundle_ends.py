"""Bundles wait at their end for Beam's sampler: as long as it sleeps."""

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.worker import statesampler
from apache_beam.testing.util import assert_that, equal_to

from sparsewatch.pipelines.run.bundle_ends import PERIOD_MS, end_bundles_soon


def _period_ms(_: object) -> int:
    period_ms: int = statesampler.get_current_tracker().sampling_period_ms
    return period_ms


def test_the_sampler_of_a_bundle_sleeps_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statesampler, "StateSampler", statesampler.StateSampler)
    end_bundles_soon()
    assert PERIOD_MS < statesampler.DEFAULT_SAMPLING_PERIOD_MS
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        found = pipeline | beam.Create([None]) | beam.Map(_period_ms)
        assert_that(found, equal_to([PERIOD_MS]))

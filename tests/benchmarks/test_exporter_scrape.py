from benchmarks.exporter_scrape import SERIES, samples
from sparsewatch.pipelines.exporter.guard import MAX_SERIES, within_bounds


def test_its_series_are_as_many_as_it_says_and_none_is_left_out() -> None:
    found = samples(SERIES)
    assert len({sample.key for sample in found}) == SERIES == 10_000
    served, cut = within_bounds(sorted(found, key=lambda sample: sample.key), MAX_SERIES)
    assert (sum(map(len, served.values())), cut.total()) == (SERIES, 0)
    assert len(served) > 40

"""Rankings by window on Beam's in-process runner, against rankings of the same rows without Beam."""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.coders import registry
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, Repeatedly
from apache_beam.transforms.window import FixedWindows, GlobalWindows, Sessions, SlidingWindows, TimestampedValue
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.schemas.block import Block, Span
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.transforms import coders
from sparsewatch.transforms.coders import FeatureCountsCoder, RankedFeatureCoder, RecordBatchCoder
from sparsewatch.transforms.rank_features import CountFeaturesFn, RankFeatures

FEATURES = ("site", "ad", "price")
#: Batches a minute apart, by their second.
TIMES_S = range(0, 600, 60)
Window = tuple[float, ...]
Rankings = dict[Window, list[RankedFeature]]


def batch(seed: int, n_rows: int = 60) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    click = rng.integers(0, 2, n_rows)
    return pa.record_batch(
        {
            "site": [f"s{i}" for i in np.where(rng.random(n_rows) < 0.6, click, rng.integers(0, 9, n_rows))],
            "ad": pa.array(rng.integers(0, 200, n_rows)),
            "price": pa.array(rng.random(n_rows).round(1), mask=rng.random(n_rows) < 0.2),
            "click": click,
            "unused": click,
        }
    )


BATCHES = [(second, batch(second)) for second in TIMES_S]


def counted(batches: list[pa.RecordBatch]) -> FeatureCounts:
    counts = FeatureCounts(FEATURES, "click")
    for rows in batches:
        counts.update(rows)
    return counts


def expected(assign: Callable[[int], list[Window]]) -> Rankings:
    """Rankings of the rows of each window, one window after the other."""
    windows = {window for second, _ in BATCHES for window in assign(second)}
    return {w: rank_features(counted([rows for second, rows in BATCHES if w in assign(second)])) for w in windows}


class _Write(beam.DoFn):
    """A line for each ranking: in-process workers share no memory with the test."""

    def __init__(self, path: str) -> None:
        self._path = path

    def process(self, ranking: list[RankedFeature], window: Any = beam.DoFn.WindowParam) -> None:
        bounds = [] if isinstance(window, beam.window.GlobalWindow) else [float(window.start), float(window.end)]
        with Path(self._path).open("ab") as lines:
            lines.write(msgspec.json.encode([bounds, ranking]) + b"\n")


def run(path: Path, build: Any, elements: list[Any] | None = None, *, repeat: int = 0, workers: int = 1) -> Rankings:
    """Rankings that a pipeline gives, by window."""
    elements = BATCHES if elements is None else elements
    kind = type(elements[0][1]) if elements else pa.RecordBatch
    stamp = beam.MapTuple(lambda second, rows: TimestampedValue(rows, second)).with_output_types(kind)
    options = PipelineOptions([f"--direct_num_workers={workers}", "--direct_running_mode=multi_threading"])
    with beam.Pipeline(runner=FnApiRunner(bundle_repeat=repeat), options=options) as pipeline:
        stamped = pipeline | "Create" >> beam.Create(elements) | "Stamp" >> stamp
        _ = stamped | "Build" >> build | "Write" >> beam.ParDo(_Write(str(path)))
    lines = path.read_bytes().splitlines() if path.exists() else []
    found: Rankings = {}
    for bounds, ranking in map(json.loads, lines):
        ranked = msgspec.convert(ranking, list[RankedFeature])
        assert found.setdefault(tuple(bounds), ranked) == ranked
    assert len(lines) == len(found) * (repeat + 1), "a window is ranked once a run of its bundle"
    return found


def fixed(second: int) -> list[Window]:
    return [(second // 120 * 120.0, second // 120 * 120.0 + 120)]


def sliding(second: int) -> list[Window]:
    last = second // 60 * 60.0
    return [(last - 60 * i, last - 60 * i + 180) for i in range(3)]


WINDOWS: dict[str, tuple[Any, Callable[[int], list[Window]]]] = {
    "fixed": (FixedWindows(120), fixed),
    "sliding": (SlidingWindows(180, 60), sliding),
    "session": (Sessions(300), lambda _: [(0.0, 840.0)]),
    "global": (GlobalWindows(), lambda _: [()]),
}


@pytest.mark.parametrize("fanout", [1, 3])
@pytest.mark.parametrize("windows", WINDOWS)
def test_a_window_s_ranking_is_that_of_its_rows(windows: str, fanout: int, tmp_path: Path) -> None:
    window, assign = WINDOWS[windows]
    build = beam.WindowInto(window) | RankFeatures(FEATURES, "click", fanout=fanout)
    assert run(tmp_path / "rankings", build) == expected(assign)


@pytest.mark.long
@pytest.mark.parametrize("fanout", [1, 3])
@pytest.mark.parametrize("how", [{"repeat": 2}, {"workers": 4}], ids=str)
def test_bundles_and_retries_change_nothing(fanout: int, how: dict[str, Any], tmp_path: Path) -> None:
    build = beam.Reshuffle() | beam.WindowInto(FixedWindows(120)) | RankFeatures(FEATURES, "click", fanout=fanout)
    assert run(tmp_path / "rankings", build, **how) == expected(fixed)


def test_blocks_are_ranked_as_their_rows(tmp_path: Path) -> None:
    blocks = [(second, Block((Span("t", 0, 0, 1),), rows)) for second, rows in BATCHES]
    build = beam.WindowInto(FixedWindows(120)) | RankFeatures(FEATURES, "click")
    assert run(tmp_path / "rankings", build, blocks) == expected(fixed)


def test_numbers_are_ranked_in_bins_where_they_are_named(tmp_path: Path) -> None:
    counts = FeatureCounts(FEATURES, "click", numbers=["price"])
    for _, rows in BATCHES:
        counts.update(rows)
    build = beam.WindowInto(GlobalWindows()) | RankFeatures(FEATURES, "click", numbers=["price"], fanout=2)
    assert run(tmp_path / "rankings", build) == {(): rank_features(counts)}


def test_panes_counted_once_give_the_same_sliding_rankings(tmp_path: Path) -> None:
    build = (
        beam.WindowInto(FixedWindows(60))
        | "Panes" >> beam.CombineGlobally(CountFeaturesFn(FEATURES, "click")).without_defaults()
        | "Slide" >> beam.WindowInto(SlidingWindows(180, 60))
        | RankFeatures(FEATURES, "click")
    )
    assert run(tmp_path / "rankings", build) == expected(sliding)


def test_counts_by_key_are_taken_alone(tmp_path: Path) -> None:
    build = (
        beam.Map(lambda rows: (rows.num_rows, rows))
        | beam.CombinePerKey(CountFeaturesFn(FEATURES, "click"))
        | beam.MapTuple(lambda _, counts: rank_features(counts))
    )
    assert run(tmp_path / "rankings", build) == {(): rank_features(counted([rows for _, rows in BATCHES]))}


def test_without_rows_there_is_no_ranking(tmp_path: Path) -> None:
    assert run(tmp_path / "rankings", beam.WindowInto(FixedWindows(60)) | RankFeatures(FEATURES, "click"), []) == {}


@pytest.mark.parametrize("fanout", [1, 3])
def test_counts_and_rankings_are_never_pickled(fanout: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, protocol: Any) -> Any:
        raise AssertionError(f"{type(self).__name__} was pickled")

    monkeypatch.setattr(FeatureCounts, "__reduce_ex__", refuse)
    monkeypatch.setattr(RankedFeature, "__reduce_ex__", refuse)
    build = (
        beam.WindowInto(SlidingWindows(180, 60))
        | RankFeatures(FEATURES, "click", fanout=fanout)
        | "Apart" >> beam.Reshuffle()
    )
    assert run(tmp_path / "rankings", build) == expected(sliding)


def test_the_output_is_typed() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    out = pipeline | beam.Create([BATCHES[0][1]]) | RankFeatures(FEATURES, "click")
    assert out.element_type == beam.typehints.List[RankedFeature]
    with pytest.raises(beam.typehints.TypeCheckError, match="RankText"):
        _ = pipeline | "Text" >> beam.Create(["a"]) | "RankText" >> RankFeatures(FEATURES, "click")


def tree(fn: CountFeaturesFn, batches: list[pa.RecordBatch], draw: Any) -> FeatureCounts:
    """Counts of batches split, merged and sent in any way."""
    groups: list[list[pa.RecordBatch]] = [[] for _ in range(draw(st.integers(1, 4)))]
    for rows in draw(st.permutations(batches)):
        groups[draw(st.integers(0, len(groups) - 1))].append(rows)
    partial = [functools.reduce(fn.add_input, group, fn.create_accumulator()) for group in groups]
    coder = fn.get_accumulator_coder()
    sent = [coder.decode(coder.encode(counts)) if draw(st.booleans()) else counts for counts in partial]
    while len(sent) > 1:
        cut = draw(st.integers(2, len(sent)))
        sent = [fn.merge_accumulators(iter(sent[:cut])), *sent[cut:]]
    return fn.extract_output(sent[0])


@given(st.data())
@settings(max_examples=40)
def test_any_split_and_order_of_merges_gives_the_same_bytes(data: st.DataObject) -> None:
    fn = CountFeaturesFn(FEATURES, "click", max_values=30)
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=4)))
    rows = BATCHES[0][1]
    parts = [rows.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, 60], strict=True)]
    whole = fn.add_input(fn.create_accumulator(), rows)
    assert tree(fn, parts, data.draw).to_bytes() == whole.to_bytes()


def test_merging_changes_no_accumulator_but_the_new_one() -> None:
    fn = CountFeaturesFn(FEATURES, "click")
    first, second = (fn.add_input(fn.create_accumulator(), rows) for _, rows in BATCHES[:2])
    before = first.to_bytes(), second.to_bytes()
    fn.add_input(fn.merge_accumulators([first, second]), BATCHES[2][1])
    assert (first.to_bytes(), second.to_bytes()) == before
    assert fn.merge_accumulators([]).to_bytes() == fn.create_accumulator().to_bytes()


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"features": ()}, "features: expected distinct names"),
        ({"features": ("click",)}, "features: expected distinct names"),
        ({"max_values": 0}, "max_values: expected a whole number of at least 1"),
        ({"numbers": ("other",)}, r"numbers: expected some of the features .*, got \['other'\]"),
        ({"fanout": 0}, "fanout: expected a whole number of at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused_while_the_graph_is_built(settings_: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        RankFeatures(**{"features": FEATURES, "label": "click"} | settings_)


def test_partial_counts_are_not_added_twice_where_firings_accumulate() -> None:
    window = beam.WindowInto(
        FixedWindows(60), trigger=Repeatedly(AfterCount(1)), accumulation_mode=AccumulationMode.ACCUMULATING
    )
    batches = beam.Pipeline(runner=FnApiRunner()) | beam.Create([BATCHES[0][1]]) | window
    with pytest.raises(ConfigError, match="fanout: expected 1 where firings accumulate"):
        _ = batches | RankFeatures(FEATURES, "click", fanout=2)
    _ = batches | "One" >> RankFeatures(FEATURES, "click")


def test_what_cannot_be_counted_is_named() -> None:
    fn = CountFeaturesFn(FEATURES, "click")
    with pytest.raises(SchemaError, match="expected columns"):
        fn.add_input(fn.create_accumulator(), pa.record_batch({"click": [0]}))
    with pytest.raises(StateError, match="expected counts of"):
        fn.add_input(fn.create_accumulator(), CountFeaturesFn(("ad",), "click").create_accumulator())


def elements() -> Iterator[tuple[Any, Any]]:
    yield RecordBatchCoder(), BATCHES[0][1].slice(5, 7)
    for ranked in rank_features(counted([BATCHES[0][1]])):
        yield RankedFeatureCoder(), ranked


def test_elements_are_what_they_were_after_a_round_trip() -> None:
    for coder, value in elements():
        assert coder.decode(coder.encode(value)) == value
    counts, coder = counted([rows for _, rows in BATCHES]), FeatureCountsCoder()
    assert coder.encode(coder.decode(coder.encode(counts))) == counts.to_bytes()


def test_beam_takes_our_coders_for_what_a_ranking_needs() -> None:
    coders.register()
    for element, coder in (
        (pa.RecordBatch, RecordBatchCoder),
        (FeatureCounts, FeatureCountsCoder),
        (RankedFeature, RankedFeatureCoder),
    ):
        assert isinstance(registry.get_coder(element), coder)


@pytest.mark.parametrize("coder", [RecordBatchCoder(), FeatureCountsCoder(), RankedFeatureCoder()])
@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01."], ids=["empty", "pickle"])
def test_other_bytes_are_refused(coder: Any, data: bytes) -> None:
    with pytest.raises(StateError, match="expected"):
        coder.decode(data)

"""The click-through job beyond one window's ranking: whole rows, the view over the last windows, what it survives."""

import dataclasses
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.thresholds import ClickThresholds, RankingThresholds
from sparsewatch.detectors.counts.number_bins import NumberBins
from sparsewatch.detectors.outrank.ranking import rank_features
from sparsewatch.pipelines.ctr.job import ClickMeasure, ConcludeClicks
from sparsewatch.pipelines.ctr.settings import CtrJob, RankingSettings
from sparsewatch.pipelines.ctr.sliding import SlidingRanking, pane_state
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import prepare, ready
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import META, Block
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane
from tests.kit.click_streams import Clicks, Columns
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.oracles.windows import assert_window_equals, json_events, window_truths

LENGTH = 300_000_000


def block(columns: Mapping[str, Any], times_us: np.ndarray | None = None, first: int = 0) -> Block:
    rows = len(next(iter(columns.values())))
    times = np.arange(rows) * (LENGTH // rows) if times_us is None else times_us
    meta = [np.zeros(rows), np.arange(first, first + rows), np.zeros(rows), times]
    arrays = [pa.array(values).cast(field.type) for values, field in zip(meta, META, strict=True)]
    named = {field.name: array for field, array in zip(META, arrays, strict=True)}
    return Block((), pa.record_batch({**{n: pa.array(v) for n, v in columns.items()}, **named}))


def conclusion_of(
    columns: Mapping[str, Any],
    settings: RankingSettings,
    times_us: np.ndarray | None = None,
    number: int = 0,
    declared: Mapping[str, str] = MappingProxyType({}),
) -> Conclusion:
    """A window of one block, concluded."""
    features = tuple(name for name in columns if name != "click")
    measure = ClickMeasure(features, "click", settings, declared=declared)
    measure.add(block(columns, times_us))
    conclude = ConcludeClicks(
        features=features,
        label="click",
        reference=None,
        checks=ClickThresholds(),
        ranking=settings,
        thresholds=RankingThresholds(),
        declared=declared,
    )
    return conclude(Window(number * LENGTH, (number + 1) * LENGTH), [measure.to_bytes()])


def test_without_settings_a_window_says_what_it_said_before() -> None:
    conclusion = conclusion_of({"a": [1, 2, 1], "click": [0, 1, 0]}, RankingSettings())
    assert set(conclusion.summary) == {"ranking", "profile", "mistyped"}
    assert conclusion.pane is None


def test_a_combination_is_found_where_no_feature_tells_anything() -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(0, 2, 8_000) for name in "abcd"}
    columns["click"] = columns["b"] ^ columns["d"]
    told = conclusion_of(columns, RankingSettings(sample_rows=2_000, interactions=3)).summary["combinations"]
    assert (told["rows"], told["measured"], told["of"]) == (2_000, 10, 10)
    assert told["ranking"][0].feature.split(" AND ")[:2] == ["b", "d"]
    assert [one.rank for one in told["ranking"]] == list(range(1, 11))
    assert told["ranking"][0].normalised > 0.99
    assert max(one.normalised for one in told["ranking"] if not {"b", "d"} <= set(one.feature.split(" AND "))) < 0.01


def test_over_the_windows_each_combination_has_its_turn() -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.integers(0, 2, 300) for name in ("a", "b", "c", "d", "click")}
    settings = RankingSettings(sample_rows=100, interactions=2, max_combinations=2)
    seen = [
        {one.feature for one in conclusion_of(columns, settings, number=i).summary["combinations"]["ranking"]}
        for i in (7, 8, 9)
    ]
    assert [len(names) for names in seen] == [2, 2, 2]
    assert len(set.union(*seen)) == 6
    assert conclusion_of(columns, settings, number=-3).summary["combinations"]["measured"] == 2


def test_twins_name_the_cheaper_one_and_raise_no_alert() -> None:
    rng = np.random.default_rng(1)
    ad = rng.integers(0, 30, 5_000)
    columns = {
        "ad_name": [f"advertisement-{i}" for i in ad],
        "ad": ad,
        "other": rng.integers(0, 30, 5_000),
        "click": (rng.random(5_000) < 0.1 + 0.01 * ad).astype(np.int64),
    }
    conclusion = conclusion_of(columns, RankingSettings(sample_rows=5_000, costs=True))
    (group,) = conclusion.summary["twins"]["groups"]
    assert (group.keep, group.drop) == ("ad", ["ad_name"])
    found = conclusion.summary["twins"]["map"]
    places = {name: place for place, name in enumerate(found["features"])}
    later, earlier = sorted((places["ad"], places["ad_name"]), reverse=True)
    assert [len(row) for row in found["percent"]] == [0, 1, 2]
    assert found["percent"][later][earlier] == 100
    assert later - earlier == 1
    assert sum(map(sum, found["percent"])) < 110
    assert not conclusion.findings
    costs = {cost.feature: cost.bytes_a_row for cost in conclusion.summary["costs"]}
    assert costs["ad"] == 8
    assert costs["ad_name"] > 14
    assert [m.value for m in conclusion.metrics if m.name == "sparsewatch_redundant_features"] == [1.0]


def test_numeric_features_have_quantiles_and_texts_have_none() -> None:
    rng = np.random.default_rng(1)
    columns = {
        "price": np.append(rng.random(9_999), np.inf),
        "site": ["a"] * 10_000,
        "click": rng.integers(0, 2, 10_000),
    }
    told = conclusion_of(columns, RankingSettings(quantiles=True)).summary["numbers"]
    assert list(told) == ["price"]
    assert (told["price"].rows, told["price"].infinite) == (9_999, 1)
    assert told["price"].quantiles[0.5] == pytest.approx(0.5, abs=0.02)


def test_heavy_values_are_named_where_there_are_too_many_to_count_one_by_one() -> None:
    rng = np.random.default_rng(4)
    user = np.where(rng.random(20_000) < 0.2, 7, rng.integers(100, 1 << 40, 20_000))
    columns = {"user": user, "few": rng.integers(0, 9, 20_000), "click": rng.integers(0, 2, 20_000)}
    told = conclusion_of(columns, RankingSettings(sample_rows=1_000, max_values=1_024)).summary["heavy_values"]
    assert list(told) == ["user"]
    first = told["user"][0]
    assert first["value"] == 7
    assert 0 <= first["rows"] - int((user == 7).sum()) <= max(first["excess"], 1)


def test_a_leak_is_suspected_by_name_though_only_a_part_of_the_rows_is_kept() -> None:
    rng = np.random.default_rng(2)
    rows, seconds = 30_000, np.arange(30_000) // 6
    click = (rng.random(rows) < 0.2).astype(np.int64)
    coming = np.append(np.bincount(seconds, click)[1:], 1)[seconds]
    columns = {
        "conversion": np.where(rng.random(rows) < 0.995, click, 1 - click),
        "clicks_ahead": coming.astype(np.int64),
        "honest": np.where(rng.random(rows) < 0.3, click, rng.integers(0, 2, rows)),
        "click": click,
    }
    conclusion = conclusion_of(columns, RankingSettings(sample_rows=15_000), seconds * 1_000_000)
    kinds = {f.subject: (f.rule, f.evidence["kind"]) for f in conclusion.findings}
    assert kinds == {
        "conversion": ("leakage_suspected", "too_good"),
        "clicks_ahead": ("leakage_suspected", "future"),
    }
    report = conclusion.summary["leakage"]
    assert report.rows == 15_000
    assert report.paired_rows > 10_000
    msgspec.json.encode(conclusion.summary)


def test_any_split_and_order_of_blocks_tells_the_same() -> None:
    rng = np.random.default_rng(3)
    settings = RankingSettings(sample_rows=500, interactions=2, costs=True)
    columns: dict[str, Any] = {"a": rng.integers(0, 9, 4_000), "click": rng.integers(0, 2, 4_000)}
    columns["b"] = [f"{i % 7}" for i in range(4_000)]
    whole = ClickMeasure(("a", "b"), "click", settings)
    whole.add(block(columns))
    times = np.arange(4_000) * (LENGTH // 4_000)
    merged = ClickMeasure(("a", "b"), "click", settings)
    for start in (2_500, 0, 1_000):
        end = {2_500: 4_000, 0: 1_000, 1_000: 2_500}[start]
        part = ClickMeasure(("a", "b"), "click", settings)
        part.add(block({n: v[start:end] for n, v in columns.items()}, times[start:end], start))
        merged.merge_bytes(part.to_bytes())
    assert merged.to_bytes() == whole.to_bytes()


class Stream:
    """Windows one after the other, with the panes that a log would keep."""

    def __init__(self, panes: int, thresholds: RankingThresholds | None = None) -> None:
        self.view = SlidingRanking(panes, thresholds or RankingThresholds())
        self.kept: list[Pane] = []
        self.clicks = Clicks(4)

    def close(self, fault: Any = None, rows: int = 4_000, *, complete: bool = True, found: Sequence[Any] = ()) -> Any:
        """The view of the next window; `found` are findings of other rules."""
        counts = self.clicks.window(rows, fault)
        number = self.kept[-1].start_us // LENGTH + 1 if self.kept else 0
        window = Window(number * LENGTH, (number + 1) * LENGTH, complete)
        pane = Pane(
            window.start_us,
            window.end_us,
            pane_state(window, counts.to_bytes(), rank_features(counts), found).to_bytes(),
            not found,
        )
        conclusion = self.view(pane, self.kept[-(self.view.panes - 1) :])
        self.kept.append(dataclasses.replace(pane, learned=not (found or conclusion.findings)))
        return conclusion


def lose(columns: Columns) -> None:
    """The strong feature is shuffled."""
    values, missing = columns["strong"]
    columns["strong"] = (np.random.default_rng(0).permutation(values), missing)


def subjects(conclusion: Conclusion) -> list[str]:
    assert {finding.rule for finding in conclusion.findings} <= {"rank_drift"}
    return [finding.subject for finding in conclusion.findings]


def test_a_lost_signal_is_named_in_its_first_window_and_not_learned() -> None:
    stream = Stream(8)
    for _ in range(5):
        assert not subjects(stream.close())
    assert subjects(stream.close(rows=12_000)) == []
    assert [subjects(stream.close(lose)) for _ in range(3)] == [["strong"]] * 3
    after = stream.close()
    assert subjects(after) == []
    assert after.summary["drift"]["panes"] == 4
    assert after.summary["sliding"]["panes"] == 8


def test_a_change_that_outlasts_the_reach_becomes_normal() -> None:
    stream = Stream(6)
    for _ in range(5):
        stream.close()
    alerts = [subjects(stream.close(lose)) for _ in range(10)]
    first_silent = alerts.index([])
    assert 0 < first_silent <= 5
    assert alerts[first_silent:] == [[]] * (10 - first_silent)
    assert subjects(stream.close()) == ["strong"]


def test_where_every_window_has_another_finding_all_are_the_baseline() -> None:
    stream = Stream(5)
    stream.close()
    finding = stream_finding("stream")
    untold = [stream.close(found=[finding]).summary["drift"]["untold"] for _ in range(6)]
    assert untold[-1] is None
    assert untold[:4] == [f"{n} earlier window without a finding, 3 needed" for n in (1, 1, 1, 1)]
    assert subjects(stream.close(lose, found=[finding])) == ["strong"]


def stream_finding(subject: str) -> Finding:
    return Finding(rule="r", subject=subject, severity="info", value=1, threshold=1, baseline=0, message="m")


def test_a_feature_of_which_another_rule_spoke_alerts_once() -> None:
    stream = Stream(8)
    for _ in range(5):
        stream.close()
    conclusion = stream.close(lose, found=[stream_finding("strong")])
    assert not conclusion.findings
    (told,) = [one for one in conclusion.summary["drift"]["features"] if one.significant]
    assert told.feature == "strong"


def test_incomplete_windows_and_the_first_ones_do_not_alarm_and_are_no_baseline() -> None:
    stream = Stream(8)
    assert stream.close(complete=False).summary["drift"]["untold"] == "rows of the window may be missing"
    for expected in range(3):
        told = stream.close().summary["drift"]
        assert (told["panes"], told["overlap"]) == (expected, None)
    assert stream.close(lose, complete=False).findings == []
    assert stream.close(rows=500).summary["drift"]["untold"] == "500 rows, 1000 are needed"
    told = stream.close()
    assert told.summary["drift"]["untold"] is None
    overlap = [m.value for m in told.metrics if m.name == "sparsewatch_rank_overlap_ratio"]
    assert overlap == [told.summary["drift"]["overlap"]]


def test_volume_alone_moves_nothing() -> None:
    stream = Stream(8)
    for _ in range(5):
        stream.close(rows=20_000)
    for rows in (2_000, 50_000, 20_000):
        assert subjects(stream.close(rows=rows)) == []


def test_panes_of_other_settings_are_left_out() -> None:
    stream = Stream(8)
    for _ in range(2):
        stream.close()
    other = conclusion_of({"a": [1, 2], "click": [0, 1]}, RankingSettings(panes=8)).pane
    assert other is not None
    stream.kept.append(Pane(2 * LENGTH, 3 * LENGTH, other, learned=True))
    stream.kept.append(Pane(3 * LENGTH, 4 * LENGTH, b"nonsense", learned=True))
    stream.kept.append(Pane(4 * LENGTH, 4 * LENGTH + 1, stream.kept[0].state, learned=True))
    sliding = stream.view(
        dataclasses.replace(stream.kept[1], start_us=5 * LENGTH, end_us=6 * LENGTH), stream.kept
    ).summary["sliding"]
    assert (sliding["panes"], sliding["rows"]) == (3, 12_000)


def test_windows_counted_by_value_are_no_baseline_of_windows_in_bins() -> None:
    def pane(number: int, settings: RankingSettings) -> Pane:
        columns = {"price": np.random.default_rng(number).lognormal(size=500), "click": np.arange(500) % 2}
        state = conclusion_of(columns, settings, declared={"price": "float"}).pane
        assert state is not None
        return Pane(number * LENGTH, (number + 1) * LENGTH, state, learned=True)

    in_bins = RankingSettings(panes=8)
    earlier = [pane(0, RankingSettings(panes=8, numbers="values")), pane(1, in_bins)]
    earlier.append(pane(2, RankingSettings(panes=8, number_bits=6)))
    view = SlidingRanking(8, RankingThresholds())(pane(3, in_bins), earlier)
    assert (view.summary["sliding"]["panes"], view.summary["sliding"]["rows"]) == (2, 1_000)


def test_which_columns_are_numbers_is_checked(tmp_path: Path) -> None:
    path = job_file(tmp_path, "nowhere:1", "checked")
    job = load_job(path, ['ranking.number_columns=["noise"]', 'columns.price="float"'])
    assert isinstance(job, CtrJob)
    assert job.number_bins == NumberBins(("noise", "price"), 5)
    with pytest.raises(
        ConfigError, match=r"ranking\.number_columns: expected ranked columns of type 'int', got \['site'\]"
    ):
        load_job(path, ['ranking.number_columns=["site"]'])
    with pytest.raises(ConfigError, match=r'number_columns: expected none where numbers = "values"'):
        load_job(path, ['ranking.number_columns=["noise"]', "ranking.numbers=values"])
    with pytest.raises(ConfigError, match=r"ranking\.number_bits: expected a whole number from 1 to 20, got 0"):
        load_job(path, ["ranking.number_bits=0"])


def test_whole_rows_of_numbers_are_compared_in_bins() -> None:
    """A combination and twins of two copies of a price that differ in their last digits."""
    rng = np.random.default_rng(0)
    price = rng.lognormal(size=4_000)
    columns = {"price": price, "copy": price * (1 + 1e-9), "other": rng.normal(size=4_000)}
    clicks = (rng.random(4_000) < np.where(price > 1, 0.5, 0.2)).astype(int)
    settings = RankingSettings(sample_rows=4_000, interactions=2)
    declared = dict.fromkeys(columns, "float")
    found = conclusion_of({**columns, "click": clicks}, settings, declared=declared).summary
    (twins,) = found["twins"]["groups"]
    assert {twins.keep, *twins.drop} == {"price", "copy"}
    by_name = {one.feature: one for one in found["combinations"]["ranking"]}
    assert by_name["price AND other"].mutual_information > 0.05
    assert found["leakage"].suspicions == []


def test_thresholds_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = job_file(tmp_path, "nowhere:1", "checked")
    with pytest.raises(ConfigError, match=r"ranking.thresholds.factor: expected a number from 1"):
        prepare(ready(load_job(path, ["ranking.thresholds.factor=0.5"])))
    with pytest.raises(
        ConfigError, match=r"ranking\.thresholds\.leakage\.ratio: expected a number of at least 1, got 0\.5"
    ):
        prepare(ready(load_job(path, ["ranking.thresholds.leakage.ratio=0.5"])))


def job_file(folder: Path, bootstrap: str, topic: str) -> Path:
    path = folder / f"{topic}.toml"
    path.write_text(
        f"""
kind = "ctr"
name = "{topic}"
label = "label"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "{topic}"
time_column = "t"
[windows]
length = "1m"
[columns]
ad = "int"
site = "str"
noise = "int"
label = "int"
[ranking]
panes = 4
sample_rows = 200
interactions = 2
costs = true
"""
    )
    return path


def click(rng: random.Random, time_ms: int) -> bytes:
    ad = rng.randrange(20)
    event = {"t": time_ms, "ad": ad, "site": f"s{rng.randrange(9)}", "noise": rng.randrange(300)}
    return json.dumps({**event, "label": int(rng.random() < 0.05 + 0.04 * ad)}).encode()


def test_a_view_outlives_the_process(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    rng, topic, minute = random.Random(8), "sliding", 60_000
    start = 1_700_000_040_000
    create_topic(kafka_broker.bootstrap, topic, 2)
    job = load_job(job_file(tmp_path, kafka_broker.bootstrap, topic))
    records = [click(rng, start + i * 50) for i in range(8 * minute // 50)]
    ends = (len(records) // 3, 2 * len(records) // 3, len(records))
    for first, end in zip((0, *ends), ends, strict=False):
        produce(kafka_broker.bootstrap, topic, ((i % 2, records[i]) for i in range(first, end)))
        run_job(job, "latest", "inprocess", close_at_end=end == len(records))

    windows = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.windows")).values()
    told = sorted(windows, key=lambda record: record["window_start_us"])
    assert [record["sliding"]["panes"] for record in told] == [1, 2, 3, 4, 4, 4, 4, 4]
    assert [record["drift"]["untold"] is None for record in told] == [False] * 4 + [True] * 3 + [False]
    events = json_events(records).with_columns(pl.col("t") - start)
    for number, record in enumerate(told):
        assert record["combinations"]["rows"] == record["twins"]["rows"] == 200
        reach = events.filter(pl.col("t").is_between(max(0, number - 3) * minute, (number + 1) * minute, closed="left"))
        (truth,) = window_truths(reach, "t", 8 * minute * 1000, ["ad", "site", "noise"], "label").values()
        sliding = record["sliding"]
        view = {**sliding, "window_start_us": record["window_start_us"], "profile": {"clicks": sliding["clicks"]}}
        assert_window_equals(view, truth)

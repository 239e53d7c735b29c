import dataclasses
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.located import INDICATORS, MOST_LOCATED, Samples, locate
from sparsewatch.detectors.clicks.repeated_rows import Repeats, check_repeats, repeated_rows
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import Statistic
from sparsewatch.detectors.counts.number_bins import BITS, NumberBins, bins_of
from sparsewatch.detectors.incidents.causes import RULES
from sparsewatch.detectors.sample_offsets import MOST_OFFSETS
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import OFFSET, PARTITION

ROWS = 3_000
FEATURES = ("site", "sdk", "ad")


def rows(seed: int, *, places: bool) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "site": rng.integers(0, 8, ROWS),
        "sdk": rng.choice(["3.1", "3.2", "3.3"], ROWS),
        "ad": [f"ad-{i}" for i in rng.integers(0, 40, ROWS)],
        "click": (rng.random(ROWS) < 0.2).astype(np.int64),
    }
    if places:
        columns |= {PARTITION: np.arange(ROWS) % 3, OFFSET: np.arange(ROWS) + 1_000}
    return pa.record_batch({name: pa.array(values) for name, values in columns.items()})


NOW, BEFORE = rows(1, places=True), rows(2, places=False)
INSIDE = (NOW.column("site").to_numpy() == 4) & (np.array(NOW.column("sdk").to_pylist()) == "3.2")
KNOWN = {name: pl.Series(name, BEFORE.column(name).unique().to_pylist()) for name in FEATURES}


def with_values(name: str, value: Any, mask: np.ndarray = INSIDE) -> pa.RecordBatch:
    old = NOW.column(name).to_pylist()
    new = [value if hit else own for own, hit in zip(old, mask, strict=True)]
    return NOW.set_column(NOW.schema.get_field_index(name), name, pa.array(new, NOW.schema.field(name).type))


def samples(now: pa.RecordBatch, before: pa.RecordBatch | None = BEFORE, rows: int = ROWS) -> Samples:
    return Samples(
        now=now, rows=rows, before=before, features=FEATURES, label="click", known_values=KNOWN, hash_limits={}
    )


def finding(rule: str, subject: str = "ad", value: float = 0.05, baseline: float = 0.0) -> Finding:
    return Finding(
        rule=rule,
        subject=subject,
        severity="warning",
        value=value,
        threshold=0,
        baseline=baseline,
        message="it changed",
    )


def located(found: Finding, now: pa.RecordBatch, **other: Any) -> Finding:
    (told,) = locate([found], samples(now, **other))
    return told


@pytest.mark.parametrize("rule", ["feature_nulls", "feature_vanished", "feature_type_changed"])
def test_missing_values_are_located(rule: str) -> None:
    told = located(finding(rule), with_values("ad", None), rows=2 * ROWS)
    assert told.evidence["slice"] == {
        "kind": "slice",
        "conditions": [{"column": "site", "value": 4}, {"column": "sdk", "value": "3.2"}],
        "where": "site = 4 and sdk = 3.2",
        "share_of_change": 1.0,
        "rows": 2 * int(INSIDE.sum()),
        "rows_before": 2 * int(((BEFORE.column("site").to_numpy() == 4) & (np.array(BEFORE["sdk"]) == "3.2")).sum()),
        "before": 0.0,
        "after": 1.0,
        "looks": told.evidence["slice"]["looks"],
        "text": "100 % of it where site = 4 and sdk = 3.2, nothing changed elsewhere",
    }
    assert told.message == "it changed; 100 % of it where site = 4 and sdk = 3.2, nothing changed elsewhere"


def test_offsets_are_of_rows_that_show_the_change() -> None:
    told = located(finding("feature_nulls"), with_values("ad", None))
    offsets = told.evidence["sample_offsets"]
    places = [offset - 1_000 for _, offset in offsets]
    assert len(offsets) == MOST_OFFSETS
    assert INSIDE[places].all()
    assert [partition for partition, _ in offsets] == [place % 3 for place in places]


def test_values_that_the_baseline_does_not_know_are_located() -> None:
    told = located(finding("feature_unseen_values"), with_values("ad", "salted"))
    assert told.evidence["slice"]["where"] == "site = 4 and sdk = 3.2"


def test_numbers_in_bins_that_the_baseline_does_not_know_are_located() -> None:
    prices = np.random.default_rng(3).lognormal(size=2 * ROWS)
    now, before = (
        rows.append_column("price", pa.array(price)) for rows, price in ((NOW, prices[:ROWS]), (BEFORE, prices[ROWS:]))
    )
    now = now.set_column(now.num_columns - 1, "price", pa.array(np.where(INSIDE, -prices[:ROWS], prices[:ROWS])))
    known = {**KNOWN, "price": pl.Series(bins_of(np.geomspace(1e-6, 1e6, 100_000), BITS)).unique()}
    of_price = msgspec.structs.replace(finding("feature_unseen_values", "price"), value=float(INSIDE.mean()))
    bins = NumberBins(("price",), BITS)
    (told,) = locate(
        [of_price],
        dataclasses.replace(samples(now, before), known_values=known, bins=bins, features=(*FEATURES, "price")),
    )
    assert told.evidence["slice"]["where"] == "site = 4 and sdk = 3.2"


@pytest.mark.parametrize(("factor", "below"), [(10.0, 0.4), (0.1, 0.6)], ids=["up", "down"])
def test_numbers_that_moved_across_a_border_are_located(factor: float, below: float) -> None:
    prices = np.random.default_rng(3).lognormal(size=2 * ROWS)
    moved = np.where(NOW.column("site").to_numpy() == 4, factor * prices[:ROWS], prices[:ROWS])
    now, before = (
        rows.append_column("price", pa.array(price)) for rows, price in ((NOW, moved), (BEFORE, prices[ROWS:]))
    )
    evidence = {"border": 1.0, "below": below, "below_before": 0.5}
    found = msgspec.structs.replace(finding("feature_numbers_moved", "price"), evidence=evidence)
    (told,) = locate([found], dataclasses.replace(samples(now, before), features=(*FEATURES, "price")))
    assert told.evidence["slice"]["where"] == "site = 4"
    places = [offset - 1_000 for _, offset in told.evidence["sample_offsets"]]
    assert (moved[places] >= 1).tolist() == [factor > 1] * len(places)


def test_lost_clicks_are_located_and_offsets_are_of_rows_without_one() -> None:
    mask = NOW.column("site").to_numpy() == 4
    now = with_values("click", 0, mask)
    told = located(finding("click_rate_shift", "stream", value=0.17, baseline=0.2), now)
    assert told.evidence["slice"]["where"] == "site = 4"
    assert told.evidence["slice"]["after"] == 0.0
    assert mask[[offset - 1_000 for _, offset in told.evidence["sample_offsets"]]].all()


def test_a_signal_that_is_gained_is_located_by_its_clicks() -> None:
    now = with_values("click", 0, NOW.column("site").to_numpy() == 4)
    told = located(finding("feature_signal_gained", "site", value=0.1, baseline=0.01), now)
    assert told.message.endswith("of the change in clicks where site = 4, nothing changed elsewhere")


def test_a_click_rate_is_compared_at_the_mix_of_now() -> None:
    # Half of the rows of all sites but one are lost: no site clicks more or less often than it did.
    kept = (NOW.column("site").to_numpy() == 4) | (np.arange(ROWS) % 2 == 0)
    told = located(finding("click_rate_shift", "stream", value=0.19, baseline=0.2), NOW.filter(pa.array(kept)))
    assert told == finding("click_rate_shift", "stream", value=0.19, baseline=0.2)


def test_rows_that_did_not_come_are_located_among_all_columns() -> None:
    now = NOW.filter(pa.array(~INSIDE))
    low = finding("volume_low", "stream", value=10 * now.num_rows, baseline=10 * ROWS)
    told = located(low, now, rows=10 * now.num_rows).evidence
    assert told["slice"]["where"] == "site = 4 and sdk = 3.2"
    assert (told["slice"]["rows"], told["slice"]["after"]) == (0, None)
    assert told["slice"]["rows_before"] == pytest.approx(10 * INSIDE.sum(), rel=0.3)
    assert "sample_offsets" not in told


def told_of_values(rule: str, **evidence: Any) -> Finding:
    return msgspec.structs.replace(finding(rule), evidence=evidence)


def test_values_that_moved_are_located_by_those_that_rose() -> None:
    moved = [{"value": "ad-1", "before": 0.02, "now": 0.06}, {"value": "ad-2", "before": 0.03, "now": 0.02}]
    for rule in ("feature_values_moved", "feature_cardinality"):
        found = msgspec.structs.replace(told_of_values(rule, moved=moved), value=3.0, baseline=40.0)
        assert located(found, with_values("ad", "ad-1")).evidence["slice"]["where"] == "site = 4 and sdk = 3.2"


def test_a_value_that_is_gone_with_its_rows_is_where_they_were() -> None:
    now = NOW.filter(pa.array(NOW.column("site").to_numpy() != 4))
    gone = msgspec.structs.replace(told_of_values("value_vanished", vanished=[4], into=None), subject="site")
    told = located(gone, now)
    assert told.evidence["slice"]["where"] == "site = 4"
    assert told.message == "it changed; 100 % of the lost rows where site = 4, nothing changed elsewhere"


def test_a_value_that_became_another_is_located_in_other_columns() -> None:
    # The ad was shown at one site only, and is now another ad.
    ads = np.array(BEFORE.column("ad").to_pylist(), object)
    ads[BEFORE.column("site").to_numpy() == 4] = "ad-of-site-4"
    before = BEFORE.set_column(2, "ad", pa.array(ads))
    told = located(told_of_values("value_vanished", vanished=["ad-of-site-4"], into="ad-7"), NOW, before=before)
    assert told.evidence["slice"]["where"] == "site = 4"
    assert told.evidence["slice"]["after"] == 0.0


def test_a_slice_names_neither_the_feature_itself_nor_another_that_is_lost() -> None:
    now = with_values("ad", None)
    now = now.set_column(0, "site", pa.array([None if hit else 1 for hit in INSIDE], pa.int64()))
    told = locate([finding("feature_nulls"), finding("feature_nulls", "site")], samples(now))
    for one in told:
        assert "missing" not in one.evidence["slice"]["where"]


def test_without_a_sample_of_the_baseline_there_are_offsets_alone() -> None:
    told = located(finding("feature_nulls"), with_values("ad", None), before=None)
    assert told.message == "it changed"
    assert told.evidence.keys() == {"sample_offsets"}


def test_without_rows_and_for_other_rules_findings_stay_as_they_are() -> None:
    for found, now in ((finding("feature_nulls"), NOW.slice(0, 0)), (finding("feature_signal_lost"), NOW)):
        assert located(found, now) == found
    assert located(finding("feature_nulls", "unheard of"), NOW) == finding("feature_nulls", "unheard of")


def repeated(now: pa.RecordBatch, before_rows: pa.RecordBatch) -> Finding:
    """The finding on a sample of the whole window."""
    rate = repeated_rows(before_rows, (*FEATURES, "click")).pairs / (ROWS * (ROWS - 1) / 2)
    before = Repeats(rate=Statistic(mean=rate, sd=rate / 10, min=0.9 * rate, max=1.1 * rate), windows=20, pairs=1e6)
    found = check_repeats(repeated_rows(now, (*FEATURES, "click")), now.num_rows, before, ClickThresholds())
    assert found is not None
    return found


def with_ads(rows: pa.RecordBatch, seed: int, ads: int) -> pa.RecordBatch:
    """Of so many ads that few rows are equal by chance."""
    numbers = np.random.default_rng(seed).integers(0, ads, rows.num_rows)
    return rows.set_column(2, "ad", pa.array([f"ad-{number}" for number in numbers]))


def test_rows_of_a_bot_are_located_among_rows_that_are_equal_by_chance() -> None:
    own, before = with_ads(NOW, 5, 500), with_ads(BEFORE, 6, 500)
    (row,) = own.slice(7, 1).to_pylist()
    bot = pa.RecordBatch.from_pylist([{**row, OFFSET: 9_000 + i} for i in range(300)], schema=own.schema)
    (now,) = pa.Table.from_batches([own, bot]).combine_chunks().to_batches()
    told = located(repeated(now, before), now, before=before).evidence
    assert {one["column"]: one["value"] for one in told["slice"]["conditions"]}.items() <= row.items()
    assert told["slice"]["share_of_change"] > 0.95
    shown = {offset for _, offset in told["sample_offsets"]}
    assert all(one["ad"] == row["ad"] for one in now.to_pylist() if one[OFFSET] in shown)


def test_rows_that_were_sent_twice_are_located_by_all_that_are_repeated() -> None:
    now, before = with_ads(NOW, 5, 10**6), with_ads(BEFORE, 6, 10**6)
    (twice,) = pa.Table.from_batches([now, now.filter(pa.array(INSIDE))]).combine_chunks().to_batches()
    found = repeated(twice, before)
    told = located(found, twice, before=before)
    assert told.evidence["slice"]["where"] == "site = 4 and sdk = 3.2"
    assert told.message.endswith("of the repetition where site = 4 and sdk = 3.2, nothing changed elsewhere")
    (twice,) = pa.Table.from_batches([now, now.slice(0, 900)]).combine_chunks().to_batches()
    everywhere = located(repeated(twice, before), twice, before=before)
    assert everywhere.message.endswith("; the repetition is everywhere alike")


def test_the_findings_that_explain_most_are_located() -> None:
    now = with_values("ad", None)
    found = [*[finding("feature_nulls")] * MOST_LOCATED, finding("feature_nulls"), finding("feature_vanished")]
    found[-2] = msgspec.structs.replace(found[-2], severity="critical")
    told = locate(found, samples(now))
    assert ["slice" in one.evidence for one in told] == [True] * (MOST_LOCATED - 2) + [False, False, True, True]


def test_every_rule_with_an_indicator_is_one_of_the_rules() -> None:
    assert INDICATORS.keys() <= RULES.keys()

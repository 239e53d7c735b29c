"""Features that another one determines are found, and told where their values stand in other rows."""

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.determined import LEAST_OTHERS, Link, fit_determined, sought
from sparsewatch.detectors.clicks.determined_checks import check_determined
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION
from sparsewatch.schemas.units import HOUR_US

FEATURES = ("site", "domain", "category", "user", "price")
WINDOWS, ROWS = 12, 600


class Stream:
    """Sites of a domain and a category each; a user and a price that nothing determines; labels by the site."""

    def __init__(self, seed: int, strays: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.strays = strays

    def rows(self, n: int = ROWS) -> pa.RecordBatch:
        site = (self.rng.random(n) ** 2 * 40).astype(np.int64)
        category = np.where(self.rng.random(n) < self.strays, self.rng.integers(0, 5, n), site % 5)
        return pa.record_batch(
            {
                "site": [f"s{one}" for one in site],
                "domain": site // 2,
                "category": [f"c{one}" for one in category],
                "user": self.rng.integers(0, 9, n),
                "price": self.rng.random(n),
                "click": (self.rng.random(n) < 0.1 + 0.1 * (site % 2)).astype(np.int64),
            }
        )

    def links(self, windows: int = WINDOWS) -> tuple[Link, ...]:
        batches = [self.rows(200) for _ in range(windows)]
        return fit_determined(joined(batches), starts_of(batches), FEATURES)


def starts_of(batches: list[pa.RecordBatch]) -> np.ndarray:
    return np.repeat(np.arange(len(batches)) * HOUR_US, [batch.num_rows for batch in batches])


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return batch


def placed(rows: pa.RecordBatch) -> pa.RecordBatch:
    zeros = pa.array(np.zeros(rows.num_rows, np.int64))
    return rows.append_column(PARTITION, zeros).append_column(OFFSET, pa.array(np.arange(rows.num_rows)))


def changed(rows: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    return rows.set_column(rows.schema.names.index(name), name, values)


def shuffled(rows: pa.RecordBatch, name: str, share: float, seed: int = 0) -> pa.RecordBatch:
    rng, order = np.random.default_rng(seed), np.arange(rows.num_rows)
    some = rng.permutation(rows.num_rows)[: int(share * rows.num_rows)]
    order[some] = some[rng.permutation(some.size)]
    return changed(rows, name, rows.column(name).take(pa.array(order)))


def check(rows: pa.RecordBatch, links: tuple[Link, ...], told: tuple[str, ...] = ()) -> list[Finding]:
    return check_determined(placed(rows), links, ClickThresholds(), told, "the reference")


def pairs(links: tuple[Link, ...]) -> set[tuple[str, str]]:
    return {(link.by, link.feature) for link in links}


def test_a_feature_that_another_determines_is_known_and_others_are_not() -> None:
    found = pairs(Stream(0).links())
    assert {("site", "domain"), ("site", "category")} <= found
    # Two sites of a domain are of different categories, and nothing says a user or a price.
    assert not {feature for _, feature in found} & {"user", "price", "site"}
    assert not any(by in ("user", "price", "category") for by, _ in found)


def slow(by: list[int | None], own: list[int | None]) -> list[int]:
    """Whether each row that is judged by all others breaks the link."""
    rows = Counter((key, value) for key, value in zip(by, own, strict=True) if key is not None and value is not None)
    judged = []
    for key, value in rows.elements():
        others = Counter({other: times for (k, other), times in rows.items() if k == key})
        others[value] -= 1
        says, times = others.most_common(1)[0]
        if others.total() >= LEAST_OTHERS and 2 * times > others.total():
            judged.append(int(says != value))
    return judged


@given(st.integers(4, 40), st.floats(0, 0.08), st.floats(0, 0.3), st.integers(0, 1_000))
def test_each_row_is_judged_by_all_others(keys: int, strays: float, missing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    by = (rng.random(500) ** 2 * keys).astype(int).tolist()
    own = [key % 5 if rng.random() >= strays else int(rng.integers(0, 5)) for key in by]
    by, own = ([None if rng.random() < missing else one for one in column] for column in (by, own))
    judged = slow(by, own)
    batch = pa.record_batch({"by": pa.array(by, pa.int64()), "own": pa.array(own, pa.int64())})
    links = fit_determined(batch, np.repeat(np.arange(5) * HOUR_US, 100), ("by", "own"))
    share, dense = sum(judged) / max(len(judged), 1), len(judged) >= 256
    assert dense <= (("by", "own") in pairs(links) or share > 0.08)
    for link in (link for link in links if link.by == "by"):
        assert link.over.share.mean == pytest.approx(share)
        assert link.over.rows * link.over.windows == pytest.approx(len(judged))
        for key, value in zip(link.keys.to_list(), link.values.to_list(), strict=True):
            of = Counter(b for a, b in zip(by, own, strict=True) if a == key and b is not None)
            assert 2 * of[value] > of.total() > LEAST_OTHERS


@pytest.mark.parametrize("strays", [0.0, 0.05])
@pytest.mark.parametrize("name", ["domain", "category", "site"])
def test_the_feature_whose_values_stand_in_other_rows_is_told(name: str, strays: float) -> None:
    stream = Stream(1, strays)
    links = stream.links()
    assert not check(stream.rows(), links)
    (told,) = check(shuffled(stream.rows(), name, 0.3), links)
    assert (told.rule, told.severity) == ("feature_link_lost", "warning")
    # Domain and category are said by the site alone: either end may be at fault, and what is said is told.
    assert told.subject == ("site" if name == "site" else name)
    assert told.value >= told.threshold > told.baseline
    assert 0 < (told.p_value or 1) < 1e-4
    assert len(told.evidence["sample_offsets"]) == 10


def test_rows_that_are_shown_break_the_link() -> None:
    stream = Stream(2)
    rows = shuffled(stream.rows(), "domain", 0.5)
    (told,) = check(rows, stream.links())
    site, domain = (rows.column(name).to_pylist() for name in ("site", "domain"))
    assert all(domain[at] != int(site[at][1:]) // 2 for _, at in told.evidence["sample_offsets"])
    for one in told.evidence["broken"]:
        assert one["says"] == int(one["value"][1:]) // 2 != one["has"]
        assert one["share"] == pytest.approx(
            sum((a, b) == (one["value"], one["has"]) for a, b in zip(site, domain, strict=True)) / ROWS
        )


def test_one_value_that_means_something_else_is_no_lost_link() -> None:
    stream = Stream(3)
    links, rows = stream.links(), stream.rows()
    site = rows.column("site").to_pylist()
    assert site.count("s0") > 0.1 * ROWS
    moved = ["c4" if one == "s0" else own for one, own in zip(site, rows.column("category").to_pylist(), strict=True)]
    assert not check(changed(rows, "category", pa.array(moved)), links)


def test_new_values_and_missing_ones_break_no_link() -> None:
    stream = Stream(4)
    links, rows = stream.links(), stream.rows()
    sites = rows.column("site").to_pylist()
    assert not check(changed(rows, "site", pa.array([f"new-{one}" for one in sites])), links)
    assert not check(changed(rows, "domain", pa.array([None] * ROWS, pa.int64())), links)


def test_links_of_features_that_another_rule_named_are_explained() -> None:
    stream = Stream(5)
    links, rows = stream.links(), shuffled(stream.rows(), "domain", 0.5)
    assert check(rows, links)
    assert not check(rows, links, told=("domain",))


def test_windows_in_which_a_feature_was_wrong_say_nothing_of_it() -> None:
    stream = Stream(6)
    good, bad = ([stream.rows(200) for _ in range(number)] for number in (6, 8))
    batches = [*good, *(shuffled(one, "domain", 1.0, seed) for seed, one in enumerate(bad))]
    assert ("site", "domain") not in pairs(fit_determined(joined(batches), starts_of(batches), FEATURES))
    of = {"domain": [number * HOUR_US for number in range(6)]}
    links = fit_determined(joined(batches), starts_of(batches), FEATURES, of)
    assert {("site", "domain"), ("site", "category")} <= pairs(links)
    (own,) = (link for link in links if (link.by, link.feature) == ("site", "domain"))
    assert (own.over.windows, own.over.share.mean) == (6, 0.0)


def test_few_rows_are_not_judged() -> None:
    stream = Stream(7)
    links = stream.links()
    assert check(shuffled(stream.rows(200), "domain", 1.0), links)
    assert not check(shuffled(stream.rows(199), "domain", 1.0), links)


def test_the_order_of_rows_changes_nothing() -> None:
    stream = Stream(8, 0.05)
    batches = [stream.rows(200) for _ in range(WINDOWS)]
    order = np.random.default_rng(0).permutation(200 * WINDOWS)
    one = fit_determined(joined(batches), starts_of(batches), FEATURES)
    other = fit_determined(joined(batches).take(pa.array(order)), starts_of(batches)[order], FEATURES)
    assert [(link.by, link.feature, link.over) for link in one] == [
        (link.by, link.feature, link.over) for link in other
    ]
    assert [dict(zip(link.keys, link.values, strict=True)) for link in one] == [
        dict(zip(link.keys, link.values, strict=True)) for link in other
    ]


def test_features_of_most_signal_are_sought_first() -> None:
    signals = {f"f{number:02d}": number / 100 for number in range(40)}
    assert sought(signals) == [f"f{number:02d}" for number in range(39, 7, -1)]


def test_a_reference_keeps_its_links(tmp_path: Path) -> None:
    stream = Stream(9)
    batches = [stream.rows() for _ in range(WINDOWS)]
    counts = []
    for rows in batches:
        counts.append(FeatureCounts(FEATURES, "click"))
        counts[-1].update(rows)
    starts = [number * HOUR_US for number in range(WINDOWS)]
    sample = joined(batches).append_column(EVENT_TIME_US, pa.array(starts_of(batches)))
    reference = fit_reference(counts, HOUR_US, starts, sample)
    assert {("site", "domain"), ("site", "category")} <= pairs(tuple(reference.determined))
    again = Reference.load(reference.save(tmp_path / "reference"))
    rows = shuffled(stream.rows(), "category", 0.5)
    told = [check(rows, tuple(one.determined)) for one in (reference, again)]
    assert msgspec.json.encode(told[0]) == msgspec.json.encode(told[1])
    assert [one.subject for one in told[0]] == ["category"]

"""A bad window or two among twenty of the reference: the same fault is found as if they had been good."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from tests.kit.click_streams import NAMES, Clicks, Columns, findings

ROWS = 1_500
WINDOWS = 20


class Fault(NamedTuple):
    subject: str
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    rows: int = ROWS
    rate: float | None = None

    def window(self, clicks: Clicks) -> FeatureCounts:
        def apply(columns: Columns) -> None:
            if self.change is not None:
                columns[self.subject] = self.change(*columns[self.subject])

        return clicks.window(self.rows, apply, self.rate)


FAULTS = {
    "no value": Fault("campaign", lambda v, m: (v, np.ones_like(m))),
    "a fifth missing": Fault("campaign", lambda v, m: (v, m | (np.arange(v.size) % 5 == 0))),
    "constant": Fault("campaign", lambda v, m: (v * 0 + 3, m)),
    "another unit": Fault("campaign", lambda v, m: (v * 1_000, m)),
    "another salt": Fault("country", lambda v, m: (v + 10**6, m)),
    "a bot": Fault("site", lambda v, m: (np.where(np.arange(v.size) % 5 == 0, 10**7, v), m)),
    "values merged": Fault("strong", lambda v, m: (np.where(v == 3, 4, v), m)),
    "values that appear": Fault("empty", lambda v, m: (v, np.zeros_like(m))),
    "signal gone": Fault("strong", lambda v, m: (np.random.default_rng(0).permutation(v), m)),
    "a tenth of the rows": Fault("stream", rows=ROWS // 10),
    "a third of the clicks": Fault("stream", rate=0.06),
}


@pytest.mark.parametrize("places", [(0,), (7, 12)], ids=["one bad window", "two bad windows"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_reference_is_found_again(fault: Fault, places: tuple[int, ...]) -> None:
    clicks = Clicks(seed=4)
    windows = clicks.windows(WINDOWS, ROWS)
    clean = fit_reference(windows)
    for place in places:
        windows[place] = fault.window(clicks)
    poisoned = fit_reference(windows)
    again = fault.window(clicks)
    found = [(one.rule, one.subject) for one in findings(again, clean)]
    assert fault.subject in {subject for _, subject in found}
    assert [(one.rule, one.subject) for one in findings(again, poisoned)] == found
    assert findings(clicks.window(ROWS), poisoned) == []


@pytest.mark.parametrize("name", ["a tenth of the rows", "a third of the clicks"])
def test_a_window_odd_as_a_whole_is_as_if_it_had_not_been(name: str) -> None:
    clicks = Clicks(seed=4)
    windows = clicks.windows(WINDOWS, ROWS)
    poisoned, without = fit_reference([*windows, FAULTS[name].window(clicks)]), fit_reference(windows)
    assert (poisoned.windows, poisoned.left_out) == (WINDOWS, 1)
    assert (poisoned.volume, poisoned.click_rate, poisoned.features) == (
        without.volume,
        without.click_rate,
        without.features,
    )


@pytest.mark.parametrize("name", ["another salt", "a bot", "no value", "constant"])
def test_a_window_odd_in_one_feature_is_missing_there_alone(name: str) -> None:
    clicks, fault = Clicks(seed=4), FAULTS[name]
    windows = clicks.windows(WINDOWS, ROWS)
    poisoned, without = fit_reference([*windows, fault.window(clicks)]), fit_reference(windows)
    assert (poisoned.windows, poisoned.left_out) == (WINDOWS + 1, 0)
    assert {one for one in NAMES if poisoned.features[one].left_out} == {fault.subject}
    assert poisoned.features[fault.subject].left_out == 1
    assert poisoned.features[fault.subject].null_share == without.features[fault.subject].null_share
    assert poisoned.features[fault.subject].unseen_share == without.features[fault.subject].unseen_share
    assert poisoned.known_values[fault.subject].equals(without.known_values[fault.subject])


def test_values_that_few_windows_share_are_not_known_by_it() -> None:
    """Half of the values are new in every window: most rows of a clean window have a value that few others have."""
    rng = np.random.default_rng(2)

    def window(values: np.ndarray) -> FeatureCounts:
        counts = FeatureCounts(["x"], "click", max_values=600)
        counts.update(pa.record_batch({"x": values, "click": rng.integers(0, 2, values.size)}))
        return counts

    def clean() -> np.ndarray:
        return np.where(rng.random(2_000) < 0.5, rng.integers(0, 100, 2_000), rng.integers(1_000, 10**9, 2_000))

    salted = [window(clean() + 10**10) for _ in range(2)]
    reference = fit_reference([*(window(clean()) for _ in range(18)), *salted])
    assert reference.features["x"].left_out == 2
    assert not any(value >= 10**10 for value in reference.known_values["x"].to_list())
    assert [one.rule for one in findings(window(clean() + 10**10), reference)] == ["feature_unseen_values"]
    assert findings(window(clean()), reference) == []


def test_a_feature_that_changes_in_every_window_keeps_all_of_them() -> None:
    """Values of the hour: each is in one window, and that says nothing of the window."""
    windows = []
    for hour in range(24):
        counts = FeatureCounts(["hour"], "click")
        counts.update(pa.record_batch({"hour": [hour] * 400, "click": [0, 1] * 200}))
        windows.append(counts)
    reference = fit_reference(windows)
    assert reference.features["hour"].left_out == 0
    assert reference.known_values["hour"].to_list() == list(range(24))

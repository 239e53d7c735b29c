"""What people bring and look at: pandas and polars data frames in and out, saved detectors, short representations."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.outrank.selector import OutRankSelector
from sparsewatch.detectors.rows.estimator import RowOutlierDetector
from sparsewatch.detectors.wafers.estimator import WaferRecogniser
from tests.kit.click_streams import Clicks
from tests.kit.wafer_models import fresh_wafers, tiny_model


def frame(rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"size": rng.normal(size=rows), "site": rng.choice(["x", "y"], rows)}, index=rng.permutation(rows) + 1_000
    )


def test_a_pandas_index_is_no_column_and_stays_with_the_result() -> None:
    X = frame()
    detector = RowOutlierDetector(method="hbos", random_state=0).fit(X)
    assert list(detector.feature_names_in_) == ["size", "site"]
    judged = detector.judge(X)
    assert isinstance(judged, pd.DataFrame)
    assert judged.index.equals(X.index)
    assert (judged["outlier"].to_numpy() == (detector.predict(X) == -1)).all()
    np.testing.assert_array_equal(judged["p_value"], detector.p_values(X))
    # Any order of the rows is the same to it.
    again = detector.judge(X.sort_index())
    assert again.loc[X.index].equals(judged)


def test_each_kind_of_table_gives_its_own_kind() -> None:
    X = frame().reset_index(drop=True)
    detector = RowOutlierDetector(method="hbos", random_state=0).fit(X)
    of_pandas, of_polars, of_arrow = (detector.judge(x) for x in (X, pl.DataFrame(X), pa.Table.from_pandas(X)))
    assert isinstance(of_polars, pl.DataFrame)
    assert isinstance(of_arrow, pa.Table)
    assert of_polars.to_dict(as_series=False) == of_pandas.to_dict("list") == of_arrow.to_pydict()


def test_the_selector_gives_pandas_where_it_is_asked_for() -> None:
    X = frame()
    y = (X["site"] == "x").astype(int)
    chosen = OutRankSelector().fit(X, y).set_output(transform="pandas").transform(X)
    assert isinstance(chosen, pd.DataFrame)
    assert chosen.index.equals(X.index)
    assert "site" in chosen


def test_saved_detectors_are_read_back_in_a_call(tmp_path: Path) -> None:
    X = frame()
    detector = RowOutlierDetector(method="hbos", random_state=0).fit(X)
    detector.save(tmp_path / "rows")
    loaded = RowOutlierDetector.load(tmp_path / "rows", contamination=0.1)
    np.testing.assert_array_equal(loaded.p_values(X), detector.p_values(X))
    tiny_model().save(tmp_path / "wafer", metrics={"macro_f1": 0.9}, training={"wafers": 700})
    wafers = fresh_wafers("scratch", 3)
    recogniser = WaferRecogniser.load(tmp_path / "wafer")
    assert recogniser.predict(wafers).tolist() == WaferRecogniser.of(tiny_model()).predict(wafers).tolist()


@pytest.mark.parametrize(
    "shown",
    [
        lambda: RowOutlierDetector(method="hbos", random_state=0).fit(frame()).model_,
        tiny_model,
        lambda: fit_reference(Clicks(seed=1).windows(2, 300)),
        lambda: Clicks(seed=1).window(300),
    ],
    ids=["row model", "wafer model", "reference", "counts"],
)
def test_what_is_shown_in_a_notebook_is_a_line(shown: object) -> None:
    text = repr(shown())  # type: ignore[operator]
    assert len(text) < 200
    assert "\n" not in text
    assert " object at 0x" not in text

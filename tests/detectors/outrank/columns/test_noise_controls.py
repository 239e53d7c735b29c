import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.outrank.columns.codes import encode, joint_counts, marginal
from sparsewatch.detectors.outrank.columns.noise_controls import noise_controls
from sparsewatch.detectors.outrank.information.mutual_information import entropy, expected_mutual_information
from sparsewatch.schemas.errors import SchemaError

ROWS = 4000


@pytest.fixture
def table() -> pa.Table:
    rng = np.random.default_rng(7)
    return pa.table({"f": rng.integers(0, 9, ROWS), "g": rng.normal(size=ROWS), "click": rng.integers(0, 2, ROWS)})


def controls(table: pa.Table, seed: int = 0, first_row: int = 0) -> pa.RecordBatch:
    return noise_controls(table, "click", np.random.default_rng(seed), first_row=first_row)


def test_the_eleven_controls_have_the_names_of_the_public_tool(table: pa.Table) -> None:
    names = "constant0 gaussian uniform random-binary random-card100 random-card2k random-card10k random-card50k"
    expected = [f"CONTROL-{name}" for name in [*names.split(), "int-sequence", "target", "volume"]]
    batch = controls(table)
    assert batch.schema.names == expected
    assert all(column.null_count == 0 for column in batch.columns)


def test_the_same_chance_gives_the_same_controls(table: pa.Table) -> None:
    assert controls(table, 3).equals(controls(table, 3))
    assert not controls(table, 3).equals(controls(table, 4))


@pytest.mark.parametrize(("name", "highest"), [("binary", 1), ("card100", 100), ("card2k", 2_000), ("card50k", 50_000)])
def test_random_integers_fill_their_range(table: pa.Table, name: str, highest: int) -> None:
    values = controls(table).column(f"CONTROL-random-{name}").to_numpy()
    assert values.min() >= 0
    assert highest * 0.99 <= values.max() <= highest


def test_random_controls_say_no_more_of_the_label_than_chance(table: pa.Table) -> None:
    label = encode(table.column("click"))
    for name, column in zip(controls(table).schema.names, controls(table).columns, strict=True):
        if name == "CONTROL-target":
            continue
        feature = encode(column)
        joint = entropy(joint_counts(feature, label).rows)
        information = entropy(marginal(feature)) + entropy(marginal(label)) - joint
        assert abs(information - expected_mutual_information(marginal(feature), marginal(label))) < 0.02


def test_the_target_is_the_label_and_the_constant_is_one(table: pa.Table) -> None:
    batch = controls(table)
    assert batch.column("CONTROL-target").to_pylist() == table.column("click").to_pylist()
    assert set(batch.column("CONTROL-constant0").to_pylist()) == {0}


def test_the_sequence_goes_on_over_blocks(table: pa.Table) -> None:
    assert controls(table, first_row=50).column("CONTROL-int-sequence").to_numpy()[:2].tolist() == [50, 51]


def test_the_hash_of_a_row_tells_its_features_and_not_its_label() -> None:
    rows = pa.table({"f": ["a", "a", "b", None], "click": [0, 1, 0, 0]})
    first, second, third, fourth = controls(rows).column("CONTROL-volume").to_pylist()
    assert first == second
    assert len({first, third, fourth}) == 3


def test_a_label_alone_has_controls() -> None:
    assert controls(pa.table({"click": [0, 1]})).column("CONTROL-volume").to_pylist() == [0, 0]


def test_a_missing_label_is_named(table: pa.Table) -> None:
    with pytest.raises(SchemaError, match=r"expected a label 'y', got only \['click', 'f', 'g'\]"):
        noise_controls(table, "y", np.random.default_rng(0))

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

from sparsewatch.detectors.outrank.columns.codes import Codes, combine, encode, marginal
from sparsewatch.detectors.outrank.information.expected_pairs import expected_pairs
from sparsewatch.detectors.outrank.information.mutual_information import entropy, expected_mutual_information
from sparsewatch.detectors.outrank.pairs import pair_tables
from sparsewatch.detectors.outrank.pairs.pairwise import Measure, pairwise_scores
from sparsewatch.schemas.errors import ConfigError, SchemaError


def columns_of(rng: np.random.Generator, n: int, cardinalities: list[int]) -> dict[str, Codes]:
    """Columns of even and of long-tailed values, some with a part of the first one's in them."""
    columns: dict[str, Codes] = {}
    hidden = rng.integers(0, 50, n)
    for i, k in enumerate(cardinalities):
        values = np.minimum(rng.zipf(1.3, n), k) if i % 2 else rng.integers(0, k, n)
        columns[f"x{i}"] = encode(np.where(rng.random(n) < 0.3, hidden % k, values))
    return columns


CARDINALITIES = [1, 2, 2, 2, 3, 3, 4, 5, 7, 12, 20, 33, 80, 300, 500, 1_500, 2_500, 3_000]


@pytest.mark.long
@pytest.mark.parametrize("measure", ["mutual_information", "score", "redundancy"])
def test_every_pair_is_what_scikit_learn_says(measure: Measure) -> None:
    columns = columns_of(np.random.default_rng(0), 3_000, CARDINALITIES)
    columns["id"] = encode(np.arange(3_000))
    result = pairwise_scores(columns, measure=measure)
    codes = [column.codes for column in columns.values()]
    expected = np.zeros_like(result.matrix)
    for i, a in enumerate(codes):
        for j, b in enumerate(codes[: i + 1]):
            if measure == "redundancy":
                alike = {"average_method": "max"}
                expected[i, j] = 1 if i == j else _no_chance_alone(adjusted_mutual_info_score(a, b, **alike))
            else:
                expected[i, j] = mutual_info_score(a, b)
            if measure == "score":
                own = [marginal(columns[result.names[k]]) for k in (i, j)]
                expected[i, j] -= expected_mutual_information(*own)
            expected[j, i] = expected[i, j]
    assert result.names == tuple(columns)
    assert result.matrix == pytest.approx(expected, abs=2e-7 if measure == "redundancy" else 1e-9)


def _no_chance_alone(value: float) -> float:
    return 0.0 if value == 1 else value


@settings(max_examples=60)
@given(
    st.integers(1, 300),
    st.lists(st.integers(1, 400), min_size=1, max_size=7),
    st.sampled_from([0, 16, 1 << 16]),
    st.sampled_from([1, 8, 64, 512]),
    st.integers(0, 2**32 - 1),
)
def test_any_way_of_counting_gives_the_same(
    n: int, cardinalities: list[int], dense: int, packed: int, seed: int
) -> None:
    columns = columns_of(np.random.default_rng(seed), n, cardinalities)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_tables, "CELLS", dense)
        patch.setattr(pair_tables, "CELLS_PER_ROW", 0)
        patch.setattr(pair_tables, "PACKED", packed)
        matrix = pairwise_scores(columns, measure="mutual_information").matrix
    for i, a in enumerate(columns.values()):
        for j, b in enumerate(columns.values()):
            shared = entropy(marginal(a)) + entropy(marginal(b)) - entropy(marginal(combine([a, b])))
            assert matrix[i, j] == pytest.approx(shared, abs=1e-12)


def test_threads_and_order_of_columns_change_no_bit() -> None:
    columns = columns_of(np.random.default_rng(1), 2_000, CARDINALITIES)
    one = pairwise_scores(columns, measure="mutual_information", threads=1)
    four = pairwise_scores(columns, measure="mutual_information", threads=4)
    assert np.array_equal(one.matrix, four.matrix)
    turned = pairwise_scores(dict(reversed(columns.items())), measure="redundancy").matrix[::-1, ::-1]
    assert turned == pytest.approx(pairwise_scores(columns).matrix, abs=1e-12)
    assert np.array_equal(one.matrix, one.matrix.T)


def test_redundancy_is_one_for_renamed_values_and_nothing_for_chance() -> None:
    rng = np.random.default_rng(2)
    n = 20_000
    x = rng.integers(0, 1_000, n)
    columns = {
        "x": encode(x),
        "renamed": encode(rng.permutation(1_000)[x]),
        "coarse": encode(x // 100),
        "chance": encode(rng.integers(0, 5_000, n)),
        "id": encode(np.arange(n)),
        "constant": encode(np.zeros(n)),
    }
    matrix = pairwise_scores(columns).matrix
    assert matrix[0, 1] == pytest.approx(1.0)
    # Knowing x one knows `coarse`, and not the other way round.
    assert matrix[0, 2] == pytest.approx(np.log(10) / np.log(1_000), abs=0.03)
    assert np.abs(matrix[:3, 3]).max() < 0.01
    assert np.abs(matrix[4:, :4]).max() < 1e-9
    assert np.all(np.diag(matrix) == 1)


@pytest.mark.parametrize("n", [40, 1_000, 30_000])
def test_expectations_of_all_pairs_equal_those_of_each(n: int) -> None:
    rng = np.random.default_rng(n)
    marginals = [np.bincount(np.minimum(rng.zipf(1.1 + rng.random(), n), n // 3)) for _ in range(20)]
    marginals += [np.bincount(rng.integers(0, k, n)) for k in (2, 3, 10, n // 4)]
    marginals += [np.array([n]), np.array([1, n - 1]), np.array([20, n - 20]), np.ones(n, np.int64)]
    matrix = expected_pairs(marginals)
    for i, a in enumerate(marginals):
        for j in rng.choice(len(marginals), 3):
            assert matrix[i, j] == pytest.approx(expected_mutual_information(a, marginals[j]), rel=1e-9, abs=1e-13)


def test_progress_ends_with_all_pairs() -> None:
    columns = columns_of(np.random.default_rng(3), 500, CARDINALITIES)
    columns["id"] = encode(np.arange(500))
    calls: list[tuple[int, int]] = []
    pairwise_scores(columns, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (171, 171)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"equally many rows, at least one of each, got \{\}"):
        pairwise_scores({})
    with pytest.raises(SchemaError, match=r"got \{'a': 2, 'b': 3\}"):
        pairwise_scores({"a": encode([1, 2]), "b": encode([1, 2, 3])})
    with pytest.raises(SchemaError, match="at least one of each"):
        pairwise_scores({"a": Codes(np.zeros(0, np.int32), 0)})


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"measure: expected one of .*, got 'MI'"):
        pairwise_scores({"a": encode([1, 2])}, measure="MI")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="threads: expected a whole number of at least 1, got 0"):
        pairwise_scores({"a": encode([1, 2])}, threads=0)

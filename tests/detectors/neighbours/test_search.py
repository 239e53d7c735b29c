import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from sparsewatch.detectors.neighbours.products import Matrix, Products
from sparsewatch.detectors.neighbours.search import NearestSearch, k_nearest
from sparsewatch.schemas.errors import ConfigError, SchemaError

Found = tuple[NDArray[np.float32], NDArray[np.int64]]


def slow(queries: np.ndarray, reference: np.ndarray, k: int, exclude: np.ndarray | None = None) -> Found:
    """All distances in float64, sorted; of equal ones the lower place first."""
    squares = cdist(queries.astype(np.float64), reference.astype(np.float64), "sqeuclidean")
    if exclude is not None:
        squares[np.arange(len(queries)), exclude] = np.inf
    places = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(squares, places, axis=1)).astype(np.float32), places


def assert_same(found: Found, expected: Found) -> None:
    np.testing.assert_allclose(found[0], expected[0], rtol=2e-7, atol=0)
    np.testing.assert_array_equal(found[1], expected[1])


def rows_of(kind: str, rng: np.random.Generator, n: int, d: int) -> NDArray[np.float32]:
    """Rows of one of the kinds that make a search hard."""
    X = rng.standard_normal((n, d))
    if kind == "whole numbers":
        X = np.round(X)
    elif kind == "few distinct":
        X = X[rng.integers(0, max(1, n // 10), n)]
    elif kind == "all equal":
        X = np.repeat(X[:1], n, axis=0)
    elif kind == "far from the origin":
        X = X + 1e4
    elif kind == "far apart":
        X = X + 1e4 * rng.integers(0, 2, (n, 1))
    elif kind == "tiny":
        X = X * 1e-25
    elif kind == "one far out":
        X[-1] = 1e12
    return X.astype(np.float32)


KINDS = (
    "normal",
    "whole numbers",
    "few distinct",
    "all equal",
    "far from the origin",
    "far apart",
    "tiny",
    "one far out",
)


@settings(max_examples=60)
@given(data=st.data(), kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32))
def test_the_nearest_are_those_of_all_distances_in_float64(data: st.DataObject, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = data.draw(st.integers(2, 700), label="n"), data.draw(st.sampled_from([1, 2, 5, 7, 20]), label="d")
    k = data.draw(st.integers(1, min(n - 1, 25)), label="k")
    reference = rows_of(kind, rng, n, d)
    own = rng.permutation(n)[:50]
    assert_same(k_nearest(reference[own], reference, k, exclude=own), slow(reference[own], reference, k, own))
    others = np.concatenate([rows_of(kind, rng, 20, d), reference[own]])
    assert_same(k_nearest(others, reference, k), slow(others, reference, k))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_this_holds_for_references_of_several_tiles(kind: str, dtype: type) -> None:
    rng = np.random.default_rng(1)
    reference: Matrix = rows_of(kind, rng, 5_000, 24).astype(dtype)
    queries = reference[::50] + rng.standard_normal((100, 24)).astype(dtype) * dtype(1e-3)
    if kind in ("whole numbers", "few distinct", "all equal"):
        queries = reference[::50]
    assert_same(k_nearest(queries, reference, 12), slow(queries, reference, 12))


def test_many_ties_are_borne() -> None:
    reference = np.random.default_rng(0).integers(0, 2, (4_000, 12)).astype(np.float32)
    own = np.arange(0, 4_000, 10)
    assert_same(k_nearest(reference[own], reference, 20, exclude=own), slow(reference[own], reference, 20, own))


def test_more_candidates_than_a_block_may_have_are_looked_at_in_parts() -> None:
    reference = rows_of("whole numbers", np.random.default_rng(0), 500, 8)
    own = np.arange(500)
    search = NearestSearch.over(reference, 5, pairs=300)
    assert_same(search.k_nearest(reference, 5, exclude=own), slow(reference, reference, 5, own))


def test_a_centred_product_alone_would_be_wrong() -> None:
    """The rows lie apart by less than the product's rounding, yet the order is right."""
    rng = np.random.default_rng(0)
    reference = rows_of("far apart", rng, 600, 10)
    centred = reference - reference.mean(axis=0)
    lengths = np.square(centred).sum(axis=1)
    rough = lengths[:, None] - 2 * centred @ centred.T + lengths
    own = np.arange(600)
    expected = slow(reference, reference, 3, own)
    np.fill_diagonal(rough, np.inf)
    assert (np.argsort(rough, axis=1)[:, :3] != expected[1]).any()
    assert_same(k_nearest(reference, reference, 3, exclude=own), expected)


@pytest.mark.parametrize("kind", ["normal", "far from the origin"])
def test_candidates_are_few_wherever_the_rows_lie(kind: str) -> None:
    reference = rows_of(kind, np.random.default_rng(0), 5_000, 30)
    products = Products.over(reference, 10)
    query, _ = products.members(products.near_groups(reference[:200], 10))
    assert 10 <= len(query) / 200 < 15


@pytest.mark.parametrize("d", [3, 40])
def test_a_result_does_not_depend_on_the_queries_around_it_or_on_threads(d: int) -> None:
    rng = np.random.default_rng(d)
    queries, reference = (rng.standard_normal((n, d)).astype(np.float32) for n in (1_000, 3_000))
    search = NearestSearch.over(reference, 10)
    whole = search.k_nearest(queries, 10, threads=2)
    parts = [search.k_nearest(part, 10) for part in np.split(queries, [1, 300, 300, 777])]
    for together, apart in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(together, np.concatenate(apart))


def test_a_copy_of_ones_own_row_counts_and_zero_has_one_sign() -> None:
    reference: Matrix = np.array([[0.0, 1], [-0.0, 1], [3, 5]], dtype=np.float32)
    distances, places = k_nearest(reference, reference, 1, exclude=np.arange(3))
    assert distances.tolist() == [[0], [0], [5]]
    assert places.tolist() == [[1], [0], [0]]


def test_no_queries_have_no_neighbours() -> None:
    distances, places = k_nearest(np.zeros((0, 9), np.float32), np.ones((5, 9), np.float32), 2)
    assert distances.shape == places.shape == (0, 2)


def test_what_cannot_be_searched_is_refused() -> None:
    X = np.zeros((5, 2), dtype=np.float32)
    with pytest.raises(ConfigError, match="expected 1 to 4 neighbours, got 5"):
        k_nearest(X, X, 5, exclude=np.arange(5))
    with pytest.raises(ConfigError, match="got 0"):
        k_nearest(X, X, 0)
    with pytest.raises(ConfigError, match="expected 1 to 2 neighbours, got 3"):
        NearestSearch.over(X, 2).k_nearest(X, 3)
    for bad in (np.nan, np.inf, 1e30):
        with pytest.raises(SchemaError, match="queries: expected numbers within"):
            k_nearest(np.full((1, 2), bad, np.float32), X, 1)
        with pytest.raises(SchemaError, match="reference: expected numbers within"):
            k_nearest(X, np.full((1, 2), bad, np.float32), 1)
    with pytest.raises(SchemaError, match="expected 2 columns, got 3"):
        k_nearest(np.zeros((1, 3), np.float32), X, 1)
    with pytest.raises(SchemaError, match="expected rows and columns"):
        k_nearest(X, X[:0], 1)
    with pytest.raises(SchemaError, match="float32 or float64"):
        k_nearest(X.astype(int), X, 1)

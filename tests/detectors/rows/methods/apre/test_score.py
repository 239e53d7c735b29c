import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparsewatch.detectors.rows.methods.apre.score import LIKELIHOOD, ScoreConfig, score, score_terms, variance
from sparsewatch.schemas.errors import ConfigError

FLOATS = st.floats(-20, 20)


def sample(seed: int, n: int = 40, d: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, raw variance and target in float64."""
    rng = torch.Generator().manual_seed(seed)
    draws = [torch.randn(n, d, generator=rng, dtype=torch.float64) for _ in range(3)]
    return draws[0], 2 * draws[1], draws[2]


def weights(alpha: float, beta: float) -> ScoreConfig:
    return ScoreConfig(alpha=alpha, beta=beta, variance_floor=0.0)


@pytest.mark.parametrize(
    ("residual", "raw", "alpha", "beta", "expected"),
    [
        (0, 0, 1, 1, -0.366498),
        (1, 0, 1, 1, 1.076176),
        (1, 0, 0.5, 2, -0.011660),
        (2, 0, 0.5, 2, 2.152351),
        (0, -20, 1, 1, -11.512719),
        (0, -20, 0.5, 2, -23.025439),
        (1, 5, 0.5, 2, 3.321430),
    ],
)
def test_closed_forms_in_one_dimension(residual: float, raw: float, alpha: float, beta: float, expected: float) -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    value = score(one * residual, one * raw, one * 0, weights(alpha, beta))
    assert value.item() == pytest.approx(expected, abs=1e-6)


@given(mean=FLOATS, raw=st.floats(-200, 50), target=FLOATS)
def test_score_matches_its_formula_and_lower_bound(mean: float, raw: float, target: float) -> None:
    v = math.log1p(math.exp(raw)) + 1e-5
    tensors = [torch.tensor([[x]], dtype=torch.float64) for x in (mean, raw, target)]
    value = score(tensors[0], tensors[1], tensors[2], weights(0.5, 2)).item()
    assert value == pytest.approx(0.5 * (mean - target) ** 2 / v + 2 * math.log(v), rel=1e-9)
    assert value >= 2 * math.log(1e-5) - 1e-9


def test_unit_weights_give_twice_the_gaussian_likelihood() -> None:
    mean, raw, target = sample(1)
    loss = torch.nn.GaussianNLLLoss(full=True, reduction="none", eps=0.0)
    expected = 2 * loss(mean, target, variance(raw)).sum(dim=1) - 6 * math.log(2 * math.pi)
    torch.testing.assert_close(score(mean, raw, target, LIKELIHOOD), expected)


@pytest.mark.parametrize(("alpha", "beta", "residual"), [(1, 1, 0.7), (0.5, 2, 3.0)])
def test_a_term_is_least_where_the_theory_says(alpha: float, beta: float, residual: float) -> None:
    best = alpha / beta * residual**2
    spreads = best * torch.linspace(0.5, 2, 301, dtype=torch.float64)[:, None]
    raw = torch.log(torch.expm1(spreads - 1e-5))
    values = score(raw * 0 + residual, raw, raw * 0, weights(alpha, beta))
    least = beta * (1 + math.log(alpha * residual**2 / beta))
    assert values.min().item() == pytest.approx(least, abs=1e-4)
    assert spreads[values.argmin()].item() == pytest.approx(best, rel=0.01)


@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100))
def test_ranking_depends_on_the_ratio_of_the_weights_only(seed: int, factor: float) -> None:
    mean, raw, target = sample(seed)
    one = score(mean, raw, target, weights(0.5, 2))
    other = score(mean, raw, target, weights(0.5 * factor, 2 * factor))
    torch.testing.assert_close(other, factor * one)
    assert torch.equal(one.argsort(), other.argsort())


def test_constant_variance_ranks_like_the_squared_error() -> None:
    mean, raw, target = sample(2)
    ranked = score(mean, torch.full_like(raw, 0.3), target, weights(0.5, 2)).argsort()
    assert torch.equal(ranked, (mean - target).square().sum(dim=1).argsort())


def test_terms_sum_to_the_score_and_follow_their_features() -> None:
    mean, raw, target = sample(3)
    config = ScoreConfig()
    terms = score_terms(mean, raw, target, config)
    torch.testing.assert_close(terms.sum(dim=1), score(mean, raw, target, config))
    order = torch.tensor([3, 1, 0, 2, 5, 4])
    swapped = score_terms(mean[:, order], raw[:, order], target[:, order], config)
    assert torch.equal(swapped, terms[:, order])


def test_without_variances_the_score_is_the_squared_error() -> None:
    mean, _, target = sample(4)
    expected = [sum((a - b) ** 2 for a, b in zip(*rows, strict=True)) for rows in zip(mean, target, strict=True)]
    torch.testing.assert_close(score(mean, None, target, ScoreConfig()), torch.stack(expected))


def test_several_targets_score_like_each_alone() -> None:
    mean, raw, target = sample(5)
    targets = torch.stack([target, target + 1, mean])
    expected = torch.stack([score(mean, raw, one, ScoreConfig()) for one in targets])
    torch.testing.assert_close(score(mean, raw, targets, ScoreConfig()), expected)


def test_floor_changes_only_smaller_variances() -> None:
    raw = torch.tensor([-30.0, -6.0, 0.0, 4.0])
    floored = variance(raw, 1e-2)
    assert floored[:2].tolist() == pytest.approx([1e-2, 1e-2])
    assert torch.equal(floored[2:], variance(raw)[2:])


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"beta": -1.0}, {"variance_floor": -1.0}, {"alpha": float("nan")}])
def test_wrong_weights_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ScoreConfig(**wrong)

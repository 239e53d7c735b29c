from typing import Any

import numpy as np
import pytest
import torch

from sparsewatch.detectors.rows.methods.apre.loss import mean_loss, row_losses
from sparsewatch.detectors.rows.methods.apre.net import Autoencoder
from sparsewatch.detectors.rows.methods.apre.score import variance
from sparsewatch.detectors.rows.methods.apre.train import TrainConfig, fit_net, new_net, train_net
from sparsewatch.schemas.errors import ConfigError


def noise(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def weights(net: Autoencoder) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in net.state_dict().values()])


def loss(net: Autoencoder, X: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return row_losses(net, torch.from_numpy(X))


@pytest.mark.parametrize("batch_rows", [200, 64])
def test_a_seed_repeats_to_the_bit_and_another_differs(batch_rows: int) -> None:
    X = noise(300, 5)
    nets = [train_net(X, TrainConfig(steps=20, batch_rows=batch_rows), seed) for seed in (7, 7, 8)]
    assert torch.equal(weights(nets[0]), weights(nets[1]))
    assert not torch.equal(weights(nets[0]), weights(nets[2]))


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train_net(noise(50, 3), TrainConfig(steps=2), 0)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("batch_rows", [1000, 100])
def test_training_lowers_the_loss_of_rows_on_a_line(batch_rows: int) -> None:
    X = noise(1000, 1) @ np.ones((1, 6), dtype=np.float32)
    seen: list[tuple[int, float]] = []
    config = TrainConfig(steps=300, batch_rows=batch_rows)
    net = train_net(X, config, 0, lambda step, value: seen.append((step, value)))
    assert [step for step, _ in seen] == list(range(1, 301))
    assert loss(net, X).mean() < seen[0][1] - 6


def test_variance_of_isotropic_noise_is_stationary() -> None:
    X = noise(1000, 8)
    net = train_net(X, TrainConfig(steps=1500, learning_rate=3e-3), 0)
    rows = torch.from_numpy(X)
    with torch.no_grad():
        mean, raw = net(rows)
    v = variance(raw)
    # The derivative of the loss by the bias of each raw variance, relative to its positive part.
    weight = torch.sigmoid(raw) / v
    scaled = (weight * (rows - mean).square() / v).sum(dim=0) / weight.sum(dim=0)
    assert scaled.tolist() == pytest.approx([1.0] * 8, abs=0.1)


def test_one_batch_covers_each_row_at_most_once() -> None:
    X = np.arange(30, dtype=np.float32)[:, None]
    seen: list[torch.Tensor] = []
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, args: seen.append(args[0].flatten()) if isinstance(module, torch.nn.Sequential) else None
    )
    try:
        train_net(X, TrainConfig(steps=6, batch_rows=10), 0)
    finally:
        hook.remove()
    for epoch in (seen[:3], seen[3:]):
        assert sorted(torch.cat(epoch).tolist()) == X[:, 0].tolist()
    assert not torch.equal(seen[0], seen[3])


def test_trimming_leaves_the_odd_rows_out() -> None:
    X = noise(400, 4)
    X[:20] += 12
    losses = [loss(train_net(X, TrainConfig(steps=400, trim_share=share), 0), X)[:20].mean() for share in (0.0, 0.1)]
    assert losses[1] > 2 * losses[0]


@pytest.mark.parametrize("probabilistic", [True, False])
def test_the_loss_and_its_gradient_are_those_of_autograd(probabilistic: bool) -> None:
    net, rows = new_net(6, 3, probabilistic), torch.from_numpy(noise(50, 6))
    with torch.no_grad():
        net.layers[-1].bias.mul_(20)  # type: ignore[operator]
    found = []
    for loss_of in (mean_loss, lambda net, rows: row_losses(net, rows).mean()):
        net.zero_grad()
        value = loss_of(net, rows)
        value.backward()  # type: ignore[no-untyped-call]
        found.append((value.detach(), [weight.grad.clone() for weight in net.parameters() if weight.grad is not None]))
    torch.testing.assert_close(found[0], found[1])


def test_squared_error_is_learned_without_variances() -> None:
    X = noise(400, 1) @ np.ones((1, 6), dtype=np.float32)
    seen: list[tuple[int, float]] = []
    net = train_net(X, TrainConfig(steps=300), 0, lambda *step: seen.append(step), probabilistic=False)
    errors = loss(net, X)
    assert errors.mean() < 0.4 * seen[0][1]
    assert seen[0][1] == pytest.approx(float(loss(new_net(6, 0, probabilistic=False), X).mean()), rel=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("probabilistic", [True, False])
def test_a_device_trains_like_the_processor(monkeypatch: pytest.MonkeyPatch, probabilistic: bool) -> None:
    X, config = noise(300, 6), TrainConfig(steps=30, batch_rows=64)
    there = train_net(X, config, 0, probabilistic=probabilistic)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = train_net(X, config, 0, probabilistic=probabilistic)
    torch.testing.assert_close(weights(there), weights(here), rtol=1e-2, atol=1e-3)


def test_the_step_size_is_halved_again_and_again() -> None:
    rows = torch.zeros(20, 1)
    net = new_net(1, 0, probabilistic=False)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    # The gradient of the output's bias is constant for a target far away, so Adam moves it by the step size.
    seen: list[float] = []
    fit_net(
        net, rows + 1e6, TrainConfig(steps=6, halve_every=2), 0, lambda *_: seen.append(float(net(rows)[0][0].detach()))
    )
    assert np.diff(seen, prepend=0) == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4], rel=1e-3)


def test_training_ends_where_it_is_told_to() -> None:
    seen: list[int] = []
    train_net(noise(20, 2), TrainConfig(steps=50), 0, lambda step, _: seen.append(step) or step == 3)  # type: ignore[func-returns-value]
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_rows": 0},
        {"learning_rate": 0.0},
        {"trim_share": 1.0},
        {"trim_after": -1},
        {"halve_every": -1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainConfig(**wrong)

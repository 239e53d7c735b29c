import pytest
import torch

from sparsewatch.detectors.rows.methods.apre.net import Autoencoder, layer_widths


@pytest.mark.parametrize(
    ("n_features", "widths"),
    [
        (8, (8, 4, 16)),
        (19, (19, 10, 38)),
        (20, (20, 10, 5, 10, 40)),
        (64, (64, 32, 16, 32, 128)),
        (150, (150, 75, 38, 19, 38, 75, 300)),
        (274, (274, 137, 68, 17, 68, 137, 548)),
        (1, (1, 1, 2)),
    ],
)
def test_widths_are_those_of_the_published_code(n_features: int, widths: tuple[int, ...]) -> None:
    assert layer_widths(n_features) == widths


@pytest.mark.parametrize("n_features", [1, 8, 64, 150, 274])
def test_without_variances_only_the_output_is_narrower(n_features: int) -> None:
    assert layer_widths(n_features, probabilistic=False) == (*layer_widths(n_features)[:-1], n_features)


def test_without_variances_there_is_a_mean_alone() -> None:
    net = Autoencoder(3, probabilistic=False)
    rows = torch.zeros(5, 3)
    mean, raw = net(rows)
    assert torch.equal(mean, net.layers(rows))
    assert raw is None


def test_layers_have_these_widths_and_relu_between_all_but_the_last() -> None:
    layers = list(Autoencoder(64).layers)
    linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [
        (64, 32),
        (32, 16),
        (16, 32),
        (32, 128),
    ]
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU"] * 3 + ["Linear"]


def test_output_halves_are_mean_and_raw_variance() -> None:
    net = Autoencoder(3)
    rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    last = net.layers[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias[:3] += 100.0
        mean, raw = net(rows)
    assert mean.shape == raw.shape == (5, 3)
    assert mean.min() > 50
    assert raw.abs().max() < 50


def test_no_features_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one feature, got 0"):
        layer_widths(0)

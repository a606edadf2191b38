"""Networks and localisation nets: equal size, identity start, the paper's layers, every family."""

import pytest
import torch
from torch import nn

from stn_cli.core.families import FAMILIES, make
from stn_cli.core.localisation import Localisation, connected_localisation, convolutional_localisation
from stn_cli.core.sampler import sample
from stn_cli.errors import OptionError, StnError
from stn_cli.learn.networks import BUDGET, MODELS, Network, build, count, design


@pytest.mark.parametrize("net_size", ["small", "paper"])
@pytest.mark.parametrize("in_size", [28, 42, 60])
def test_networks_to_compare_have_the_same_size(net_size, in_size):
    counts = [count(design(model, in_size, net_size)) for model in MODELS]
    assert max(counts) / min(counts) < 1.1
    assert all(abs(c / BUDGET[net_size] - 1) < 0.05 for c in counts)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("model", ["st-fcn", "st-cnn"])
def test_every_family_starts_at_the_identity(model, family):
    net = build(design(model, 28, "paper", family), seed=0)
    images = torch.rand(3, 1, 28, 28)
    seen = net(images)
    identity = torch.tensor(net.transformer.family.identity())
    assert torch.equal(seen.theta, identity.expand(3, -1))
    assert torch.allclose(seen.V, images, atol=2e-5)
    assert seen.scores.shape == (3, 10)


@pytest.mark.parametrize("make_net", [connected_localisation, convolutional_localisation])
def test_the_gradient_reaches_the_whole_localisation_net_after_one_step(make_net):
    net = make_net(2, (28, 32), make("similarity"))
    U = torch.rand(4, 2, 28, 32)
    for _ in range(2):
        net.zero_grad()
        (net(U) * torch.tensor([1.0, -2.0, 3.0, 0.5])).sum().backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.01 * p.grad
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())


def test_any_trunk_will_do():
    trunk = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    net = Localisation(trunk, 12, make("attention"))
    assert net(torch.rand(5, 3, 9, 9)).tolist() == [[1, 0, 0]] * 5


def test_paper_layers():
    net = Network(design("st-cnn", 28, "paper"))
    kernels = [m.kernel_size for m in net.features if isinstance(m, nn.Conv2d)]
    assert kernels == [(9, 9), (7, 7)]
    trunk = net.localisation.trunk
    assert [(m.out_channels, m.kernel_size) for m in trunk if isinstance(m, nn.Conv2d)] == [(20, (5, 5))] * 2
    assert [m.out_features for m in trunk if isinstance(m, nn.Linear)] == [20]
    connected = Network(design("st-fcn", 28, "paper")).localisation.trunk
    assert len([m for m in connected if isinstance(m, nn.Linear)]) == 3


def test_pooling_after_the_transformer_for_the_large_inputs_as_in_the_paper():
    assert [design("st-cnn", size).pool for size in (28, 42, 60)] == [False, True, True]
    assert not design("cnn", 42).pool
    seen = Network(design("st-cnn", 42))(torch.rand(2, 1, 42, 42))
    assert seen.V.shape[-1] == 42


def test_st_size_and_feed_theta():
    made = design("st-cnn", 28, st_size=20, feed_theta=True)
    net = Network(made)
    seen = net(torch.rand(2, 1, 28, 28))
    assert seen.V.shape == (2, 1, 20, 20)
    assert net.scores.in_features == made.hidden + 6


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_generator_alone():
    torch.manual_seed(1)
    before = torch.rand(1)
    torch.manual_seed(1)
    first, second, other = (build(design("cnn", 28), seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.scores.weight, other.scores.weight)


def test_what_cannot_be_is_said():
    with pytest.raises(OptionError, match="--st-size"):
        design("cnn", 28, st_size=20)
    with pytest.raises(OptionError, match="--st-size: 8"):
        design("st-cnn", 28, st_size=8)
    with pytest.raises(StnError, match="at least 28×28"):
        convolutional_localisation(1, (26, 28), make("affine"))


@pytest.mark.parametrize("model", MODELS)
def test_bfloat16_is_kept_away_from_theta_grid_and_scores(model):
    net = build(design(model, 28, family="tps"), seed=0)
    if net.localisation is not None:
        nn.init.normal_(net.localisation.regression.weight, std=0.3)
    images = torch.rand(16, 1, 28, 28)
    dtypes = []
    net.features[-1].register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    plain = net(images)
    net.precision = "bfloat16"
    seen = net(images)
    assert dtypes == [torch.float32, torch.bfloat16]
    assert seen.scores.dtype == torch.float32
    assert 0 < (seen.scores - plain.scores).abs().max() < 0.03
    if seen.theta is not None:
        family = net.transformer.family
        assert 0 < (seen.theta - plain.theta).abs().max() < 0.03
        assert torch.equal(seen.grid, family.grid(seen.theta, (28, 28)))
        assert torch.equal(seen.V, sample(images, seen.grid))
        low = seen.theta.bfloat16().float()
        assert not torch.equal(low, seen.theta)  # more than eight bits of it
    sum(t.sum() for t in (seen.scores, seen.V) if t is not None).backward()
    assert all(p.grad.dtype == torch.float32 for p in net.parameters() if p.grad is not None)

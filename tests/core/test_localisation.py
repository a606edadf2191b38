"""Localisation nets against their layers written out with torch's functions."""

import pytest
import torch
from torch.nn import functional as F

from stn_cli.core.families import make
from stn_cli.core.localisation import connected_localisation, convolutional_localisation
from stn_cli.errors import StnError


def awake(net):
    """Weights as after some training: at the start θ is the identity whatever the trunk says."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return net


@pytest.mark.parametrize(("in_size", "options"), [((28, 33), {}), ((20, 26), {"filters": 3, "hidden": 7, "kernel": 3})])
def test_the_convolutional_net_is_its_layers(in_size, options):
    net = awake(convolutional_localisation(2, in_size, make("similarity"), **options))
    first, second, hidden, last = [tuple(m.parameters()) for m in net.modules() if len(list(m.children())) == 0
                                   and list(m.parameters())]  # fmt: skip
    filters, units, kernel = options.get("filters", 20), options.get("hidden", 20), options.get("kernel", 5)
    assert first[0].shape == (filters, 2, kernel, kernel)
    assert hidden[0].shape[0] == units
    U = torch.rand(3, 2, *in_size, generator=torch.Generator().manual_seed(1))
    x = F.relu(F.max_pool2d(F.conv2d(F.avg_pool2d(U, 2), *first), 2))
    x = F.relu(F.linear(F.relu(F.conv2d(x, *second)).flatten(1), *hidden))
    torch.testing.assert_close(net(U), F.linear(x, *last))


@pytest.mark.parametrize(("options", "widths"), [({}, [32, 32, 32]), ({"hidden": (5,)}, [5]), ({"hidden": ()}, [])])
def test_the_connected_net_is_its_layers(options, widths):
    net = awake(connected_localisation(2, (3, 5), make("affine"), **options))
    *layers, last = [tuple(m.parameters()) for m in net.modules() if isinstance(m, torch.nn.Linear) and m is not net.regression
                     ] + [tuple(net.regression.parameters())]  # fmt: skip
    assert [len(bias) for _, bias in layers] == widths
    x = U = torch.rand(4, 2, 3, 5, generator=torch.Generator().manual_seed(1))
    x = x.flatten(1)
    for layer in layers:
        x = F.relu(F.linear(x, *layer))
    torch.testing.assert_close(net(U), F.linear(x, *last))


@pytest.mark.parametrize(("kernel", "smallest"), [(5, 28), (3, 16), (7, 40)])
def test_the_smallest_input_is_told_and_will_do(kernel, smallest):
    for in_size in ((smallest, smallest), (smallest, smallest + 3)):
        net = convolutional_localisation(1, in_size, make("affine"), kernel=kernel)
        assert net(torch.zeros(1, 1, *in_size)).tolist() == [[1, 0, 0, 0, 1, 0]]
    for height, width in ((smallest - 1, smallest), (smallest, smallest - 1)):
        with pytest.raises(StnError) as caught:
            convolutional_localisation(1, (height, width), make("affine"), kernel=kernel)
        said = str(caught.value)
        for part in ("convolutional localisation net", f"{kernel}×{kernel} kernels",
                     f"at least {smallest}×{smallest}, not {width}×{height}"):  # fmt: skip
            assert part in said


def test_theta_is_regressed_in_full_precision_under_autocast():
    net = awake(connected_localisation(1, (4, 4), make("affine")))
    with torch.autocast("cpu", torch.bfloat16):
        theta = net(torch.rand(2, 1, 4, 4))
    assert theta.dtype == torch.float32
    assert not torch.equal(theta, theta.to(torch.bfloat16).float())

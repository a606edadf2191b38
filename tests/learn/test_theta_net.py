"""Nets as sources of θ: what they see of a picture, and whose frame θ comes back in."""

import sys
import textwrap

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stn_cli.core.families import make
from stn_cli.core.transformation import Transformation
from stn_cli.errors import FileError, OptionError, StnError
from stn_cli.learn import checkpoint
from stn_cli.learn.digits import make_digits
from stn_cli.learn.networks import build, design
from stn_cli.learn.theta_net import CheckpointNet, as_seen, open_net, shipped, to_picture


def a_net(family="affine", seed=3, spread=2.0):
    net = build(design("st-cnn", 28, family=family), seed)
    with torch.no_grad():
        net.localisation.regression.weight.normal_(0, spread, generator=torch.Generator().manual_seed(0))
    return net.eval()


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path / "net.safetensors", a_net(), "digits", "R", {})
    return tmp_path / "net.safetensors"


@pytest.fixture(scope="module")
def digit():
    return make_digits(10, 0)[0][0]


def test_a_picture_of_the_nets_own_size_is_seen_as_it_is(digit, path):
    assert torch.equal(as_seen(digit[..., None], 28)[0, 0], torch.from_numpy(digit / np.float32(255)))
    found = open_net(str(path)).transformation(digit[..., None])
    with torch.no_grad():
        expected = a_net().localisation(torch.from_numpy(digit / np.float32(255))[None, None])[0]
    np.testing.assert_allclose(found.theta, expected, atol=1e-6)


def looks(digit):
    """The same digit as many kinds of picture."""
    big = cv2.resize(digit, (280, 280), interpolation=cv2.INTER_LINEAR)
    colour = np.repeat(big[..., None], 3, axis=2)
    return {
        "large": big[..., None],
        "colour": colour,
        "16 bit": big[..., None].astype(np.uint16) * 257,
        "float": (big[..., None] / 255).astype(np.float32),
        "ink on paper": 255 - colour,
        "white on transparent": np.concatenate([np.full_like(colour, 255), big[..., None]], axis=2),
        "grey and alpha": np.stack([np.full_like(big, 255), big], axis=2),
    }


@pytest.mark.parametrize("kind", looks(np.zeros((28, 28), np.uint8)))
def test_size_colour_and_depth_do_not_matter(digit, path, kind):
    net = open_net(str(path))
    turned = np.ascontiguousarray(digit[::-1])[..., None]
    found, plain, other = (net.transformation(image).theta for image in (looks(digit)[kind], digit[..., None], turned))
    assert np.abs(found - plain).max() < np.abs(other - plain).max() / 5


@pytest.mark.parametrize("family", ["affine", "projective", "similarity", "tps"])
def test_a_wide_picture_keeps_its_proportions(family, digit):
    """Pad to a square, warp there, and cut out again: the oracle of what a wide picture must become."""
    net = CheckpointNet(checkpoint.Checkpoint(a_net(family, spread=0.02), {"data": "digits", "distortion": "R"}))
    wide = np.zeros((60, 100, 1), np.uint8)
    wide[16:44, 30:58, 0] = digit
    square = np.zeros((100, 100, 1), np.uint8)
    square[20:80] = wide
    made, inside = net.transformation(wide), net.transformation(square)
    xy = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    shape = np.array([1, 100 / 60])
    expected = inside.points(xy / shape) * shape
    np.testing.assert_allclose(made.points(xy), expected, atol=1e-6 if family != "tps" else 0.05)


def test_a_rotation_stays_a_rotation_on_a_wide_picture():
    turn = Transformation(make("affine"), [0, -1, 0, 1, 0, 0])
    wide = to_picture(turn, (100, 200), (100, 200)).pixel_matrix((100, 200), (100, 200))
    np.testing.assert_allclose(wide[:2, :2], [[0, -1], [1, 0]], atol=1e-12)


def test_families_without_a_matrix_ask_for_a_square(digit):
    net = CheckpointNet(checkpoint.Checkpoint(a_net("flow"), {"data": "digits", "distortion": "R"}))
    assert net.transformation(digit[..., None]).family.name == "flow"
    with pytest.raises(StnError, match="square"):
        net.transformation(np.zeros((20, 30, 1), np.uint8))


def test_the_shipped_nets_are_small_and_load(digit):
    for name in shipped():
        net = open_net(name)
        assert np.isfinite(net.transformation(digit[..., None]).theta).all()


def test_names_that_lead_nowhere(tmp_path, path):
    with pytest.raises(OptionError, match="MODULE:CALLABLE"):
        open_net("no-such-net")
    with pytest.raises(FileError):
        open_net(str(tmp_path / "missing.safetensors"))
    with pytest.raises(OptionError, match="--weights"):
        open_net(str(path), weights=path)
    with pytest.raises(OptionError, match="gives affine"):
        open_net(str(path), family="tps")
    checkpoint.save(tmp_path / "cnn.safetensors", build(design("cnn", 28), 0), "digits", "R", {})
    with pytest.raises(OptionError, match="spatial transformer"):
        open_net(str(tmp_path / "cnn.safetensors"))


# ---- the user's own nets ----
@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "their_nets.py").write_text(
        textwrap.dedent(
            """
            import torch
            from torch import nn

            class Shift(nn.Module):
                input_size, input_channels = (8, 8), 1
                def __init__(self):
                    super().__init__()
                    self.linear = nn.Linear(64, 2)
                def forward(self, U):
                    return self.linear(U.flatten(1))

            def make():
                return Shift()

            whole = Shift()

            def mean(U):
                assert U.shape[1] == 3
                return U.mean((2, 3))[:, :2]

            def wrong(U):
                return U.mean()

            def seven(U):
                return torch.zeros(len(U), 7)

            number = 3
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield tmp_path
    sys.modules.pop("their_nets", None)


@pytest.mark.parametrize("name", ["Shift", "make", "whole"])
def test_a_users_net_with_weights(module, name):
    weights = {"linear.weight": torch.zeros(2, 64), "linear.bias": torch.tensor([0.25, -0.5])}
    save_file(weights, module / "w.safetensors")
    net = open_net(f"their_nets:{name}", module / "w.safetensors")
    found = net.transformation(np.zeros((30, 50, 3), np.uint8))
    assert found.family.name == "translation"
    assert found.theta.tolist() == [0.25, -0.5]


def test_a_users_function_sees_the_picture_as_it_is(module):
    picture = np.full((5, 7, 3), (51, 102, 0), np.uint8)
    found = open_net("their_nets:mean").transformation(picture)
    np.testing.assert_allclose(found.theta, [0.2, 0.4], atol=1e-6)
    found = open_net("their_nets:mean", family="translation").transformation(picture)
    assert found.family.name == "translation"


def test_what_a_user_can_get_wrong(module):
    picture = np.zeros((5, 7, 3), np.uint8)
    for spec, words in [("no_such_module:net", "no_such_module"), ("their_nets:nothing", "nothing"),
                        ("their_nets:number", "callable"), (":", "MODULE:CALLABLE")]:  # fmt: skip
        with pytest.raises(OptionError, match=words):
            open_net(spec)
    with pytest.raises(StnError, match=r"\(N, size\) is needed"):
        open_net("their_nets:wrong").transformation(picture)
    with pytest.raises(StnError, match="7 numbers"):
        open_net("their_nets:seven").transformation(picture)
    with pytest.raises(StnError, match="failed on an input"):
        open_net("their_nets:mean").transformation(picture[..., :1])
    save_file({"linear.weight": torch.zeros(3, 64)}, module / "w.safetensors")
    with pytest.raises(FileError, match="does not fit"):
        open_net("their_nets:Shift", module / "w.safetensors")
    with pytest.raises(OptionError, match="no torch module"):
        open_net("their_nets:mean", module / "w.safetensors")

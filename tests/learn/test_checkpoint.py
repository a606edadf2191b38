"""Checkpoints: what comes back is what went in, and nothing but a checkpoint is believed."""

import contextlib
import json
import os
import pickle
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from stn_cli.errors import FileError
from stn_cli.learn import checkpoint
from stn_cli.learn.networks import build, design


@pytest.fixture(scope="module")
def net():
    made = build(design("st-cnn", 28, family="tps", feed_theta=True), 5)
    with torch.no_grad():
        made.localisation.regression.weight.normal_(0, 0.01)
    return made.eval()


@pytest.fixture
def path(net, tmp_path):
    checkpoint.save(tmp_path / "net.safetensors", net, "digits", "R", {"seed": 5})
    return tmp_path / "net.safetensors"


def rewritten(path, change):
    """The file with its header changed by `change` and its tensors as they were."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    mine = json.loads(header["__metadata__"]["stn"])
    mine = change(mine) or mine
    header["__metadata__"]["stn"] = mine if isinstance(mine, str) else json.dumps(mine)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


@pytest.mark.parametrize("model", ["fcn", "cnn", "st-fcn", "st-cnn"])
@pytest.mark.parametrize("family", ["affine", "projective", "tps", "flow", "piecewise-affine"])
def test_round_trip(tmp_path, model, family):
    made = build(design(model, 28, "paper", family, st_size=24 if model.startswith("st") else None), 1).eval()
    checkpoint.save(tmp_path / "a.safetensors", made, "digits", "R", {"seed": 1})
    found = checkpoint.load(tmp_path / "a.safetensors")
    images = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(found.net(images).scores, made(images).scores, atol=1e-6)
    assert found.net.design == made.design
    assert found.header["training"] == {"seed": 1}
    assert not found.net.training
    assert list(tmp_path.iterdir()) == [tmp_path / "a.safetensors"]


def test_a_checkpoint_names_its_data(path):
    assert checkpoint.load(path).name == "st-cnn tps, trained on digits R"


@pytest.mark.parametrize("part", [0, 5, 8, 200, 3000, -1])
def test_cut_files(path, part):
    content = path.read_bytes()
    path.write_bytes(content[:part])
    with pytest.raises(FileError) as error:
        checkpoint.load(path)
    assert "\n" not in str(error.value)


def test_foreign_files(tmp_path):
    for name, content, words in [
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "not a .safetensors"),
        ("b.pt", pickle.dumps({"a": 1}), "pickled"),
        ("c.pt", b"PK\x03\x04" + bytes(100), "pickled"),
        ("d.txt", b"hello, this is a text, not a net", "not a .safetensors"),
        ("e.safetensors", struct.pack("<Q", 2**62) + b"{" + bytes(50), "not a .safetensors"),
        ("f.safetensors", struct.pack("<Q", 20) + b"{" * 20, "damaged"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=words):
            checkpoint.load(tmp_path / name)
    with pytest.raises(FileError, match="No such file"):
        checkpoint.load(tmp_path / "nothing")
    save_file({"weight": torch.zeros(3)}, tmp_path / "theirs.safetensors")
    with pytest.raises(FileError, match="MODULE:CALLABLE"):
        checkpoint.load(tmp_path / "theirs.safetensors")


def set_in_design(key, value):
    return lambda header: header["design"].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: h.__setitem__("format", 2), "format 2"),
        (lambda h: "[1, 2]", "format None"),
        (lambda h: "{", "damaged"),
        (lambda h: h.__delitem__("design"), "design"),
        (lambda h: h["design"].__setitem__("more", 1), "keys"),
        (set_in_design("model", "vit"), "vit"),
        (set_in_design("width", 10**9), "width"),
        (set_in_design("width", True), "True"),
        (set_in_design("width", 26), "features"),
        (set_in_design("in_size", 10**6), "in_size"),
        (set_in_design("in_size", 512), r"tensor|parameters"),
        (set_in_design("st_size", -1), "st_size"),
        (set_in_design("family", "../../etc"), "family"),
        (set_in_design("family", "affine"), "tensor"),
        (set_in_design("family_options", {"shape": [100_000, 100_000]}), "shape"),
        (set_in_design("family_options", {"shape": [1000, 1000]}), "at most 1024"),
        (set_in_design("family_options", {"shape": "many"}), "many"),
        (set_in_design("family_options", {"evil": 1}), "cannot be built"),
        (set_in_design("loc_hidden", [10**8]), "loc_hidden"),
        (set_in_design("kernels", [5]), "kernels"),
        (set_in_design("pool", "yes"), "pool"),
        (lambda h: h.__setitem__("sampling", {"padding": "border"}), "sampling"),
        (lambda h: h.__setitem__("data", None), "data set"),
    ],
)
def test_headers_that_are_not_believed(path, change, words):
    with pytest.raises(FileError, match=words) as error:
        checkpoint.load(rewritten(path, change))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_weights_that_are_no_numbers(net, tmp_path):
    broken = build(net.design, 0)
    with torch.no_grad():
        broken.scores.bias[3] = float("nan")
    checkpoint.save(tmp_path / "x.safetensors", broken, "digits", "R", {})
    with pytest.raises(FileError, match="finite"):
        checkpoint.load(tmp_path / "x.safetensors")


def test_a_failed_write_leaves_the_old_file(net, path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(FileError, match="No space"):
        checkpoint.save(path, net, "digits", "R", {})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@given(data=st.data())
def test_any_damage_is_one_line_or_harmless(net, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    file = folder / "net.safetensors"
    checkpoint.save(file, net, "digits", "R", {})
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, 4000))
    content[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    file.write_bytes(content)
    with contextlib.suppress(FileError):  # anything else would be a traceback
        checkpoint.load(file)

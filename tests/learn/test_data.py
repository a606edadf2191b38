"""IDX files, the search for them, and downloads, the latter from a server on this machine."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from stn_cli.errors import FileError, MissingError, OptionError
from stn_cli.learn import data, download, idx
from tests.learn.serving import idx_bytes, made_up, serving, sources


@pytest.fixture
def contents():
    return made_up()


@pytest.fixture
def server(contents):
    with serving(contents) as state:
        yield state


# ---- IDX ----
def test_read_idx_plain_and_gzipped(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
    for name in ("a", "a.gz"):
        found, digest = idx.read_idx(tmp_path / name, 3)
        assert np.array_equal(found, array)
        assert digest == hashlib.sha256(idx_bytes(array)).hexdigest()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX"),
        (b"\x89PNG....................", "not an IDX"),
        (b"\0\0\x0d\x03" + bytes(12), "type 0x0d"),
        (b"\0\0\x08\x01" + bytes(12), "1 axes"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + bytes(7), "cut or damaged"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 2) + bytes(9), "cut or damaged"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(9), "cut or damaged"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(3000), mtime=0)[:-20], "damaged gzip"),
    ],
)
def test_read_idx_refuses(tmp_path, content, words):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(FileError, match=words):
        idx.read_idx(tmp_path / "bad", 3)


def test_read_idx_does_not_unpack_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "MOST_BYTES", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(1 << 22), mtime=0))
    with pytest.raises(FileError, match="larger than"):
        idx.read_idx(tmp_path / "bomb.gz", 3)


# ---- where it is looked for ----
@pytest.mark.parametrize("layout", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("by", ["option", "environment"])
def test_local_files_are_found_and_their_name_is_honest(tmp_path, contents, layout, by, monkeypatch):
    place = tmp_path / layout
    place.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (place / name).write_bytes(content)
    monkeypatch.setenv("STN_DATA_DIR", str(tmp_path if by == "environment" else "/nowhere"))
    found, warning = data.load("mnist", tmp_path if by == "option" else None)
    assert warning is None
    assert found.name == "mnist (not the published files)"
    assert found.train_images.shape == (50, 28, 28)
    assert found.first(7, 3).test_labels.shape == (3,)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OptionError, match="--data-dir"):
        data.load("mnist", tmp_path / "no")


@pytest.mark.parametrize(("which", "array"), [(0, np.zeros((50, 32, 32), np.uint8)), (1, np.full(50, 12, np.uint8))])
def test_wrong_shapes_and_labels_are_refused(tmp_path, contents, which, array):
    contents[data.FILES[which]] = idx_bytes(array)
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=r"needed|allowed"):
        data.load("mnist", tmp_path)


# ---- downloads ----
def test_download_checks_renames_and_is_not_repeated(tmp_path, server, contents):
    seen = []
    found, _ = data.load(
        "mnist", tmp_path, sources=sources(server["url"], contents), progress=lambda *step: seen.append(step)
    )
    assert found.name == "mnist"
    assert idx_bytes(found.train_images) == contents[data.FILES[0]]
    assert seen[-1][1] == seen[-1][2]
    assert {path.name for path in tmp_path.iterdir()} == {name + ".gz" for name in data.FILES}
    server["asked"].clear()
    data.load("mnist", tmp_path, sources=sources(server["url"], contents))
    assert server["asked"] == []


def test_broken_download_is_resumed_where_it_stopped(tmp_path, server, contents):
    server["breaks"] = 1
    with pytest.raises(MissingError, match=r"could not be downloaded.*--data digits"):
        data.load("mnist", tmp_path, sources=sources(server["url"], contents))
    part = tmp_path / (data.FILES[0] + ".gz.part")
    half = part.stat().st_size
    assert 0 < half < len(server["files"][data.FILES[0] + ".gz"])
    data.load("mnist", tmp_path, sources=sources(server["url"], contents))
    assert (data.FILES[0] + ".gz", f"bytes={half}-") in server["asked"]
    assert not part.exists()


def test_a_server_without_ranges_starts_over(tmp_path, server, contents):
    (tmp_path / (data.FILES[0] + ".gz.part")).write_bytes(b"left over")
    server["ranges"] = False
    assert data.load("mnist", tmp_path, sources=sources(server["url"], contents))[0].name == "mnist"


def test_a_part_of_another_file_is_thrown_away(tmp_path, server, contents):
    (tmp_path / (data.FILES[0] + ".gz.part")).write_bytes(b"not ours")
    assert data.load("mnist", tmp_path, sources=sources(server["url"], contents))[0].name == "mnist"


def test_a_changed_file_is_refused_and_leaves_nothing(tmp_path, server, contents):
    name = data.FILES[1] + ".gz"
    server["files"][name] = gzip.compress(idx_bytes(np.zeros(50, np.uint8)), mtime=0)
    with pytest.raises(MissingError, match="SHA-256"):
        data.load("mnist", tmp_path, sources=sources(server["url"], contents))
    assert not (tmp_path / name).exists()
    assert not (tmp_path / (name + ".part")).exists()


def test_the_second_mirror_is_asked_when_the_first_fails(tmp_path, server, contents):
    digests = sources(server["url"], contents)["mnist"].sha256
    dead = {"mnist": data.Source((server["url"] + "gone/", "http://127.0.0.1:9/", server["url"]), digests)}
    assert data.load("mnist", tmp_path, sources=dead)[0].name == "mnist"


def test_more_than_is_allowed_is_refused(tmp_path, server, contents, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 1000)
    with pytest.raises(MissingError, match="at most 1000"):
        data.load("mnist", tmp_path, sources=sources(server["url"], contents))


def test_auto_falls_back_loudly(tmp_path, monkeypatch, contents, server):
    monkeypatch.setattr(data, "DIGITS_TRAIN", 100)
    monkeypatch.setattr(data, "DIGITS_TEST", 50)
    server["files"] = {}
    found, warning = data.load("auto", tmp_path, sources=sources(server["url"], contents))
    assert found.name == "digits"
    assert "not MNIST's" in warning
    assert "404" in warning


def test_auto_takes_mnist_when_it_comes(tmp_path, contents, server):
    found, warning = data.load("auto", tmp_path, sources=sources(server["url"], contents))
    assert (found.name, warning) == ("mnist", None)


def test_published_sources_are_https():
    assert all(mirror.startswith("https://") for source in data.SOURCES.values() for mirror in source.mirrors)

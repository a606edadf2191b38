"""θ files: what is read, and how what is wrong is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stn_cli.errors import OptionError
from stn_cli.folders.theta_file import read_thetas

AFFINE = [0.1, -2.0, 3e-17, 1 / 3, 1e300, -0.0]


def test_json_lines_and_manifests_round_trip_to_the_last_bit(tmp_path: Path) -> None:
    rows = [
        {
            "source": "sub/a b.jpg",
            "output": "x",
            "family": "affine",
            "theta": AFFINE,
            "sampling": {"kernel": "nearest"},
        },
        {"source": "\udcff.png", "family": "tps", "options": {"shape": [2, 3]}, "theta": [float(i) for i in range(12)]},
        {"source": "pages.tif", "pages": [{"family": "translation", "theta": [1, 2]}, {"theta": [3.0, 4.0]}]},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    found = read_thetas(tmp_path / "m.jsonl")
    assert found.entry("sub/a b.jpg").transformation().theta.tolist() == AFFINE
    assert found.entry("sub/a b.jpg").said["sampling"] == {"kernel": "nearest"}
    assert found.entry("\udcff.png").transformation().family.name == "tps"
    pages = found.entry("pages.tif")
    assert [pages.transformation(i).theta.tolist() for i in (0, 1, 5)] == [[1, 2], [3, 4], [3, 4]]
    with pytest.raises(OptionError, match=r"no row whose source is 'b\.jpg'"):
        found.entry("b.jpg")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "1,0,0.25,0,1,0\n"),
        ("t.csv", "\ufeff1, 0 ,.25,0,1,0\n\n"),
        ("t.csv", "a,b,c,d,e,f\n1,0,0.25,0,1,0\n"),
        ("t.csv", "family,theta\naffine,1 0 0.25 0 1 0\n"),
        ("t.jsonl", "[1, 0, 0.25, 0, 1, 0]\n"),
        ("t.jsonl", '{"theta": [1, 0, 0.25, 0, 1, 0]}'),
    ],
)
def test_one_row_serves_all(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    made = read_thetas(tmp_path / name).entry("whatever.png").transformation()
    assert made.family.name == "affine"
    assert made.theta.tolist() == [1, 0, 0.25, 0, 1, 0]


def test_csv_with_sources(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('source,tx,ty\n"a, b.png",1,2\nsub/c.png,3,4\n')
    found = read_thetas(tmp_path / "t.csv")
    assert found.entry("a, b.png").transformation().theta.tolist() == [1, 2]
    assert found.entry("sub/c.png").transformation().family.name == "translation"


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([[1, 0, 0, 0, 1, 0]], np.float32))
    assert read_thetas(tmp_path / "t.npy").entry("x").transformation().family.name == "affine"
    named = np.array([("a.png", [1, 2, 3]), ("b.png", [4, 5, 6])], [("source", "U20"), ("theta", "f8", 3)])
    np.save(tmp_path / "t.npy", named)
    found = read_thetas(tmp_path / "t.npy")
    assert found.entry("b.png").transformation().theta.tolist() == [4, 5, 6]
    assert found.entry("b.png").transformation().family.name == "attention"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("t.csv", "", "holds no θ"),
        ("t.csv", "source,a,b\nx.png,1,zwei\n", "line 2, column b: 'zwei'"),
        ("t.csv", "source,a,b\nx.png,1,nan\n", "line 2, column b: 'nan'"),
        ("t.csv", "source,a,b\nx.png,1,1_0\n", "line 2, column b: '1_0'"),
        ("t.csv", "source,a,b\nx.png,1\n", "line 2: 2 columns"),
        ("t.csv", "source,a,b\nx.png,1,2\nx.png,1,2\n", "line 3, column source: 'x.png' has a row already"),
        ("t.csv", "source,a,b\n,1,2\n", "line 2, column source: '' is not"),
        ("t.csv", "a,a\n1,2\n", "line 1: two columns are called 'a'"),
        ("t.csv", "1,2\n3,4\n", "line 1: 2 rows need"),
        ("t.csv", "1,2,3,4,5\n", "line 1: .*5 numbers"),
        ("t.csv", "theta,extra\n1 2,3\n", "line 1: beside"),
        ("t.csv", '"open\n', "line 1"),
        ("t.csv", "family,a,b\nbogus,1,2\n", "line 2: .*bogus"),
        ("t.jsonl", '{"theta": [1, 2]}\n{"theta": [1', "line 2, column 1[0-9]: not JSON"),
        ("t.jsonl", '{"theta": [1, "2"]}', "line 1, number 2 of θ: '2'"),
        ("t.jsonl", '{"theta": [1, true]}', "line 1, number 2 of θ: True"),
        ("t.jsonl", '{"theta": [1, NaN]}', "line 1, number 2 of θ: nan"),
        ("t.jsonl", '{"theta": [1, 1' + "0" * 400 + "]}", "line 1, number 2 of θ"),
        ("t.jsonl", '{"source": 3, "theta": [1, 2]}', "line 1, column source: 3"),
        ("t.jsonl", '{"theta": {"a": 1}}', "line 1: `theta` must be a list"),
        ("t.jsonl", "3\n", "line 1: an object or a list"),
        ("t.jsonl", "[" * 100_000, "line 1"),
        ("t.jsonl", '{"family": ["affine"], "theta": [1, 2]}', "column family"),
        ("t.jsonl", '{"options": [1], "theta": [1, 2]}', "`options` must be"),
        ("t.jsonl", '{"theta": [1, 2], "out_size": [1, -2]}', "column out_size"),
        ("t.jsonl", '{"theta": [1, 2], "sampling": 3}', "`sampling` must be"),
        ("t.jsonl", '{"pages": 3}', "`pages` must be"),
        ("t.jsonl", '{"family": "tps", "options": {"shape": "x"}, "theta": [1, 2]}', "line 1"),
        ("t.txt", "1,2\n", "must end in"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=says) as caught:
        read_thetas(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"--theta-file: {tmp_path / name}")


def test_missing_files_folders_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("none.csv", "folder.csv", "bytes.csv", "none.npy"):
        with pytest.raises(OptionError):
            read_thetas(tmp_path / name)


def test_arrays_that_are_no_theta(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}, 1], object), allow_pickle=True)
    np.save(tmp_path / "s.npy", np.array(["a"]))
    np.save(tmp_path / "n.npy", np.zeros((3, 6)))
    np.save(tmp_path / "i.npy", np.full(6, np.inf))
    np.save(tmp_path / "b.npy", np.array([(b"a", 1.0)], [("source", "S3"), ("x", "f8")]))
    liar = bytearray((tmp_path / "n.npy").read_bytes().replace(b"(3, 6)", b"(9999999999, 6)"))
    (tmp_path / "liar.npy").write_bytes(liar)
    for name in ("o", "s", "n", "i", "b", "liar"):
        with pytest.raises(OptionError) as caught:
            read_thetas(tmp_path / f"{name}.npy")
        assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), suffix=st.sampled_from([".csv", ".jsonl", ".npy"]), magic=st.booleans())
def test_no_bytes_make_it_crash(tmp_path: Path, data: bytes, suffix: str, magic: bool) -> None:
    prefix = {".npy": b"\x93NUMPY\x01\x00", ".csv": b"source,a,b\n", ".jsonl": b'{"theta": ['}[suffix] if magic else b""
    path = tmp_path / f"t{suffix}"
    path.write_bytes(prefix + data)
    try:
        read_thetas(path)
    except OptionError as error:
        assert "\n" not in str(error)  # noqa: PT017

"""`stn bench` beside what can be known without it: which files there are, and arithmetic on its own figures."""

import json

import pytest
from PIL import Image

STAGES = ["read", "decode", "warp", "encode", "write"]


@pytest.fixture
def pictures(tmp_path, picture):
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/c.png"):
        Image.fromarray(picture).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def state(folder):
    return {path: (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes()) for path in folder.rglob("*")}


def test_the_figures_fit_each_other_and_nothing_is_touched(stn, pictures, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = state(pictures)
    ran = stn("bench", pictures, "--rotate", "30", "--json", "--jobs", "2")
    found = json.loads(ran.out)
    assert state(pictures) == before
    assert not list(scratch.iterdir())
    assert found["images"] == 3
    assert found["jobs"] == 2
    assert [failure["path"] for failure in found["failed"]] == [str(pictures / "broken.png")]
    assert list(found["stages"]) == STAGES
    for stage in found["stages"].values():
        assert stage["seconds"] > 0
        assert stage["images_per_second"] == pytest.approx(1 / stage["seconds"])
    assert sum(stage["share"] for stage in found["stages"].values()) == pytest.approx(1)
    assert found["bound_by"] == max(STAGES, key=lambda name: found["stages"][name]["seconds"])
    assert found["images_per_second"] > 0


def test_a_warp_that_takes_long_is_what_bounds(stn, pictures, monkeypatch):
    import time

    from stn_cli.engines.cpu import CpuEngine

    warp = CpuEngine.warp

    def slow(*arguments, **named):
        time.sleep(0.1)
        return warp(*arguments, **named)

    monkeypatch.setattr(CpuEngine, "warp", slow)
    found = json.loads(stn("bench", pictures, "--rotate", "30", "--json", "--jobs", "1", "--device", "cpu").out)
    assert found["bound_by"] == "warp"
    assert found["stages"]["warp"]["seconds"] >= 0.1
    assert found["images_per_second"] <= 10


def test_what_the_first_picture_of_a_kind_waits_for_is_not_measured(stn, pictures, monkeypatch):
    import time

    from stn_cli.engines.cpu import CpuEngine

    warp, kinds = CpuEngine.warp, set()

    def compiles(self, work, *arguments, **named):
        kind = work.image.shape[2]
        if kind not in kinds:
            kinds.add(kind)
            time.sleep(0.5)
        return warp(self, work, *arguments, **named)

    Image.new("L", (64, 48), 200).save(pictures / "z.png")
    stn("warp", pictures / "a.png", pictures / "z.png", "--rotate", "30", "--out", pictures.parent / "compiled")
    monkeypatch.setattr(CpuEngine, "warp", compiles)
    found = json.loads(stn("bench", pictures, "--rotate", "30", "--json", "--jobs", "1", "--device", "cpu").out)
    assert len(kinds) == 2
    assert found["stages"]["warp"]["seconds"] < 0.1


def test_a_sample_is_taken_from_all(tmp_path):
    from stn_cli.folders.measure import sample
    from stn_cli.folders.plan import make_plan

    for n in range(10):
        (tmp_path / f"{n}.png").write_bytes(b"")
    plan = make_plan([tmp_path], tmp_path / "out")
    assert [job.name for job in sample(plan, 5).jobs] == ["0.png", "2.png", "4.png", "6.png", "8.png"]
    assert [job.name for job in sample(plan, 3).jobs] == ["0.png", "3.png", "6.png"]
    assert len(sample(plan, 50).jobs) == 10


def test_in_words_for_a_person(stn, pictures):
    ran = stn("bench", pictures, "--zoom", "0.5", "--format", "png", "--images", "4")
    assert all(any(line.startswith(stage) for line in ran.out.splitlines()) for stage in STAGES)
    assert "bound by " in ran.out
    assert "together, " in ran.out


def test_no_picture_is_one_line(stn, pictures):
    ran = stn("bench", pictures / "broken.png", "--rotate", "30", expect=1)
    assert "no picture could be warped" in ran.err
    assert "broken.png" in ran.err
    stn("bench", pictures, "--rotate", "30", "--images", "0", expect=2)

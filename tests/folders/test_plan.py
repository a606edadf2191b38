"""Which files are taken, what the results are called, and every reason not to begin."""

import os
import stat
import sys
from pathlib import Path

import pytest

from stn_cli.errors import OptionError
from stn_cli.folders import plan as planning
from stn_cli.folders.plan import is_case_sensitive, make_plan, output_name

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights there")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(plan) -> list[tuple[str, str]]:
    return [(job.name, job.output) for job in plan.jobs]


def snapshot(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob("*"))


def test_folders_are_walked_in_one_order(tmp_path: Path) -> None:
    source = tmp_path / "in"
    touch(source / "b.jpg", source / "a.PNG", source / "sub" / "deep" / "c.tif", source / "sub" / "a.webp")
    touch(source / "notes.txt", source / ".hidden.png", source / ".git" / "x.png", source / "noext")
    before = snapshot(tmp_path)
    plan = make_plan([source], tmp_path / "out")
    assert names(plan) == [(n, n) for n in ("a.PNG", "b.jpg", "sub/a.webp", "sub/deep/c.tif")]
    assert plan.jobs[3].target == tmp_path / "out" / "sub" / "deep" / "c.tif"
    assert plan.ignored == {"not an image": 2, "hidden": 2}
    assert plan.manifest == tmp_path / "out" / "manifest.jsonl"
    flat = make_plan([source], tmp_path / "out", recursive=False)
    assert [name for name, _ in names(flat)] == ["a.PNG", "b.jpg"]
    assert flat.ignored["sub-folder"] == 1
    assert snapshot(tmp_path) == before


def test_a_file_named_on_its_own_is_always_tried(tmp_path: Path) -> None:
    touch(tmp_path / ".hidden", tmp_path / "scan.v2")
    plan = make_plan([tmp_path / ".hidden", tmp_path / "scan.v2"], tmp_path / "out", format="png")
    assert names(plan) == [(".hidden", ".hidden.png"), ("scan.v2", "scan.v2.png")]


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("a.jpg", "keep", "a.jpg"),
        ("a.JPEG", "jpeg", "a.JPEG"),
        ("a.b.PNG", "webp", "a.b.webp"),
        ("sub/a.tiff", "png", "sub/a.png"),
        ("sub.d/a", "tiff", "sub.d/a.tif"),
    ],
)
def test_results_are_named(name: str, target: str, expected: str) -> None:
    assert output_name(name, target) == expected


def test_one_file_to_one_file(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    plan = make_plan([tmp_path / "a.jpg"], tmp_path / "new" / "b.webp")
    assert (plan.jobs[0].target, plan.format, plan.manifest) == (tmp_path / "new" / "b.webp", "webp", None)
    (tmp_path / "b.png").mkdir()
    assert make_plan([tmp_path / "a.jpg"], tmp_path / "b.png").jobs[0].target == tmp_path / "b.png" / "a.jpg"
    assert make_plan([tmp_path / "a.jpg"], tmp_path / "c").jobs[0].target == tmp_path / "c" / "a.jpg"
    with pytest.raises(OptionError, match="another format"):
        make_plan([tmp_path / "a.jpg"], tmp_path / "b.gif", format="png")
    with pytest.raises(OptionError, match="does not write AVIF"):
        make_plan([tmp_path / "a.jpg"], tmp_path / "b.avif")


def test_collisions_are_told_before_anything_is_touched(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.jpg", tmp_path / "in" / "a.png", tmp_path / "other" / "a.jpg")
    before = snapshot(tmp_path)
    with pytest.raises(OptionError, match=r"two inputs.*a\.jpg and .*a\.png"):
        make_plan([tmp_path / "in"], tmp_path / "out", format="webp")
    with pytest.raises(OptionError, match="two inputs"):
        make_plan([tmp_path / "in", tmp_path / "other"], tmp_path / "out")
    assert snapshot(tmp_path) == before
    twice = make_plan([tmp_path / "in", tmp_path / "in" / "a.jpg"], tmp_path / "out")
    assert [name for name, _ in names(twice)] == ["a.jpg", "a.png"]


def test_names_that_differ_in_case_collide_where_case_does_not_count(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "Ä.jpg", tmp_path / "two" / "a\u0308.JPG")
    inputs = [tmp_path / "one", tmp_path / "two"]
    assert len(make_plan(inputs, tmp_path / "out", case_sensitive=True).jobs) == 2
    with pytest.raises(OptionError, match="differ in case only"):
        make_plan(inputs, tmp_path / "out", case_sensitive=False)


def test_case_is_asked_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()
    assert is_case_sensitive(tmp_path / "probe" / "new") is not (tmp_path / "PROBE").exists()


def test_an_input_is_never_its_own_output(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.jpg", tmp_path / "in" / "sub" / "a.jpg")
    for out in (tmp_path / "in", tmp_path / "in" / ".." / "in"):
        with pytest.raises(OptionError, match="never overwritten"):
            make_plan([tmp_path / "in"], out, existing="overwrite")
    with pytest.raises(OptionError, match="never overwritten"):
        make_plan([tmp_path / "in" / "a.jpg"], tmp_path / "in" / "a.jpg", existing="overwrite")


@POSIX
def test_links_do_not_hide_that_an_input_is_an_output(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.jpg")
    (tmp_path / "out").symlink_to(tmp_path / "in")
    with pytest.raises(OptionError, match="never overwritten"):
        make_plan([tmp_path / "in"], tmp_path / "out", existing="overwrite")
    (tmp_path / "hard").mkdir()
    os.link(tmp_path / "in" / "a.jpg", tmp_path / "hard" / "a.jpg")
    with pytest.raises(OptionError, match="never overwritten"):
        make_plan([tmp_path / "in"], tmp_path / "hard", existing="overwrite")


@POSIX
def test_results_never_leave_the_output_folder(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "sub" / "a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OptionError, match="leads out of"):
        make_plan([tmp_path / "in"], tmp_path / "out")


@POSIX
def test_links_in_the_input(tmp_path: Path) -> None:
    touch(tmp_path / "data" / "a.jpg")
    source = tmp_path / "in"
    source.mkdir()
    (source / "link.jpg").symlink_to(tmp_path / "data" / "a.jpg")
    (source / "round").symlink_to(source)
    (source / "dangling.png").symlink_to(tmp_path / "gone.png")
    plan = make_plan([source], tmp_path / "out")
    assert [name for name, _ in names(plan)] == ["dangling.png", "link.jpg"]  # the first fails when it is read
    assert plan.ignored == {"linked folder": 1}


def test_the_output_folder_inside_the_input_is_not_walked(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "out" / "old.jpg")
    plan = make_plan([tmp_path], tmp_path / "out")
    assert [name for name, _ in names(plan)] == ["a.jpg"]


def test_existing(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.jpg", tmp_path / "in" / "b.jpg", tmp_path / "out" / "b.jpg")
    with pytest.raises(OptionError, match=r"b\.jpg exists already; --existing skip"):
        make_plan([tmp_path / "in"], tmp_path / "out")
    plan = make_plan([tmp_path / "in"], tmp_path / "out", existing="skip")
    assert ([j.name for j in plan.jobs], [j.name for j in plan.skipped]) == (["a.jpg"], ["b.jpg"])
    assert len(make_plan([tmp_path / "in"], tmp_path / "out", existing="overwrite").jobs) == 2
    (tmp_path / "out" / "a.jpg").mkdir()
    with pytest.raises(OptionError, match="is a folder"):
        make_plan([tmp_path / "in"], tmp_path / "out", existing="overwrite")


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.txt", tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"holds no image \(1 not an image\)"):
        make_plan([tmp_path / "in"], tmp_path / "out")
    with pytest.raises(OptionError, match="holds no image"):
        make_plan([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(OptionError, match="no such file"):
        make_plan([tmp_path / "gone"], tmp_path / "out")
    touch(tmp_path / "a.jpg", tmp_path / "b.jpg")
    with pytest.raises(OptionError, match="is a file"):
        make_plan([tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir(mode=0)
    try:
        with pytest.raises(OptionError, match="cannot be read"):
            make_plan([tmp_path / "in"], tmp_path / "out")
    finally:
        (tmp_path / "in").chmod(stat.S_IRWXU)


@POSIX
def test_strange_names_survive(tmp_path: Path) -> None:
    strange = ["-rf.png", "new\nline.png", "🌀.png", "x" * 251 + ".png", " .png", "%s{0}.png"]
    touch(*(tmp_path / "in" / name for name in strange))
    (tmp_path / "in" / os.fsdecode(b"\xff\xfe.png")).write_bytes(b"x")
    plan = make_plan([tmp_path / "in"], tmp_path / "out")
    assert sorted(job.name for job in plan.jobs) == sorted([*strange, os.fsdecode(b"\xff\xfe.png")])


# Microsoft, "Naming Files, Paths, and Namespaces"
@POSIX
@pytest.mark.parametrize(
    "name", ["CON.png", "nul.tar.png", "sub/com1.png", "lpt¹.png", "a:b.png", "a?.png", "b\\c.png", "sub./a.png"]
)
def test_names_that_windows_keeps_for_itself(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "in" / name)
    make_plan([tmp_path / "in"], tmp_path / "out")
    monkeypatch.setattr(planning, "WINDOWS", True)
    with pytest.raises(OptionError, match="no name for a file on Windows"):
        make_plan([tmp_path / "in"], tmp_path / "out")


@pytest.mark.parametrize("name", ["console.png", "com10.png", "a.con.png", ".aux_.png", "ünï (1).png"])
def test_names_that_windows_takes(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "in" / name)
    monkeypatch.setattr(planning, "WINDOWS", True)
    assert make_plan([tmp_path / "in" / name], tmp_path / "out").jobs[0].output == name

"""The manifest: sorted, exact, merged, and right after a run that was killed."""

import json
import os
import threading
from pathlib import Path

import pytest

from stn_cli.errors import OptionError
from stn_cli.folders import atomic, manifest
from stn_cli.folders.manifest import Journal, read_manifest, write_manifest


def row(source: str, **more: object) -> dict[str, object]:
    return {"source": source, "output": source, **more}


def written(folder: Path, name: str) -> Path:
    """An output that got its final name: the temporary path that it had."""
    (folder / name).write_bytes(b"x")
    return folder / f"gone-{name}"


def test_rows_round_trip(tmp_path: Path) -> None:
    rows = [row("ü.png", theta=[0.1, 1 / 3, 5e-324, -0.0]), row("b\n.png"), row("\udcff.png"), row("c\u2028\x85.png")]
    write_manifest(tmp_path / "manifest.jsonl", rows)
    assert read_manifest(tmp_path / "manifest.jsonl") == sorted(rows, key=lambda r: str(r["source"]))
    assert "ü.png" in (tmp_path / "manifest.jsonl").read_text("utf-8", errors="surrogatepass")
    assert (tmp_path / "manifest.jsonl").read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("text", ["{", "[1]\n", '{"source": "a"}\n', '{"source": 1, "output": "b"}\n', "\xff"])
def test_a_file_that_is_no_manifest_is_told_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(text, "latin-1")
    with pytest.raises(OptionError, match="is not a manifest"):
        Journal(tmp_path / "manifest.jsonl")
    assert (tmp_path / "manifest.jsonl").read_text("latin-1") == text


def test_runs_into_one_folder_merge(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    for number, names in enumerate((["b", "c"], ["a", "c"])):
        journal = Journal(path)
        for name in names:
            journal.add(row(name, run=number), written(tmp_path, name))
        journal.close()
    assert [(r["source"], r["run"]) for r in read_manifest(path)] == [("a", 1), ("b", 0), ("c", 1)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c", "manifest.jsonl"]


def test_what_was_not_renamed_is_not_claimed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "manifest.jsonl")
    journal.add(row("a"), written(tmp_path, "a"))
    journal.add(row("b"), written(tmp_path, "b"))
    journal.forget("b")
    journal.add(row("c"), tmp_path / "c.tmp")
    journal.close()
    assert [r["source"] for r in read_manifest(tmp_path / "manifest.jsonl")] == ["a"]


def test_a_run_without_results_writes_nothing(tmp_path: Path) -> None:
    Journal(tmp_path / "manifest.jsonl").close()
    Journal(tmp_path / "none" / "manifest.jsonl").close()
    assert list(tmp_path.iterdir()) == []


def test_the_journal_of_a_dead_run_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "manifest.jsonl")
    journal.add(row("done", run=1), written(tmp_path, "done"))
    unfinished = tmp_path / "half.tmp"
    unfinished.write_bytes(b"new, under its temporary name")
    journal.add(row("half", run=1), unfinished)
    (tmp_path / "half").write_bytes(b"old")
    linked = tmp_path / "linked.tmp"
    linked.write_bytes(b"x")
    os.link(linked, tmp_path / "linked")  # killed between link and unlink
    journal.add(row("linked", run=1), linked)
    left = [p for p in tmp_path.iterdir() if p.name.endswith(".journal")]
    assert len(left) == 1
    with left[0].open("ab") as file:
        file.write(b'{"source": "torn')
    assert not (tmp_path / "manifest.jsonl").exists()
    monkeypatch.setattr(atomic, "_TOKEN", "0" * 8)  # another run of the same process number
    Journal(tmp_path / "manifest.jsonl")
    assert [r["source"] for r in read_manifest(tmp_path / "manifest.jsonl")] == ["done", "linked"]
    assert all("temporary" not in r for r in read_manifest(tmp_path / "manifest.jsonl"))
    assert not left[0].exists()


def test_a_journal_cannot_reach_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    evil = {"source": "a", "output": "../secret", "temporary": "../none"}
    monkeypatch.setattr(atomic, "_TOKEN", "1" * 8)
    (tmp_path / "out" / atomic.own_name("journal")).write_text(json.dumps(evil) + "\n")
    monkeypatch.setattr(atomic, "_TOKEN", "2" * 8)
    Journal(tmp_path / "out" / "manifest.jsonl")
    assert (tmp_path / "secret").read_bytes() == b"x"


def test_two_runs_finish_at_once(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / "manifest.jsonl") for _ in range(6)]
    for number, journal in enumerate(journals):
        for i in range(20):
            name = f"{number}-{i}"
            journal.add(row(name), written(tmp_path, name))
    threads = [threading.Thread(target=journal.close) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_manifest(tmp_path / "manifest.jsonl")) == 120


def test_the_lock_of_a_dead_run_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_LOCK_SECONDS", 1e9)
    (tmp_path / manifest._LOCK).write_text(f".stn-{atomic._HOST}-2147483646-00000000-0.lock")
    journal = Journal(tmp_path / "manifest.jsonl")
    journal.add(row("a"), written(tmp_path, "a"))
    closing = threading.Thread(target=journal.close, daemon=True)
    closing.start()
    closing.join(10)
    assert len(read_manifest(tmp_path / "manifest.jsonl")) == 1


@pytest.mark.parametrize("holder", [".stn-00000000-2147483646-00000000-0.lock", "", "no name"])
def test_a_lock_of_another_machine_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: str) -> None:
    monkeypatch.setattr(manifest, "_LOCK_SECONDS", 0.6)
    lock = tmp_path / manifest._LOCK
    lock.write_text(holder)
    journal = Journal(tmp_path / "manifest.jsonl")
    journal.add(row("a"), written(tmp_path, "a"))
    closing = threading.Thread(target=journal.close)
    closing.start()
    closing.join(0.3)
    assert lock.read_text() == holder, "a process number of another machine says nothing here"
    closing.join()
    assert len(read_manifest(tmp_path / "manifest.jsonl")) == 1
    assert not lock.exists()


def test_a_dead_journal_that_another_run_took_over_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / atomic.own_name("journal")
    monkeypatch.setattr(manifest, "left_behind", lambda folder, kind: [gone])
    Journal(tmp_path / "manifest.jsonl")
    assert list(tmp_path.iterdir()) == []

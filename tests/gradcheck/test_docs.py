"""docs/gradients.md: its commands run, and its table of wrong code is whole."""

import re
import shlex
from pathlib import Path

import pytest

from stn_cli.cli import main
from tests.gradcheck.wrong import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gradients.md").read_text(encoding="utf-8")
COMMANDS = re.search(r"## Commands to run\n\n```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
WHOLE = "stn gradcheck"


@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=pytest.mark.slow) if c == WHOLE else c for c in COMMANDS], ids=str
)
def test_command_runs(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("samples/", f"{ROOT.as_posix()}/samples/") for word in shlex.split(command)]
    with pytest.raises(SystemExit) as end:
        main(words[1:])
    assert end.value.code == 0, capsys.readouterr()
    for written in [word for word in words if word.endswith((".png", ".json"))]:
        assert (tmp_path / written).stat().st_size > 1000


def test_page_lists_every_wrong_code_with_its_stage():
    for case in CATALOGUE:
        assert f"| {case.name} | {case.stage} |" in PAGE
    assert f"{len(CATALOGUE)} of {len(CATALOGUE)} reported FAIL" in PAGE

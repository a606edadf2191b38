"""Every `stn` command shown in README.md and docs/ runs, in order, and prints what the document says it prints.

A document is run from top to bottom in a folder that holds a copy of samples/; the fast suite runs the README alone.
In the HTML comment before a block,
`<!-- slow -->` keeps it for the slow suite and `<!-- not run: reason -->` for the reader. In `console` blocks lines
that start with `$ ` are commands and the others their output, where `...` stands for anything.
"""

import doctest
import io
import re
import shlex
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from docs.make_reference import commands
from stn_cli.cli import build, main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = [document for document in DOCUMENTS if document.name != "reference.md"]  # generated, with made-up names
BLOCK = re.compile(r"(?:<!-- (?P<note>slow|not run: [^>]+) -->\n+)?^```(?:console|sh)\n(?P<body>.*?)^```", re.M | re.S)
CHECKER, FLAGS = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Step:
    command: str
    output: str
    note: str


def steps(text: str) -> list[Step]:
    """The `stn` commands of a document with the output shown below each."""
    found: list[Step] = []
    for block in BLOCK.finditer(text):
        body = block["body"].replace("\\\n", " ")
        console = body.lstrip().startswith("$ ")
        for line in body.splitlines():
            if not console or line.startswith("$ "):
                command = line.removeprefix("$ ").partition("  #")[0].strip()
                found.append(Step(command, "", block["note"] or ""))
            else:
                found[-1].output += line + "\n"
    return [step for step in found if step.command.startswith("stn ")]


def run(step: Step) -> None:
    words = shlex.split(step.command)[1:]
    assert not {"|", ">", "<", "&&", ";"} & set(words), f"one plain command a line, please: {step.command}"
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0, f"{step.command}\n{said.getvalue()}"
    if step.output:
        assert CHECKER.check_output(step.output, said.getvalue(), FLAGS), f"{step.command}\n{said.getvalue()}"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "samples", tmp_path / "samples", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_quick_commands_of_the_readme_run(workplace):
    for step in steps((ROOT / "README.md").read_text(encoding="utf-8")):
        if not step.note:
            run(step)


@pytest.mark.slow
@pytest.mark.parametrize("document", RUN, ids=relative)
def test_all_commands_run(document, workplace):
    for step in steps(document.read_text(encoding="utf-8")):
        if not step.note.startswith("not run"):
            run(step)


def test_python_in_the_readme_runs():
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    names: dict[str, object] = {}
    exec(block, names)
    assert names["V"].shape == (8, 3, 24, 32)


LEAVES = [
    name for name, command in commands(typer.main.get_command(build()), "stn") if not hasattr(command, "commands")
]


@pytest.mark.parametrize("name", LEAVES)
def test_readme_shows_every_command(name):
    top = " ".join(name.split()[:2])
    assert re.search(rf"\b{top}\b", (ROOT / "README.md").read_text(encoding="utf-8")), f"README.md does not show {top}"


def test_documents_name_no_command_that_is_not_there():
    tops = {name.split()[1] for name in LEAVES}
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:`|^\$ |^)stn ([a-z][a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= tops, f"{relative(document)} names {named - tops}"


def test_steps_are_found_with_their_output():
    console = "```console\n$ stn theta describe \\\n  --rotate 3\nturned ...\n$ ls\nx\n```\n"
    text = f"a\n{console}<!-- slow -->\n```sh\nstn b  # why\n```\n"
    assert steps(text) == [Step("stn theta describe    --rotate 3", "turned ...\n", ""), Step("stn b", "", "slow")]


def test_links_between_documents_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{relative(document)} links to {target}, which is not there"

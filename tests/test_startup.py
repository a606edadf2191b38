"""What a fresh process imports: help pages nothing heavy, a given θ on the CPU no torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from docs.make_reference import commands
from stn_cli.cli import build

ROOT = Path(__file__).parents[1]


def modules_after(arguments: list[str]) -> tuple[int, set[str]]:
    """Runs `stn` in a fresh process: its exit code and the top-level modules that it imported."""
    code = (
        "import json, sys\n"
        "from stn_cli.cli import main\n"
        "try:\n    main(json.loads(sys.argv[1]))\n"
        "except SystemExit as end:\n    exit_code = end.code or 0\n"
        "print('\\n' + json.dumps([exit_code, sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    exit_code, modules = json.loads(result.stdout.splitlines()[-1])
    return exit_code, set(modules)


COMMANDS = [name for name, _ in commands(typer.main.get_command(build()), "stn")]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_heavy(name):
    code, modules = modules_after([*name.split()[1:], "--help"])
    assert code == 0
    assert not modules & {"torch", "numpy", "PIL", "numba", "scipy", "imageio", "tifffile", "imagecodecs", "simplejpeg"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["theta", "describe", "--rotate", "30", "--size", "64x48"],
        ["warp", "samples/digits/3.png", "--rotate", "30", "--out", "OUT/3.png"],
        ["warp", "samples/digits", "--theta", "1 0 0.1 0 1 0", "--out", "OUT/all"],
        ["warp", "samples/digits/3.png", "--corners", "5,5 90,0 95,95 0,90", "--out", "OUT/c.png"],
        ["grid", "--rotate", "30", "--input-size", "64x48", "--out", "OUT/g.npz"],
    ],
    ids=" ".join,
)
def test_given_theta_starts_without_torch(arguments, tmp_path):
    code, modules = modules_after([word.replace("OUT", str(tmp_path)) for word in arguments])
    assert code == 0
    assert "torch" not in modules


def test_a_jpeg_is_warped_without_pillow(tmp_path):
    code, modules = modules_after(
        ["warp", "samples/images/page.jpg", "--rotate", "3", "--out", str(tmp_path / "page.jpg")]
    )
    assert code == 0
    assert "PIL" not in modules
    assert "tifffile" not in modules


def test_a_command_starts_without_the_others():
    code = (
        "import sys\nfrom stn_cli.cli import build\nbuild('theta')\n"
        "print([name for name in sys.modules if name.startswith('stn_cli.commands.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "stn_cli.commands.theta" in done.stdout
    assert not [name for name in ("train_mnist", "gradcheck", "animate", "bench") if f".{name}'" in done.stdout]


def test_the_garbage_collector_runs_while_a_command_does():
    code = (
        "import gc, sys\nfrom stn_cli import __main__, cli\nbuild = cli.build\n"
        "def watched(*names):\n"
        "    app = build(*names)\n    app.command('gc')(lambda: print(gc.isenabled()))\n    return app\n"
        "cli.build = watched\nsys.argv = ['stn', 'gc']\n__main__.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "True"

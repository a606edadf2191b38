"""The import rule of docs/architecture.md: cli → commands → {folders, learn, draw, engines} → core."""

import ast
from pathlib import Path

import pytest

import stn_cli

PACKAGE = Path(stn_cli.__file__).parent
RANK = {
    "__main__": 0,
    "cli": 1,
    "commands": 2,
    "folders": 3,
    "learn": 3,
    "draw": 3,
    "engines": 3,
    "core": 4,
    "errors": 5,
}
FILES = sorted(PACKAGE.rglob("*.py"))
TORCH_AT_MODULE_LEVEL = {
    *(f"core/{name}.py" for name in ("sampler", "backprop", "localisation", "transformer", "precision")),
    *(f"core/gradients/{path.name}" for path in (PACKAGE / "core" / "gradients").glob("*.py")),
    "engines/torch.py",
    *(f"engines/{name}.py" for name in ("card", "cuda", "lanes", "tables")),
    "engines/nvjpeg.py",
    "engines/triton_kernel.py",
    "engines/triton_sampling.py",
}


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST, path: Path) -> set[str]:
    """The dotted names that a file imports, relative ones made absolute; for `from a import b` also `a.b`."""
    here = ["stn_cli", *path.relative_to(PACKAGE).parent.parts]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def rooms_used(path: Path) -> set[str]:
    names = imported(ast.parse(path.read_text(encoding="utf-8")), path)
    parts = {dotted.split(".")[1] for dotted in names if dotted.startswith("stn_cli.")}
    return parts & RANK.keys()


@pytest.mark.parametrize("path", [path for path in FILES if room(path) != "__init__"], ids=name)
def test_imports_run_one_way(path):
    mine = room(path)
    assert mine in RANK, f"{name(path)} is in no room of docs/architecture.md"
    for other in rooms_used(path) - {mine}:
        assert RANK[mine] <= RANK[other], f"{name(path)} imports {other}, which stands to its left"


def test_rooms_of_one_rank_do_not_go_in_circles():
    uses: dict[str, set[str]] = {mine: set() for mine in RANK}
    for path in FILES:
        if room(path) in RANK:
            uses[room(path)] |= {other for other in rooms_used(path) if RANK[other] == RANK[room(path)]}
    for start in uses:
        reached, ahead = set(), uses[start] - {start}
        while ahead:
            reached |= ahead
            ahead = set().union(*(uses[other] - {other} for other in ahead)) - reached
        assert start not in reached, f"{start} comes back to itself by way of {reached - {start}}"


def test_the_package_itself_imports_nothing_of_its_own():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    run = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [node for node in run if "stn_cli" in (getattr(node, "module", "") or "")]


def module_level_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
    return {dotted.split(".")[0] for dotted in imported(body, path)}


def test_torch_is_imported_at_module_level_only_where_gradients_live():
    found = {name(path) for path in FILES if {"torch", "triton", "torchvision"} & module_level_imports(path)}
    assert {file for file in found if not file.startswith("learn/")} <= TORCH_AT_MODULE_LEVEL


@pytest.mark.parametrize("path", [path for path in FILES if room(path) == "core"], ids=name)
def test_core_prints_nothing_and_opens_no_file(path):
    forbidden = {"print", "open", "input"}
    methods = {"read_text", "write_text", "read_bytes", "write_bytes", "savez", "save", "load", "tofile", "fromfile"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            assert not (isinstance(called, ast.Name) and called.id in forbidden), f"{name(path)}:{node.lineno}"
            assert not (isinstance(called, ast.Attribute) and called.attr in methods), f"{name(path)}:{node.lineno}"
    assert not {"typer", "rich", "PIL", "imageio"} & module_level_imports(path)

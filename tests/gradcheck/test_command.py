"""`stn gradcheck` as it is typed: exit codes, table, JSON, pictures, a user's own code, and bad options."""

import json

import pytest
import torch
from PIL import Image

from stn_cli.cli import main
from stn_cli.core.gradients.record import SCHEMA

QUICK = ["--family", "affine", "--kernel", "bilinear", "--padding", "zeros", "--no-align-corners"]
OWN = "tests.gradcheck.user_code"


def run(capsys, *arguments, columns="80", monkeypatch=None):
    """(exit code, stdout, stderr) of `stn gradcheck`."""
    if monkeypatch is not None:
        monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as end:
        main(["gradcheck", *arguments])
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


@pytest.mark.parametrize("columns", ["80", "120"])
def test_table_fits_the_terminal(capsys, monkeypatch, columns):
    code, out, _ = run(capsys, *QUICK, monkeypatch=monkeypatch, columns=columns)
    assert code == 0
    assert max(map(len, out.splitlines())) <= int(columns)
    for stage in ("θ → grid", "grid → V", "U → V", "θ → L", "U → L"):
        assert f"\n{stage}  " in f"\n{out}"
    assert out.splitlines()[-1].startswith("PASS  5 checks")
    assert ("samples (" in out) == (columns == "120")


def test_identity_is_a_kink_and_passes(capsys):
    code, out, _ = run(capsys, *QUICK[2:], "--theta", "1 0 0 0 1 0")
    assert code == 0
    assert "KINK" in out
    assert "from the left" in out
    assert out.splitlines()[-1].startswith("PASS")


def test_json_keeps_its_schema(capsys, tmp_path):
    path = tmp_path / "deep" / "results.json"
    code, out, _ = run(capsys, *QUICK, "--seed", "3", "--json", str(path))
    found = json.loads(path.read_text(encoding="utf-8"))
    assert code == 0
    assert str(path) in out
    assert set(found) == {"schema", "stn", "torch", "settings", "verdict", "failed", "results"}
    assert (found["schema"], found["verdict"], found["failed"]) == (SCHEMA, "PASS", 0)
    assert found["settings"]["seed"] == 3
    keys = {
        "stage", "subject", "settings", "verdict", "failed", "reason", "checked", "absolute_error", "relative_error",
        "by_hand_error", "value_error", "slope", "worst", "kinks", "nondeterminism", "noise", "steps", "notes",
    }  # fmt: skip
    element = {"name", "place", "autograd", "differences", "by_hand", "right", "left", "step"}
    for result in found["results"]:
        assert set(result) == keys
        assert set(result["worst"]) == element
        assert set(result["kinks"]) == {"count", "right", "left", "between", "outside", "jumps", "example"}
        assert result["slope"] == pytest.approx(2, abs=0.1)


def test_json_on_stdout_is_nothing_else(capsys):
    code, out, _ = run(capsys, "--module", f"{OWN}:detached", "--input", "1,1,4,4", "--theta-size", "6", "--json", "-")
    assert code == 1
    found = json.loads(out)
    assert found["verdict"] == "FAIL"
    assert [r["stage"] for r in found["results"] if r["failed"]] == ["θ → V", "θ → V"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["warp", "--input", "2,2,5,6", "--theta-size", "6"], 0, ["at the identity", "KINK"]),
        (["warp", "--input", "2,2,5,6", "--theta-size", "2,3"], 0, ["at random θ"]),
        (["warp", "--input", "1,2,5,6", "--theta-size", "6", "--theta", ".9 .1 0 -.1 .9 0"], 0, ["at the given θ"]),
        (["warp", "--input", "1,2,5,6", "--theta-size", "6", "--dtype", "float32"], 0, ["PASS"]),
        (["needs_matrix", "--input", "1,2,5,6", "--theta-size", "2,3"], 0, ["PASS"]),
        (["detached", "--input", "2,2,5,6", "--theta-size", "6"], 1, ["FAIL θ → V, at random θ", "Taylor"]),
        (["nearest", "--input", "2,2,5,6", "--theta-size", "6"], 0, ["VACUOUS"]),
        (["Transformer", "--input", "2,1,6,6"], 0, ["parameters → V your code, by its parameters", "PASS"]),
        (["Forgetful", "--input", "2,1,6,6"], 1, ["FAIL parameters → V", "localisation.1.weight["]),
    ],
    ids=lambda value: " ".join(value[:5:4]) if isinstance(value, list) else None,
)
def test_a_users_own_code(capsys, arguments, code, words):
    name, *options = arguments
    found, out, err = run(capsys, "--module", f"{OWN}:{name}", *options)
    assert found == code, out + err
    assert all(word in " ".join(out.split()) for word in words), out


def test_explain_prints_the_numbers_of_autograd(capsys):
    """The chain for one pixel, against torch's own affine_grid and grid_sample at the same point."""
    theta = "0.8 0.3 0.1 -0.2 0.9 0.05"
    code, out, _ = run(capsys, *QUICK[2:], "--theta", theta, "--explain", "1,2")
    assert code == 0
    U = torch.randn(2, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[:1].requires_grad_()
    t = torch.tensor([float(v) for v in theta.split()], dtype=torch.float64).reshape(1, 2, 3).requires_grad_()
    grid = torch.nn.functional.affine_grid(t, [1, 1, 4, 5], align_corners=False)
    V = torch.nn.functional.grid_sample(U, grid, align_corners=False)[0, 0, 1, 2]
    to_U, to_theta = torch.autograd.grad(V, (U, t))
    assert f"V = Σ weight · value = {V:.6f}" in out
    lines = {
        line.split()[0]: line.split() for line in out.splitlines() if line.startswith("  ∂V/∂") and "=" not in line
    }
    for k, name in enumerate(("θ₁₁", "θ₁₂", "θ₁₃", "θ₂₁", "θ₂₂", "θ₂₃")):
        expected = to_theta.reshape(-1)[k].item()
        numbers = lines.get(f"∂V/∂{name}", ["0"] * 4)[-3:]
        assert [float(n) for n in numbers] == pytest.approx([expected] * 3, abs=1e-6)
    touched = to_U[0, 0].nonzero().tolist()
    for r, c in touched:
        assert [float(n) for n in lines[f"∂V/∂U[{r},{c}]"][-3:]] == pytest.approx(
            [to_U[0, 0, r, c].item()] * 3, abs=1e-6
        )
    assert len(touched) == sum("∂U[" in name for name in lines)
    assert max(map(len, out.splitlines())) <= 90


@pytest.mark.parametrize("padding", ["border", "fill"])
def test_explain_says_where_the_padding_comes_in(capsys, padding):
    arguments = ["--theta", "1 0 -0.9 0 1 0.03", "--padding", padding, "--no-align-corners", "--explain", "0,0"]
    _, out, _ = run(capsys, *arguments)
    assert ("] is [" in out) == (padding == "border")
    assert ("] padding" in out) == (padding == "fill")


def test_pictures(capsys, tmp_path):
    image = tmp_path / "ramp.png"
    Image.radial_gradient("L").resize((40, 30)).save(image)
    heatmap, sweep = tmp_path / "heat.png", tmp_path / "sweep.png"
    arguments = [*QUICK, "--image", str(image), "--size", "12x9", "--heatmap", str(heatmap), "--sweep", str(sweep)]
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    for path in (heatmap, sweep):
        assert str(path) in out
        with Image.open(path) as picture:
            assert picture.width >= 1000
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 16


def test_heatmap_of_a_users_own_code(capsys, tmp_path):
    path = tmp_path / "heat.png"
    options = ["--input", "1,1,4,4", "--theta-size", "6", "--heatmap", str(path)]
    assert run(capsys, "--module", f"{OWN}:warp", *options)[0] == 0
    assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--family", "afine"], "--family"),
        (["--theta", "1 0 0 0 1"], "--theta"),
        (["--theta", "1 0 0 0 1 nan"], "--theta"),
        (["--theta", "1 0 0 0 1 0", "--family", "tps"], "--theta"),
        (["--kernel", "lanczos"], "--kernel"),
        (["--size", "12"], "--size"),
        (["--size", "0x4"], "--size"),
        (["--seed", "-1"], "--seed"),
        (["--tolerance", "-1"], "--tolerance"),
        (["--dtype", "int8"], "--dtype"),
        (["--image", "nowhere.png"], "--image"),
        (["--net", "nowhere.safetensors"], "--net"),
        (["--net", "x", "--kernel", "nearest"], "--kernel"),
        (["--explain", "1"], "--explain"),
        (["--explain", "99,0"], "--explain"),
        (["--explain", "0,0", "--kernel", "bicubic"], "--kernel"),
        (["--heatmap", "error.gif"], "--heatmap"),
        (["--sweep", "error"], "--sweep"),
        (["--input", "1,1,4,4"], "--input"),
        (["--theta-size", "6"], "--theta-size"),
        (["--module", f"{OWN}:warp"], "--input"),
        (["--module", f"{OWN}:warp", "--input", "1,1,4,4"], "--theta-size"),
        (["--module", f"{OWN}:warp", "--input", "4", "--theta-size", "6"], "--input"),
        (["--module", f"{OWN}:warp", "--input", "1,1,4,x", "--theta-size", "6"], "--input"),
        (["--module", f"{OWN}:warp", "--input", "1,1,4,4", "--theta-size", "0"], "--theta-size"),
        (["--module", f"{OWN}:warp", "--input", "1,1,4,4", "--theta-size", "6", "--theta", "1 2"], "--theta"),
        (["--module", f"{OWN}:warp", "--input", "1,1,4,4", "--theta-size", "6", "--dtype", "float16"], "--dtype"),
        (["--module", f"{OWN}:warp", "--input", "1,1,4,4", "--theta-size", "6", "--family", "affine"], "--family"),
        (["--module", f"{OWN}:missing", "--input", "1,1,4,4", "--theta-size", "6"], "--module"),
        (["--module", f"{OWN}:not_callable", "--input", "1,1,4,4", "--theta-size", "6"], "--module"),
        (["--module", "no.such.module:f", "--input", "1,1,4,4", "--theta-size", "6"], "--module"),
        (["--module", "nonsense", "--input", "1,1,4,4", "--theta-size", "6"], "--module"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_options_get_one_line(capsys, arguments, option):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert option in err


@pytest.mark.parametrize("name", ["needs_matrix", "returns_a_list"])
def test_code_that_raises_or_returns_something_else(capsys, name):
    code, _, err = run(capsys, "--module", f"{OWN}:{name}", "--input", "1,1,4,4", "--theta-size", "6")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert name in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(capsys):
    code, _, err = run(capsys, "--device", "cuda")
    assert code == 1
    assert "--device cuda" in err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cpu_and_cuda_gradients_agree(capsys):
    code, out, _ = run(capsys, "--device", "cuda", "--family", "affine", "--kernel", "bilinear")
    assert code == 0, out


def test_through_a_trained_net(capsys, tmp_path):
    """A checkpoint's transformer, by its input and by the parameters of its localisation net."""
    from stn_cli.learn import checkpoint
    from stn_cli.learn.networks import build, design

    path = tmp_path / "model.safetensors"
    net = build(design("st-fcn", 12), seed=0)
    with torch.no_grad():  # away from the identity, where every sample lies on a kink
        net.localisation.regression.bias += 0.07
    checkpoint.save(path, net, "digits", "R", {})
    code, out, err = run(capsys, "--net", str(path))
    assert code == 0, out + err
    assert "parameters → V" in out
    bare = tmp_path / "cnn.safetensors"
    checkpoint.save(bare, build(design("cnn", 16), seed=0), "digits", "R", {})
    code, _, err = run(capsys, "--net", str(bare))
    assert (code, "no spatial transformer" in err) == (2, True)

"""What of `tests.benchmarks.gpu` runs without a card."""

import os
import sys

import numpy as np
import pytest

os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported
pytest.importorskip("triton", reason="install the `gpu` extra")

from stn_cli.core.families import make
from stn_cli.core.transformation import Transformation
from tests.benchmarks import gpu, gpu_checks
from tests.engines import reference, standin_torchvision


def test_the_turn_is_a_rotation_in_pixels():
    size = (1080, 1920)
    matrix = gpu.turned(size).pixel_matrix(size, size)
    np.testing.assert_allclose(matrix[:2, :2] @ matrix[:2, :2].T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(matrix @ [959.5, 539.5, 1], [959.5, 539.5, 1], atol=1e-9)
    assert matrix[0, 0] == pytest.approx(np.cos(np.pi / 6))


def test_the_part_of_the_input_that_is_read_is_counted():
    def read(theta, size):
        map_ = Transformation(make("affine"), np.array(theta))
        points = reference.input_points(map_, size, size)
        seen = np.zeros(size, bool)
        for x, y in np.floor(points.reshape(-1, 2)).astype(int):
            for i, j in ((x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)):
                if 0 <= i < size[1] and 0 <= j < size[0]:
                    seen[j, i] = True
        return gpu.touched(map_, size, "cpu", band=7), seen.mean()

    for theta in ([0.87, -0.5, 0.01, 0.5, 0.87, 0], [0.3, 0, 0.5, 0, 0.3, -0.5], [1, 0, 0.03, 0, 1, 0.01]):
        found, expected = read(theta, (30, 40))
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_part_that_misses_a_library_or_fails_does_not_take_the_others_along(tmp_path, capsys):
    def lacking(report):
        raise ModuleNotFoundError("No module named 'simplejpeg'")

    def failing(report):
        raise RuntimeError("CUDA error")

    report = gpu.Report()
    report.part("One", lacking)
    report.part("Two", failing)
    report.part("Three", lambda report, number: report.say(f"{number} images/s"), 7)
    report.write(tmp_path / "new", "NVIDIA H100 80GB HBM3")
    text = (tmp_path / "new" / "gpu-nvidia-h100-80gb-hbm3.md").read_text("utf-8")
    for line in ("## One", "left out: No module named 'simplejpeg'", "failed: RuntimeError: CUDA error", "7 images/s"):
        assert line in text
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_the_checks_pass_under_the_interpreter(monkeypatch):
    from stn_cli.engines.cuda import CudaEngine

    assert gpu_checks.check_far(CudaEngine(), sizes=((96, 900),)) <= 1
    monkeypatch.setattr(gpu_checks, "VARIANTS", gpu_checks.VARIANTS[::4])
    monkeypatch.setattr(gpu_checks, "LARGEST", 50)
    assert gpu_checks.check(CudaEngine(), 1) <= 1


@pytest.mark.slow
def test_nvjpeg_and_the_folder_are_measured_end_to_end_on_stand_ins(monkeypatch, tmp_path):
    from stn_cli.engines import gathering, jpeg_on
    from stn_cli.engines.cuda import CudaEngine

    standin_torchvision.install(monkeypatch)
    assert "torchvision" in sys.modules
    monkeypatch.setattr(gpu, "PHOTO", (48, 64))
    monkeypatch.setattr(gpu, "FILES", 4)
    engine, report = CudaEngine(), gpu.Report()
    codec, _ = jpeg_on(gathering(engine, 2)[0])
    gpu.nvjpeg(report, codec)
    gpu.folder(report, engine, codec)
    assert sum(line.startswith(("| 4:4:4", "| 4:2:0", "- cpu", "- gpu")) for line in report.lines) == 5, report.lines

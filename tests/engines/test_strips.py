"""One image in strips, over threads or row by row: byte for byte the whole."""

import numpy as np
import pytest

from stn_cli.core.sampling import Sampling
from stn_cli.engines import Work, strips
from stn_cli.engines.cpu import CpuEngine
from tests.engines.test_cpu import picture, transformation

ENGINE = CpuEngine()


def work(name="shrink", dtype="uint8", channels=3, out_size=(61, 47)):
    image = picture(np.random.default_rng(3), dtype, channels, (90, 75))
    return Work(image, transformation(name), out_size, Sampling())


def whole(work):
    return ENGINE.warp(work)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", ["turn", "shrink", "corners"])
def test_threads_make_the_same_bytes(name, threads, monkeypatch):
    monkeypatch.setattr(strips, "WORTH_THREADS", 1)
    one = work(name)
    np.testing.assert_array_equal(strips.warp(ENGINE, one, threads), whole(one))
    np.testing.assert_array_equal(strips.warp(ENGINE, one, threads, (7, 40)), whole(one)[7:40])


class Counting(CpuEngine):
    """Notes how many rows were asked for at once."""

    def __init__(self):
        self.asked = []

    def warp(self, work, rows=None):
        self.asked.append(work.out_size[0] if rows is None else rows[1] - rows[0])
        return super().warp(work, rows)


@pytest.mark.parametrize("step", [1, 4, 10, 61])
def test_rows_are_made_when_they_are_asked_for(step, monkeypatch):
    one, engine = work(dtype="uint16"), Counting()
    monkeypatch.setattr(strips, "AT_ONCE", 47 * 3 * 2 * 10)  # ten rows
    rows = strips.Rows(engine, one)
    assert (rows.shape, rows.dtype) == ((61, 47, 3), np.uint16)
    assert engine.asked == []
    parts = [rows[top : top + step] for top in range(0, 61, step)]
    np.testing.assert_array_equal(np.concatenate(parts), whole(one))
    assert max(engine.asked) == max(10, step)
    assert sum(engine.asked) <= 61 + 10 * len(engine.asked) // 2


def test_whatever_else_is_asked_of_rows_gets_the_whole():
    one = work()
    rows = strips.Rows(ENGINE, one)
    np.testing.assert_array_equal(rows[..., :2], whole(one)[..., :2])
    np.testing.assert_array_equal(rows[::5], whole(one)[::5])
    np.testing.assert_array_equal(rows[-3:], whole(one)[-3:])
    assert rows[5:5].shape == (0, 47, 3)

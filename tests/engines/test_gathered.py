"""Batches gathered from threads: the same bytes, never more than asked for, and an error stays with its image."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stn_cli.core.sampling import Sampling
from stn_cli.engines import BATCH, Work, gathering
from stn_cli.engines.cpu import CpuEngine
from stn_cli.engines.gathered import Gathered
from tests.engines.test_cpu import picture, transformation

SIZES = ((28, 28), (9, 41), (70, 80))
OUT_SIZES = ((28, 28), (15, 33))


@st.composite
def works(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = picture(
        rng, draw(st.sampled_from(["uint8", "uint16"])), draw(st.sampled_from([1, 3])), draw(st.sampled_from(SIZES))
    )
    map_ = transformation(draw(st.sampled_from(["turn", "shrink", "corners"])))
    kernel = draw(st.sampled_from(["nearest", "bilinear", "bicubic"]))
    return Work(image, map_, draw(st.sampled_from(OUT_SIZES)), Sampling(kernel))


@settings(max_examples=15, deadline=None)
@given(st.lists(works(), min_size=1, max_size=12), st.integers(1, 5), st.integers(1, 8))
def test_the_bytes_do_not_depend_on_what_was_gathered(batch, size, threads):
    engine = CpuEngine()
    gathered = Gathered(engine, size)
    alone = [engine.warp(w) for w in batch]
    with ThreadPoolExecutor(threads) as pool:
        one_each = list(pool.map(gathered.warp, batch))
    for results in (one_each, gathered.warp_all(batch), engine.warp_all(batch)):
        for result, expected in zip(results, alone, strict=True):
            np.testing.assert_array_equal(result, expected)


class Slow:
    """An engine that notes the sizes of its batches and can be held back; it adds 1."""

    name = "slow"

    def __init__(self):
        self.sizes, self.go = [], threading.Event()
        self.began = threading.Event()

    def warp_all(self, batch):
        self.sizes.append(len(batch))
        self.began.set()
        assert self.go.wait(20)
        if any(work.image[0, 0, 0] == 13 for work in batch):
            raise ValueError("thirteen")
        return [work.image + 1 for work in batch]


def image(value):
    return np.full((2, 2, 1), value, np.uint8)


def send(gathered, value):
    return gathered.warp(Work(image(value), transformation("turn"), (2, 2), Sampling()))


def waiting(gathered, count):
    for _ in range(2000):
        if len(gathered._gather._queue) == count:
            return
        threading.Event().wait(0.005)
    raise AssertionError("they never queued")


def test_what_waits_while_the_device_is_busy_goes_together_and_no_more_than_asked():
    slow = Slow()
    gathered = Gathered(slow, batch_size=4, lanes=1)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(send, gathered, 0)
        assert slow.began.wait(20)
        others = [pool.submit(send, gathered, value) for value in range(1, 10)]
        waiting(gathered, 9)
        slow.go.set()
        results = [future.result(20)[0, 0, 0] for future in (first, *others)]
    assert results == list(range(1, 11))
    assert slow.sizes == [1, 4, 4, 1]


def test_two_lanes_are_busy_at_once():
    slow = Slow()
    gathered = Gathered(slow, batch_size=1, lanes=2)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(send, gathered, value) for value in range(3)]
        for _ in range(2000):
            if len(slow.sizes) == 2:
                break
            threading.Event().wait(0.005)
        assert slow.sizes == [1, 1]
        slow.go.set()
        assert [future.result(20)[0, 0, 0] for future in futures] == [1, 2, 3]


def test_an_error_strikes_only_the_image_it_belongs_to():
    slow = Slow()
    gathered = Gathered(slow, batch_size=8, lanes=1)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(send, gathered, 0)
        assert slow.began.wait(20)
        others = {value: pool.submit(send, gathered, value) for value in (11, 12, 13, 14)}
        waiting(gathered, 4)
        slow.go.set()
        assert first.result(20)[0, 0, 0] == 1
        with pytest.raises(ValueError, match="thirteen"):
            others.pop(13).result(20)
        assert [future.result(20)[0, 0, 0] for future in others.values()] == [12, 13, 15]


def test_large_images_do_not_share_a_batch(monkeypatch):
    monkeypatch.setattr("stn_cli.engines.gathered.BATCH_BYTES", 20)
    slow = Slow()
    slow.go.set()
    batch = [Work(image(v), transformation("turn"), (2, 2), Sampling()) for v in range(5)]  # 8 bytes in and out
    Gathered(slow, batch_size=16).warp_all(batch)
    assert slow.sizes == [2, 2, 1]


class Hanging(Slow):
    """Hangs on 13, alone or in a batch, until told otherwise."""

    def warp_all(self, batch):
        self.sizes.append(len(batch))
        self.began.set()
        if any(work.image[0, 0, 0] == 13 for work in batch) or len(self.sizes) == 1:
            assert self.go.wait(20)
        return [work.image + 1 for work in batch]


def test_a_batch_that_hangs_is_taken_apart():
    """The first call holds the only lane until the others have queued; then 13 hangs, and holds up only itself and its taker."""
    hanging = Hanging()
    gathered = Gathered(hanging, batch_size=8, lanes=1, patience=0.4)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(send, gathered, 0)
        assert hanging.began.wait(20)
        others = {value: pool.submit(send, gathered, value) for value in (11, 12, 13, 14, 15)}
        done, late = wait(others.values(), timeout=2.5)
        assert len(late) <= 2
        assert others[13] in late
        assert not first.done()
        more = [pool.submit(send, gathered, value) for value in (21, 22)]
        assert [future.result(20)[0, 0, 0] for future in more] == [22, 23]
        for value, future in others.items():
            if future in done:
                assert future.result()[0, 0, 0] == value + 1
        hanging.go.set()
        assert others[13].result(20)[0, 0, 0] == 14
        assert first.result(20)[0, 0, 0] == 1


def test_a_cpu_gathers_only_when_asked_and_a_gpu_always():
    cpu, gpu = CpuEngine(), Slow()
    assert gathering(cpu, None) == (cpu, 0)
    assert gathering(cpu, 8)[0].batch_size == 8
    assert gathering(gpu, None)[0].batch_size == gathering(gpu, None)[1] == BATCH
    assert gathering(gpu, 3)[0].batch_size == 3

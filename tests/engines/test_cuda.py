"""The Triton kernel under Triton's interpreter, on a CPU: the same source that a GPU compiles."""

import itertools
import os

import numpy as np
import pytest

os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported
triton = pytest.importorskip("triton", reason="install the `gpu` extra")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow  # the interpreter takes a minute or two

import triton.language as tl  # noqa: E402

from stn_cli.core.families import make  # noqa: E402
from stn_cli.core.sampling import Sampling  # noqa: E402
from stn_cli.core.transformation import Transformation  # noqa: E402
from stn_cli.engines import Work, cuda, lanes, tables, triton_sampling  # noqa: E402
from stn_cli.engines.triton_kernel import _spline  # noqa: E402
from stn_cli.errors import StnError  # noqa: E402
from tests.engines import reference  # noqa: E402
from tests.engines.test_cpu import how, picture, transformation  # noqa: E402


@pytest.fixture(scope="module")
def engine():
    return cuda.CudaEngine()


def spline(seed):
    family = make("tps", shape=(3, 3))
    rng = np.random.default_rng(seed)
    return Transformation(family, np.array(family.identity()) + 0.1 * rng.standard_normal(family.size))


def agrees(engine, image, map_, sampling, alpha, out_size=(19, 33)):
    result = engine.warp(Work(image, map_, out_size, sampling, alpha=alpha))
    points = reference.input_points(map_, image.shape[:2], out_size, sampling.align_corners)
    expected = reference.warp(image, points, sampling, alpha=alpha)
    if sampling.kernel == "nearest":
        tie = (np.abs((points + 0.5) % 1 - 0.5) > 0.5 - 1e-4).any(-1)
        result[tie] = expected[tie] = 0
    return reference.difference(result, expected)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "fill"])
@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
def test_every_kernel_and_padding(engine, kernel, padding):
    rng = np.random.default_rng(2)
    layouts = ((1, False), (3, False), (4, False), (4, True), (2, True))
    maps = {**{k: transformation(k) for k in ("turn", "shrink", "corners")}, "spline": spline(0)}
    for count, (name, map_) in enumerate(maps.items()):
        channels, alpha = layouts[(count + len(kernel) + len(padding)) % len(layouts)]
        sampling = how(kernel, padding, bool(count % 2), ("off", "auto", "on")[count % 3], channels, "uint8")
        assert agrees(engine, picture(rng, "uint8", channels), map_, sampling, alpha) <= 1, (name, channels, alpha)


@pytest.mark.parametrize(
    ("kernel", "channels", "alpha"),
    [
        ("bilinear", 4, False),
        ("bilinear", 4, True),
        ("bilinear", 3, False),
        ("nearest", 1, False),
        ("bicubic", 2, True),
    ],
)
def test_tiles_that_lie_inside_or_outside_ask_no_pixel(engine, kernel, channels, alpha):
    image = picture(np.random.default_rng(3), "uint8", channels, (70, 90))
    affine, projective = make("affine"), make("projective")
    maps = (
        Transformation(affine, np.array([0.9, 0.2, 0.1, -0.3, 0.8, 0])),
        *(Transformation(affine, np.array([1, 0, 2 * x / 90, 0, 1, 2 * y / 70])) for x, y in ((-27, -10), (17, 6))),
        Transformation(projective, np.array([0.9, 0.1, 0.6, -0.1, 0.9, 0, 0.1, 0.05])),
    )
    for map_, padding in zip(maps, ("zeros", "fill", "fill", "border"), strict=True):
        sampling = how(kernel, padding, False, "off", channels, "uint8")
        assert agrees(engine, image, map_, sampling, alpha, (75, 83)) <= 1, (map_.theta, padding)


def test_splines_of_other_control_points_do_not_share_a_launch(engine):
    image = picture(np.random.default_rng(5), "uint8", 3, (40, 50))
    families = [make("tps", control_points=((-1, -1), (1, -1), (-1, 1), (1, k))) for k in (1, 0.2)]
    rng = np.random.default_rng(6)
    maps = [Transformation(f, np.array(f.identity()) + 0.1 * rng.standard_normal(8)) for f in families]
    sampling = Sampling(antialias="off")
    results = engine.warp_all([Work(image, map_, (30, 31), sampling) for map_ in maps])
    for map_, result in zip(maps, results, strict=True):
        expected = reference.warp(image, reference.input_points(map_, (40, 50), (30, 31)), sampling)
        assert reference.difference(result, expected) <= 1


@pytest.mark.parametrize("planar", [False, True])
def test_mixed_sizes_and_maps_in_one_call_write_every_pixel_and_no_other(engine, planar):
    rng = np.random.default_rng(4)
    images = [picture(rng, "uint8", 3, size) for size in ((23, 37), (5, 64), (40, 9))]
    maps, sizes = [transformation("turn"), spline(1), transformation("corners")], [(19, 31), (33, 16), (7, 50)]
    tensors = [torch.from_numpy(u.transpose(2, 0, 1).copy() if planar else u) for u in images]
    rooms = [torch.full((h + 4, w + 4, 3), 171, dtype=torch.uint8) for h, w in sizes]
    views = [r[2:-2, 2:-2].permute(2, 0, 1) if planar else r[2:-2, 2:-2] for r in rooms]
    engine.warp_tensors(tensors, maps, sizes, Sampling(antialias="off"), planar=planar, outputs=views)
    for image, map_, size, room in zip(images, maps, sizes, rooms, strict=True):
        expected = reference.warp(image, reference.input_points(map_, image.shape[:2], size), Sampling(antialias="off"))
        assert reference.difference(room[2:-2, 2:-2].numpy(), expected) <= 1
        room[2:-2, 2:-2] = 171
        assert (room == 171).all()


def test_a_batch_of_anything_gives_the_bytes_of_one_by_one(engine):
    rng = np.random.default_rng(7)
    works = [
        Work(picture(rng, dtype, channels, size), transformation(name), out_size, Sampling(kernel), alpha)
        for dtype, channels, size, name, out_size, kernel, alpha in (
            ("uint8", 3, (23, 37), "turn", (19, 31), "bilinear", False),
            ("uint8", 4, (8, 9), "corners", (7, 50), "bilinear", True),
            ("uint16", 3, (23, 37), "turn", (9, 11), "bilinear", False),
            ("uint8", 3, (40, 9), "shrink", (5, 5), "bilinear", False),
            ("uint8", 3, (40, 9), "turn", (5, 5), "bicubic", False),
        )
    ]
    for _ in range(2):  # the second time with the first one's buffers
        for work, result in zip(works, engine.warp_all(works), strict=True):
            alone = engine.warp(work)
            np.testing.assert_array_equal(result, alone)


def test_what_the_kernel_does_not_know_goes_to_torch(engine):
    image = picture(np.random.default_rng(0), "uint16", 3)
    result = engine.warp(Work(image, transformation("turn"), (9, 11), Sampling(antialias="off")))
    points = reference.input_points(transformation("turn"), (23, 37), (9, 11))
    assert reference.difference(result, reference.warp(image, points, Sampling(antialias="off"))) <= 2


@pytest.mark.parametrize(
    "words", ["CUDA out of memory. Tried to allocate 20 GiB", "Triton Error [CUDA]: out of memory"]
)
def test_too_little_memory_on_the_device_is_one_line(engine, monkeypatch, words):
    work = Work(picture(np.random.default_rng(0), "uint8", 3), transformation("turn"), (9, 11), Sampling())
    expected, make_batch, tries = engine.warp(work), engine._batch, []

    def full(batch):
        tries.append(engine._lanes.qsize())
        if len(tries) % 2:
            raise RuntimeError(words)
        return make_batch(batch)

    monkeypatch.setattr(engine, "_batch", full)
    np.testing.assert_array_equal(engine.warp(work), expected)
    assert tries == [1, 0]  # the second time after the buffers were given back

    def always(_):
        raise torch.OutOfMemoryError(words)

    monkeypatch.setattr(engine, "_batch", always)
    with pytest.raises(StnError, match="more than the GPU has left; --device cpu warps them"):
        engine.warp(work)
    monkeypatch.setattr(engine.other, "_warp", lambda *_: always(0))
    deep = Work(work.image.astype(np.uint16), work.transformation, (9, 11), Sampling())
    with pytest.raises(StnError, match="more than the GPU has left"):
        engine.warp(deep)


def test_other_errors_of_the_device_are_not_taken_for_that(engine, monkeypatch):
    def broken(_):
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(engine, "_batch", broken)
    with pytest.raises(RuntimeError, match="illegal"):
        engine.warp(Work(np.zeros((4, 4, 3), np.uint8), transformation("turn"), (3, 3), Sampling()))


@pytest.mark.parametrize(("name", "antialias"), [("turn", "off"), ("corners", "auto"), ("spline", "off")])
def test_strips_are_the_whole(engine, name, antialias, monkeypatch):
    image = picture(np.random.default_rng(8), "uint8", 4, (50, 60))
    image.flags.writeable = False
    map_ = spline(2) if name == "spline" else transformation(name)
    work = Work(image, map_, (150, 40), Sampling(antialias=antialias), alpha=True)
    whole = engine.warp(work)
    for rows in ((0, 64), (60, 70), (64, 128), (149, 150)):
        np.testing.assert_array_equal(engine.warp(work, rows), whole[slice(*rows)])
    assert len(engine._kept_images) == 1  # one upload for all strips
    monkeypatch.setattr("stn_cli.engines.cuda.LARGE", 1000)
    np.testing.assert_array_equal(engine.warp(work), whole)
    del work, image
    assert not engine._kept_images


def test_strips_of_what_is_on_the_device(engine):
    image = picture(np.random.default_rng(9), "uint8", 3, (20, 30))
    here = lanes.OnDevice(torch.from_numpy(image.transpose(2, 0, 1).copy()), engine, None)
    works = [Work(u, transformation("turn"), (70, 30), Sampling(antialias="off")) for u in (image, here)]
    expected, found = (engine.warp(work, (60, 69)) for work in works)
    np.testing.assert_array_equal(found, expected)


def test_pixels_of_four_bytes_that_are_not_side_by_side_are_not_read_as_if(engine):
    wide = torch.from_numpy(picture(np.random.default_rng(10), "uint8", 4, (40, 120)))
    room = torch.zeros(30, 60, 4, dtype=torch.uint8)
    for source, out in ((wide[:, ::2], room[:, :40]), (wide[:, :60], room[:, ::2])):
        (found,) = engine.warp_tensors([source], [transformation("turn")], [out.shape[:2]], Sampling(), outputs=[out])
        (expected,) = engine.warp_tensors(
            [source.contiguous()], [transformation("turn")], [out.shape[:2]], Sampling(antialias="auto")
        )
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


@triton.jit
def spline_places(u, v, controls, weights, K, m, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x, y = _spline(
        tl.load(u + i), tl.load(v + i), controls, weights, K, tl.load(m), tl.load(m + 1), tl.load(m), tl.load(m + 1),
        tl.load(m + 2), tl.load(m + 3), tl.load(m + 2), tl.load(m + 3),
    )  # fmt: skip
    tl.store(out + 2 * i, x)
    tl.store(out + 2 * i + 1, y)


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("side", [3, 5])
def test_how_far_a_spline_summed_in_float32_is_off_is_foreseen(side, scattered):
    rng = np.random.default_rng(side)
    served = []
    for spread, size in itertools.product((0.02, 0.3), (500, 20_000)):
        places = rng.uniform(-1, 1, (side * side, 2)).tolist()
        family = make("tps", control_points=places) if scattered else make("tps", shape=(side, side))
        map_ = Transformation(family, np.array(family.identity()) + spread * rng.standard_normal(family.size))
        u, v = rng.integers(0, size, (2, 512))
        frame = np.array([2 / size, 1 / size - 1, size / 2, size / 2 - 0.5], np.float32)
        found = np.zeros((512, 2), np.float32)
        controls, weights = np.array(family.control_points, np.float32), tables.spline_weights(map_).astype(np.float32)
        given = [
            torch.from_numpy(t) for t in (u.astype(np.float32), v.astype(np.float32), controls, weights, frame, found)
        ]
        spline_places[(1,)](*given[:4], side * side, *given[4:], 512)
        exact = (map_.points((np.stack([u, v], -1) + 0.5) * 2 / size - 1) + 1) * size / 2 - 0.5
        work = Work(np.zeros((size, 1, 3), np.uint8), map_, (9, 9), Sampling())
        off = np.abs(found - exact).max()
        assert off <= tables.spline_error(work), (spread, size)
        served.append(tables.serves(work))
        assert not served[-1] or off <= 0.02
    assert served[0]
    assert not served[-1]


def test_tensors_that_the_kernel_would_read_wrongly_are_refused(engine):
    wide = torch.zeros(9, 9, 3, dtype=torch.int16)
    with pytest.raises(ValueError, match=r"uint8 on cpu, not torch\.int16"):
        engine.warp_tensors([wide], [transformation("turn")], [(4, 4)], Sampling())


def plain(seed):
    """U of noise, of black and white, and of one grey."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (70, 90, 4)).astype(np.uint8)
    return noise, np.where(noise > 127, 255, 0).astype(np.uint8), np.full_like(noise, 255)


@pytest.mark.parametrize("name", ["affine", "projective", "tps"])
def test_pixels_of_four_bytes_are_blended_in_whole_numbers(engine, name):
    """Half a level and the thousandths that weights of 16 bits cost; a plain picture stays what it was."""
    family, rng = make(name, **({"shape": (3, 3)} if name == "tps" else {})), np.random.default_rng(12)
    maps = [
        Transformation(family, np.array(family.identity()) * 0.4 + 0.1 * rng.standard_normal(family.size)) for _ in "ab"
    ]
    maps.append(Transformation(make("affine"), np.array([1, 0, 0, 0, 1, 0])))  # every weight 0 or 1
    maps.append(Transformation(make("affine"), np.array([1, 0, 1 / 90, 0, 1, 1 / 70])))  # every weight a quarter
    for image, map_ in itertools.product(plain(11), maps):
        points = reference.input_points(map_, (70, 90), (70, 90))
        result = engine.warp(Work(image, map_, (70, 90), Sampling("bilinear", "border", antialias="off")))
        expected = reference.warp(image, points, Sampling("bilinear", "border", antialias="off"))
        assert reference.difference(result, expected) <= 0.53
        if (image == 255).all():
            assert (result == 255).all()


@triton.jit
def one_word(a, b, c, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    x, y, z = tl.load(a + i), tl.load(b + i), tl.load(c + i)
    tl.store(out + i, triton_sampling._permuted(x, y, triton_sampling.FRONT, False))
    tl.store(out + BLOCK + i, triton_sampling._permuted(x, y, triton_sampling.BACK, False))
    tl.store(out + 2 * BLOCK + i, triton_sampling._permuted(x, y, triton_sampling.HALVES, False))
    tl.store(out + 3 * BLOCK + i, triton_sampling._dot(x, y, z, triton_sampling.LOWER, False))
    tl.store(out + 4 * BLOCK + i, triton_sampling._dot(x, y, z, triton_sampling.UPPER, False))


def test_what_stands_in_for_two_instructions_of_the_card_is_what_their_manual_says():
    """prmt and dp2a as the PTX ISA defines them (9.7.9.7 and 9.7.1.24), by indexing bytes."""
    rng = np.random.default_rng(13)
    a, b, c = (rng.integers(0, 2**32, 64, dtype=np.uint32) for _ in range(3))
    c >>= 4
    out = np.zeros((5, 64), np.uint32)
    one_word[(1,)](*(torch.from_numpy(t) for t in (a, b, c, out)), 64)
    bytes_of = [t.view(np.uint8).reshape(64, 4) for t in (a, b)]
    eight = np.concatenate(bytes_of, 1)
    for row, selector in zip(out, (0x5140, 0x7362, 0x5410), strict=False):
        picked = eight[:, [selector >> (4 * i) & 7 for i in range(4)]]
        np.testing.assert_array_equal(row.view(np.uint8).reshape(64, 4), picked)
    halves = a.view(np.uint16).reshape(64, 2).astype(np.int64)
    for row, at in zip(out[3:], (0, 2), strict=True):
        total = c.astype(np.int64) + (halves * bytes_of[1][:, at : at + 2]).sum(1)
        np.testing.assert_array_equal(row, total % 2**32)


@pytest.mark.parametrize(
    ("size", "channels", "padding"), [((3_000_000, 900), 1, "border"), ((1_000_000, 700), 4, "zeros")]
)
def test_offsets_beyond_two_to_the_31_are_not_wrapped(engine, size, channels, padding):
    """The last rows of an image of which no more than these are in memory; an index of 32 bits would read and write elsewhere."""
    image = np.zeros((*size, channels), np.uint8)
    assert image.size > 2**31
    image[-100:] = picture(np.random.default_rng(14), "uint8", channels, (100, size[1]))
    shift = np.array([1, 0, 2 * 3.25 / size[1], 0, 1, 2 * -2.5 / size[0]])
    sampling = Sampling("bilinear", padding, antialias="off")
    result = engine.warp(Work(image, Transformation(make("affine"), shift), size, sampling), (size[0] - 20, size[0]))
    x, y = np.meshgrid(np.arange(size[1]) + 3.25, np.arange(80, 100) - 2.5)
    expected = reference.warp(image[-100:], np.stack([x, y], -1), sampling)
    assert reference.difference(result, expected) <= 1


@pytest.mark.parametrize(("fx", "fy"), [(0.9999946, 0.99993646), (0.9999953, 0.9999629), (0.99997815, 0.9999929)])
def test_a_weight_that_rounds_below_nothing_is_nothing(engine, fx, fy):
    """1 - fx - fy + fx·fy of three rounded numbers may be -2⁻¹⁶; without a sign that would be all but 1."""
    image = np.zeros((70, 90, 4), np.uint8)
    image[::2, ::2] = 255
    map_ = Transformation(make("affine"), np.array([1, 0, 2 * fx / 90, 0, 1, 2 * fy / 70]))
    sampling = Sampling("bilinear", "border", antialias="off")
    result = engine.warp(Work(image, map_, (70, 90), sampling))
    expected = reference.warp(image, reference.input_points(map_, (70, 90), (70, 90)), sampling)
    assert reference.difference(result, expected) <= 0.53

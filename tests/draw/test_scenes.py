"""Every scene shows what core computes: positions, sums and pictures are taken from the rendered frames or held to oracles."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label, map_coordinates
from torch.nn import functional as F

from stn_cli.commands import animate
from stn_cli.core.coordinates import pixels
from stn_cli.core.families import FAMILIES, make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.draw.examples import SAMPLE, UPRIGHT, sample, telling
from stn_cli.draw.motion import between
from stn_cli.draw.scene import EDGE, Scene, Stage
from stn_cli.draw.scenes import SCENES
from stn_cli.draw.scenes.forward import landing, undone
from stn_cli.draw.scenes.gradient import grid_backward
from stn_cli.draw.subject import Subject, flat
from stn_cli.draw.theme import THEMES, rgb
from stn_cli.engines import Work, choose

ONE_IMAGE = [name for name in SCENES if name not in ("training", "module")]


def digit():
    return sample()


def photograph(height=60, width=80):
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = [0.5 + 0.5 * np.sin(9 * x + 4 * y + k) * np.cos(7 * y - k) for k in range(3)]
    return (np.stack(planes, -1) * 255).round().astype(np.uint8)


IMAGES = {"digit": digit(), "wide": photograph(40, 160), "tall": photograph(150, 50)}


def scene(name, image="digit", family=None, theme="light", width=320, height=240, captions=True, **sampling) -> Scene:
    picture = IMAGES[image]
    moved = telling(family, picture.shape[:2], sample=image == "digit")
    one = Subject(picture, moved, Sampling(antialias="off", **sampling), f"{image}.png")
    return SCENES[name](one, Stage(width, height, THEMES[theme], captions))


def area(made: Scene):
    """Where a scene draws, in units: what `Scene.frame` hands to `draw`."""
    found = []

    class Spy(type(made)):  # type: ignore[misc]
        def draw(self, sheet, area, t):
            found.append(area)

    spy = object.__new__(Spy)
    spy.__dict__.update(made.__dict__)
    spy.frame(0.0)
    return found[0]


def at_unit(picture, point, scale):
    """The colour of the rendered frame at a point of the sheet."""
    x, y = (int(np.clip(v * scale, 0, n - 1)) for v, n in zip(point, picture.size, strict=True))
    return np.asarray(picture)[y, x].astype(int)


def test_the_command_knows_every_scene():
    assert tuple(SCENES) == animate.SCENES
    assert all(SCENES[name].name == name and SCENES[name].lesson for name in SCENES)


def test_the_sample_is_the_one_of_the_samples_folder(request):
    folder = request.config.rootpath / "samples"
    assert SAMPLE.read_bytes() == (folder / "digits" / "3.png").read_bytes()
    row = next(line for line in (folder / "digits.csv").read_text().splitlines() if line.startswith("3.png"))
    assert tuple(float(v) for v in row.split(",")[1:]) == UPRIGHT


@pytest.mark.parametrize("name", ONE_IMAGE)
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("family", ["affine", "projective", "tps"])
def test_every_scene_on_three_images_and_three_families(name, image, family):
    theme = "dark" if family == "tps" else "light"
    made = scene(name, image, family, theme, width=240, height=180)
    first, last = (np.asarray(made.frame(t).render(), dtype=int) for t in (0.02, 1.0))
    assert first.shape == last.shape == (180, 240, 3)
    ground = np.array(rgb(THEMES[theme].background))
    assert (np.abs(last - ground).max(-1) > 30).mean() > 0.05, "hardly anything is drawn"
    assert np.array_equal(first[:, :2], np.broadcast_to(ground, first[:, :2].shape)), "something touches the left rim"
    assert np.array_equal(last[:, -2:], np.broadcast_to(ground, last[:, -2:].shape)), (
        "something is cut at the right rim"
    )
    assert np.array_equal(last[-2:], np.broadcast_to(ground, last[-2:].shape)), "something is cut at the bottom"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
def test_theta_and_reverse_take_every_family_and_kernel(family, kernel):
    for name in ("theta", "reverse", "grid", "gradient"):
        made = scene(name, "digit", family, width=160, height=120, kernel=kernel, padding="border", align_corners=True)
        made.frame(0.37).render()


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("family", ["affine", "projective", "tps"])
def test_reverse_ends_with_what_stn_warp_makes(image, family):
    made = scene("reverse", image, family, width=1440, height=1080)
    one = made.subject
    if (image, family) == ("wide", "affine"):  # the engine itself once: it takes long to compile
        pixels_ = np.ascontiguousarray(one.image.reshape(*one.in_size, -1))
        warped = choose("cpu")[0].warp(Work(pixels_, one.transformation, one.out_size, one.sampling)).astype(int)
    else:
        V = F.grid_sample(one.tensor, torch.from_numpy(one.grid)[None], align_corners=False)
        warped = np.floor(V[0].numpy().transpose(1, 2, 0) + 0.5).astype(int)
    picture = made.frame(1.0).render()
    _, target = made.boxes(area(made))
    height, width = one.out_size
    found = np.array([
        [at_unit(picture, target.at_pixel(column, row), made.stage.scale) for column in range(1, width - 1)]
        for row in range(1, height - 1)
    ])  # fmt: skip
    wanted = np.broadcast_to(warped, (height, width, 3))[1:-1, 1:-1]
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("image", IMAGES)
def test_reverse_draws_the_sample_point_where_core_reads(image):
    made = scene("reverse", image, "affine", width=1920, height=1440)
    one, scale = made.subject, made.stage.scale
    source, _ = made.boxes(area(made))
    for stop in made.stops[:3]:
        t = (made.times[stop] + made.times[stop + 1]) / 2
        frame = np.asarray(made.frame(float(t)).render(), dtype=int)
        row, column = divmod(stop, one.out_size[1])
        # The pixel coordinate by core, brought to the sheet by hand: window and box say the scale.
        place = pixels(one.grid[row, column], one.in_size) + 0.5
        zoom = (source.box[2] - source.box[0]) / (source.window[2] - source.window[0])
        x, y = (place - source.window[:2]) * zoom + source.box[:2]
        half = int(7 * scale)
        left, top = int(x * scale) - half, int(y * scale) - half
        crop = frame[top : top + 2 * half, left : left + 2 * half]
        blobs, count = label(np.abs(crop - rgb(THEMES["light"].grid)).max(-1) < 12)
        sizes = np.bincount(blobs.ravel())[1:]
        assert count >= 1
        ys, xs = np.nonzero(blobs == 1 + int(np.argmax(sizes)))
        # A disc with the arrow's head beside it: the disc's middle is that of its rows and columns away from the arrow.
        radius = 3.6 * scale
        middle = np.array([xs.max() + 0.5 - radius + 1, (ys.min() + ys.max()) / 2 + 0.5])
        found = np.array([left, top]) + middle
        assert np.abs(found[1] / scale - y) < 0.5 * zoom
        assert np.abs(found / scale - [x, y]).max() < max(0.5 * zoom, 3.0)


def test_reverse_visits_every_pixel_once_and_slowly_at_first():
    made = scene("reverse", "digit")
    assert np.all(np.diff(made.times) > 0)
    assert made.times[0] == 0
    assert made.times[-1] == pytest.approx(1)
    assert made.visited(1.0) == made.count
    # Half of the time goes to less than a fifth of the pixels before the last stop.
    assert made.visited(0.5) < 0.5 * made.count
    seen = np.array([made.visited(t) for t in np.linspace(0, 1, 400)])
    assert np.all(np.diff(seen) >= 0)


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_weights_are_the_sampler_s(kernel, padding):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (9, 12), dtype=np.uint8)
    one = Subject(image, telling("affine", (9, 12)), Sampling(kernel, padding, antialias="off"))
    for point in rng.uniform(-1.3, 1.3, (20, 2)):
        taken, left_over = one.weights(point)
        grid = torch.from_numpy(point)[None, None, None]
        U = torch.from_numpy(image.astype(np.float64))[None, None]
        if kernel == "nearest":
            place = np.floor(pixels(point, one.in_size) + 0.5)
            assert len(taken) <= 1
            assert not taken or padding != "zeros" or tuple(place.astype(int)) == taken[0][:2]
        else:
            wanted = F.grid_sample(U, grid, mode=kernel, padding_mode=padding, align_corners=False).item()
            assert sum(w * float(image[r, c]) for c, r, w in taken) == pytest.approx(wanted, abs=1e-8)
        assert sum(w for *_, w in taken) + left_over == pytest.approx(1)
        if padding != "zeros":
            assert left_over == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_forward_counts_every_hole_and_overlap(family):
    made = scene("forward", "tall", family)
    one = made.subject
    hits = {}
    for place in landing(one).reshape(-1, 2):
        if np.isfinite(place).all():
            key = tuple(int(np.floor(v + 0.5)) for v in place)
            hits[key] = hits.get(key, 0) + 1
    height, width = one.out_size
    holes = overlaps = 0
    for row in range(height):
        for column in range(width):
            count = hits.get((column, row), 0)
            overlaps += count > 1
            holes += count == 0 and np.abs(one.grid[row, column]).max() <= 1
    assert (int(made.holes.sum()), int(made.overlaps.sum())) == (holes, overlaps)


@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 10_000))
def test_where_a_pixel_lands_is_read_back_to_the_pixel(family, seed):
    kind = make(family)
    rng = np.random.default_rng(seed)
    moved = Transformation(kind, np.array(kind.identity()) + rng.normal(0, 0.04, kind.size))
    points = rng.uniform(-0.9, 0.9, (30, 2))
    found = undone(moved, points)
    assert np.isfinite(found).all()
    assert np.abs(moved.points(found) - points).max() < 1e-6


def test_forward_at_the_identity_has_neither_holes_nor_overlaps():
    one = Subject(digit(), Transformation(make("affine"), make("affine").identity()))
    made = SCENES["forward"](one, Stage(320, 240, THEMES["light"]))
    assert made.holes.sum() == made.overlaps.sum() == 0


def test_grid_goes_from_the_identity_to_theta():
    for family in FAMILIES:
        made = scene("grid", "wide", family)
        identity = np.array(made.subject.transformation.family.identity())
        assert np.array_equal(made.transformation(0.0).theta, identity)
        assert np.array_equal(made.transformation(1.0).theta, made.subject.transformation.theta)


@given(st.floats(-175, 175), st.floats(0.4, 2.0), st.floats(0, 1), st.sampled_from(["affine", "projective"]))
def test_a_turn_on_the_way_is_a_turn_of_part_of_the_angle(degrees, scale, share, family):
    size = (30, 70)
    angle = np.radians(degrees)
    frame = np.diag([70.0, 30.0, 1.0])
    turn = np.diag([scale, scale, 1.0])
    turn[:2, :2] = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    theta = (np.linalg.inv(frame) @ turn @ frame).reshape(-1)[: 6 if family == "affine" else 8]
    part = between(Transformation(make(family), theta), share, size).matrix()
    linear = (frame @ part @ np.linalg.inv(frame))[:2, :2]
    length = 1 + (scale - 1) * share
    assert np.allclose(linear @ linear.T, np.eye(2) * length**2, atol=1e-9)
    assert np.arctan2(linear[1, 0], linear[0, 0]) == pytest.approx(angle * share, abs=1e-9)


def test_a_mirror_image_is_reached_straight():
    theta = np.array([-1.0, 0, 0, 0, 1, 0])
    half = between(Transformation(make("affine"), theta), 0.5, (10, 10))
    assert np.allclose(half.theta, [0, 0, 0, 0, 1, 0])


@pytest.mark.parametrize("t", [0.0, 0.13, 0.5, 0.77, 1.0])
def test_bilinear_shows_scipy_s_value_and_areas(t):
    made = scene("bilinear", "tall")
    one, image = made.sample(t), made.subject.image.astype(float)
    x, y = made.point(t)
    assert (one.x, one.y) == pytest.approx((x, y))
    assert pytest.approx(map_coordinates(image, [[y], [x]], order=1)[0]) == one.V
    assert one.weights.sum() == pytest.approx(1)
    u, v = x - np.floor(x), y - np.floor(y)
    assert one.weights == pytest.approx([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    assert (one.d_x, one.d_y) == pytest.approx((1 - u, 1 - v))


def test_wiggling_the_grid_changes_one_output_pixel():
    from stn_cli.draw.scenes.cells import Formulas

    made = scene("wiggle-grid", "digit")
    changed = set()
    for t in np.linspace(0.1, 0.9, 9):
        now = Formulas(made.subject, made.moved(float(t)))
        rows, columns = np.nonzero(np.abs(now.V - made.base.V) > 1e-9)
        changed |= set(zip(rows.tolist(), columns.tolist(), strict=True))
        one = now.sample(made.row, made.column)
        step = 1e-6

        def value(dx, dy, one=one):
            image = made.subject.image.astype(float)
            return map_coordinates(image, [[one.y + dy], [one.x + dx]], order=1, mode="constant")[0]

        slope = [(value(step, 0) - value(-step, 0)) / (2 * step), (value(0, step) - value(0, -step)) / (2 * step)]
        assert one.slope == pytest.approx(slope, abs=1e-3)
    assert changed == {(made.row, made.column)}


@pytest.mark.parametrize("image", IMAGES)
def test_wiggling_a_pixel_changes_its_users_and_no_other(image):
    from stn_cli.draw.scenes.cells import Formulas

    made = scene("wiggle-pixel", image, "projective")
    one = made.subject
    other = one.image.astype(float)
    other[made.row, made.column] += 50
    rows, columns = np.nonzero(np.abs(Formulas(one, one.grid, other).V - made.base.V) > 1e-9)
    assert {(i, j) for i, j, _, _ in made.users} == set(zip(rows.tolist(), columns.tolist(), strict=True))
    U = torch.from_numpy(one.image / 255.0)[None, None].requires_grad_()
    V = F.grid_sample(U, torch.from_numpy(one.grid)[None], align_corners=False)
    (0.5 * ((V - made.target / 255) ** 2).sum()).backward()
    assert made.dL_dU[made.row, made.column] == pytest.approx(U.grad[0, 0, made.row, made.column].item(), abs=1e-9)
    assert [made.value(0.0), made.value(1.0)] == pytest.approx([one.image[made.row, made.column]] * 2)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "flow"])
def test_the_gradient_scene_agrees_with_autograd(family):
    made = scene("gradient", "wide", family)
    one = made.subject
    theta = torch.tensor(made.current.theta, requires_grad=True)
    U = torch.from_numpy(one.image / 255.0)[None, None].requires_grad_()
    V = F.grid_sample(U, made.current.family.grid(theta, one.out_size), align_corners=False)
    wanted = F.grid_sample(U.detach(), torch.from_numpy(made.grid_of(made.wanted))[None], align_corners=False)
    L = 0.5 * ((V - wanted) ** 2).sum()
    L.backward()
    assert pytest.approx(L.item()) == made.L
    assert made.dL_dtheta == pytest.approx(theta.grad.numpy(), abs=1e-8)
    assert made.dL_dU == pytest.approx(U.grad[0, 0].numpy(), abs=1e-9)
    assert made.L_after < made.L
    step = Transformation(made.current.family, made.current.theta - made.rate * made.dL_dtheta)
    assert made.loss(step) == pytest.approx(made.L_after)


def test_the_affine_gradient_by_hand_is_that_of_the_family():
    moved = telling("affine", (9, 13))
    slopes = np.random.default_rng(0).normal(size=(9, 13, 2))
    theta = torch.tensor(moved.theta, requires_grad=True)
    grid = moved.family.grid(theta, (9, 13), align_corners=True)
    wanted = torch.autograd.grad(grid, theta, torch.from_numpy(slopes)[None])[0]
    assert grid_backward(moved, slopes, True) == pytest.approx(wanted.numpy())


@pytest.mark.parametrize("family", FAMILIES)
def test_theta_moves_one_parameter_at_a_time_and_comes_back(family):
    made = scene("theta", "digit", family)
    identity = np.array(made.family.identity())
    count = len(made.shown)
    assert made.shown == list(range(made.family.size)) or count >= 16
    for k in range(count):
        assert np.allclose(made.transformation(k / count).theta, identity)
        moved = np.flatnonzero(made.transformation((k + 0.25) / count).theta != identity)
        assert moved.tolist() == [made.shown[k]]
        assert made.caption((k + 0.25) / count)
    assert np.allclose(made.transformation(1.0).theta, identity)


def test_without_captions_the_drawing_gets_the_room():
    with_, without = scene("grid"), scene("grid", captions=False)
    a, b = area(with_), area(without)
    assert b[3] - b[1] > a[3] - a[1] + 40
    assert a[0] == b[0] == EDGE


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (5, 3)])
def test_tiny_images_can_be_shown(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    one = Subject(image, telling("affine", shape))
    for name in ONE_IMAGE:
        SCENES[name](one, Stage(160, 120, THEMES["light"])).frame(0.4).render()


def test_alpha_is_laid_over_white():
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, 0] = (10, 20, 30, 255)
    image[1, 1] = (0, 0, 0, 128)
    found = flat(image)
    assert found.shape == (2, 2, 3)
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[0, 1].tolist() == [255, 255, 255]
    assert abs(int(found[1, 1, 0]) - 127) <= 1
    assert flat(image[..., :1]).shape == (2, 2)

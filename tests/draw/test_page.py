"""The page in a real browser: what it computes is what core computes, and what a person does to it works."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from stn_cli.core.families import make
from stn_cli.core.sampler import sample
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.draw.examples import telling
from stn_cli.draw.page import page
from stn_cli.draw.subject import Subject
from tests.draw.browser import Browser, chromium

FAMILIES = ("translation", "attention", "similarity", "affine", "projective", "piecewise-affine", "tps", "flow")
needs_browser = pytest.mark.skipif(
    chromium() is None, reason="no Chromium on this machine (Debian: apt install chromium)"
)


@pytest.fixture(scope="module")
def browser():
    one = Browser()
    yield one
    one.close()


def subject(family="affine", size=(23, 31), colours=3, seed=0, **sampling):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3) if colours == 3 else size, dtype=np.uint8)
    return Subject(image, telling(family, size), Sampling(antialias="off", **sampling), "a picture.png")


def write(tmp_path, text):
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


def show(browser, tmp_path, one, **options):
    browser.errors.clear()
    browser.requests.clear()
    browser.resize(1100, 1000)
    browser.open(write(tmp_path, page(one, **options)))


def by_core(one: Subject, points: np.ndarray):
    """V and its slopes a pixel at normalised points (P, 2): (P, C), (P, C, 2), by core's sampler and autograd."""
    how = one.sampling
    grid = torch.from_numpy(points)[None, None].requires_grad_()
    V = sample(one.tensor, grid, kernel=how.kernel, padding=how.padding, fill=how.fill, align_corners=how.align_corners)
    height, width = one.in_size
    less = 1 if how.align_corners else 0
    units = np.array([(width - less) / 2, (height - less) / 2])
    slopes = [
        torch.autograd.grad(V[0, c].sum(), grid, retain_graph=True)[0][0, 0].numpy() / units
        for c in range(one.channels)
    ]
    return V[0, :, 0].detach().numpy().T, np.stack(slopes, axis=1)


@needs_browser
@pytest.mark.parametrize("family", FAMILIES)
def test_its_grid_is_core_s(browser, tmp_path, family):
    for align in (False, True):
        one = subject(family, align_corners=align)
        show(browser, tmp_path, one)
        found = np.array(browser.value("Array.from(core.grid(state))")).reshape(*one.out_size, 2)
        assert np.abs(found - one.grid).max() < 1e-9
        identity = browser.value("(state.theta = Float64Array.from(data.identity), Array.from(core.grid(state)))")
        straight = Transformation(
            make(family, **one.transformation.family.options()), one.transformation.family.identity()
        )
        assert (
            np.abs(np.array(identity).reshape(-1, 2) - straight.grid(one.out_size, align).reshape(-1, 2)).max() < 1e-9
        )
    assert browser.errors == []


@needs_browser
@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "fill"])
@pytest.mark.parametrize("align", [False, True])
def test_its_sampler_is_core_s(browser, tmp_path, kernel, padding, align):
    fill = (10.0, 200.0, 90.0) if padding == "fill" else None
    one = subject(kernel=kernel, padding=padding, fill=fill, align_corners=align, seed=3)
    show(browser, tmp_path, one)
    # Generic points: at kinks a slope has two values, and torch and the page may choose either.
    points = np.random.default_rng(1).uniform(-2.2, 2.2, (200, 2))
    said = browser.value(
        f"{json.dumps(points.tolist())}.map(p => {{ const s = core.sample(state, ...p); return [s.V, s.dVdx, s.dVdy] }})"
    )
    found = np.array(said)
    V, slopes = by_core(one, points)
    assert np.abs(found[:, 0] - V).max() < 1e-6
    assert np.abs(found[:, 1] - slopes[..., 0]).max() < 1e-6
    assert np.abs(found[:, 2] - slopes[..., 1]).max() < 1e-6
    picture = np.array(browser.value("Array.from(core.picture(state, core.grid(state)))")).reshape(one.output.shape)
    assert np.abs(picture - one.output.astype(int)).max() <= 1
    assert (picture != one.output).mean() < 1e-3  # rounding at exact halves
    assert browser.errors == []


def centre(browser, selector):
    return browser.value(
        f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({selector!r}).getBoundingClientRect())"
    )


@needs_browser
def test_dragging_a_corner_takes_it_along_and_keeps_its_neighbours(browser, tmp_path):
    show(browser, tmp_path, subject())
    before = np.array(browser.value("CORNERS.map(c => map(c[0], c[1]))"))
    start = centre(browser, "#handles .handle:nth-child(1) .dot")
    end = [start[0] + 40, start[1] + 25]
    browser.drag(tuple(start), tuple(end))
    after = np.array(browser.value("CORNERS.map(c => map(c[0], c[1]))"))
    place = centre(browser, "#handles .handle:nth-child(1) .dot")
    assert np.allclose(place, end, atol=1.0)
    assert np.allclose(after[[1, 3]], before[[1, 3]], atol=1e-9)
    assert np.abs(after[0] - before[0]).min() > 0.02
    theta = browser.value("Array.from(state.theta)")
    assert np.allclose(Transformation(make("affine"), theta).points(np.array([-1.0, -1.0])), after[0])
    # The command says the same θ, to the last digit.
    said = browser.value("document.getElementById('command').textContent")
    numbers = re.search(r'--theta "([^"]*)"', said)
    assert [float(v) for v in numbers[1].split()] == theta
    assert browser.errors == []


@needs_browser
@pytest.mark.parametrize("family", ["translation", "attention", "similarity", "projective", "tps", "piecewise-affine"])
def test_every_handle_of_every_family_follows_the_pointer(browser, tmp_path, family):
    one = subject(family)
    show(browser, tmp_path, one)
    handles = browser.value("handles().length")
    assert handles == {"translation": 1, "attention": 5, "similarity": 5, "projective": 4}.get(family, 16)
    for k in (1, handles):
        browser.value("document.getElementById('reset').click()")
        start = centre(browser, f"#handles .handle:nth-child({k}) .dot")
        browser.drag(tuple(start), (start[0] + 12, start[1] + 9))
        place = centre(browser, f"#handles .handle:nth-child({k}) .dot")
        if family == "attention" and k == 1:  # keeps its proportion: follows along the diagonal
            assert browser.value("state.theta[0]") != pytest.approx(one.transformation.theta[0], abs=1e-3)
        else:
            assert np.allclose(place, [start[0] + 12, start[1] + 9], atol=1.0)
    assert browser.errors == []


@needs_browser
def test_hovering_a_pixel_shows_core_s_numbers(browser, tmp_path):
    one = subject(colours=1)
    show(browser, tmp_path, one)
    box = browser.value(
        "(r => [r.x, r.y, r.width, r.height])(document.getElementById('output').getBoundingClientRect())"
    )
    for row, column in ((4, 9), (18, 27), (0, 0)):
        height, width = one.out_size
        browser.mouse("mouseMoved", box[0] + (column + 0.5) / width * box[2], box[1] + (row + 0.5) / height * box[3])
        said = browser.value("document.getElementById('numbers').innerText").replace("−", "-")
        assert f"output pixel ({column}, {row})" in said
        V, slopes = by_core(one, one.grid[row, column][None])
        reads = re.search(r"reads \(([-\d.]+), ([-\d.]+)\)", said)
        assert [float(reads[1]), float(reads[2])] == pytest.approx(one.points[row, column], abs=6e-4)
        assert float(re.search(r"V = ([-\d.]+)", said)[1]) == pytest.approx(V[0, 0], abs=6e-4)
        assert float(re.search(r"∂V/∂x = ([-\d.]+)", said)[1]) == pytest.approx(slopes[0, 0, 0], abs=6e-4)
        assert float(re.search(r"∂V/∂y = ([-\d.]+)", said)[1]) == pytest.approx(slopes[0, 0, 1], abs=6e-4)
    assert browser.errors == []


@needs_browser
def test_keyboard_alone_is_enough(browser, tmp_path):
    show(browser, tmp_path, subject("tps"))
    browser.value("document.querySelector('#handles .handle:nth-child(6)').focus()")
    before = browser.value("Array.from(state.theta)")
    browser.key("ArrowRight")
    browser.key("ArrowDown", shift=True)
    after = browser.value("Array.from(state.theta)")
    moved = np.array(after) - before
    assert moved[10] == pytest.approx(2 / 31)
    assert moved[11] == pytest.approx(20 / 23)
    assert np.count_nonzero(moved) == 2
    browser.value("document.getElementById('output').focus()")
    chosen = browser.value("chosen")
    browser.key("ArrowLeft")
    browser.key("ArrowUp")
    assert browser.value("chosen") == chosen - 1 - 31
    # Everything that can be used is reached by Tab, and is named.
    names = browser.value(
        "[...document.querySelectorAll('button, select, input, [tabindex]')].map("
        "e => (e.getAttribute('aria-label') || e.innerText || e.labels?.[0]?.innerText || '').trim().length)"
    )
    assert min(names) > 0
    assert browser.errors == []


@needs_browser
def test_controls_play_and_command(browser, tmp_path):
    show(browser, tmp_path, subject())
    browser.value(
        "(e => { e.value = 'bicubic'; e.dispatchEvent(new Event('change')) })(document.getElementById('kernel'))"
    )
    browser.value(
        "(e => { e.value = 'reflection'; e.dispatchEvent(new Event('change')) })(document.getElementById('padding'))"
    )
    browser.value("document.getElementById('align').click()")
    browser.value("document.getElementById('theme').click()")
    assert browser.value("document.documentElement.dataset.theme") == "dark"
    said = browser.value("document.getElementById('command').textContent")
    for part in ('"a picture.png"', "--kernel bicubic", "--padding reflection", "--align-corners", "--antialias off"):
        assert part in said
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    slider = "document.querySelector('#theta .row input[type=range]')"
    browser.value(f"(e => {{ e.value = 0.5; e.dispatchEvent(new Event('input')) }})({slider})")
    assert browser.value("state.theta[0]") == 0.5
    browser.value("document.getElementById('play').click()")
    assert browser.value("new Promise(done => setTimeout(() => done(playing !== null && shown < 31 * 23), 300))")
    browser.value("document.getElementById('play').click()")
    assert browser.value("playing === null && shown === 31 * 23")
    assert browser.errors == []


@needs_browser
@pytest.mark.parametrize("width", [360, 1100])
def test_it_fits_the_screen_and_nothing_leaves_it(browser, tmp_path, width):
    show(browser, tmp_path, subject("projective", size=(90, 60)))
    browser.resize(width, 800, mobile=width < 500)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("getComputedStyle(document.querySelector('p')).fontFamily").startswith("Inter")
    assert browser.value("document.fonts.check('16px Inter')")
    assert all(url.startswith(("file:", "data:")) for url in browser.requests)
    assert browser.errors == []


NASTY = (
    '</script><script>window.hacked = 1</script><img src=x onerror="hacked=1"> {{data}} "\'`$(rm) &amp; <!-- \u2028.png'
)


@needs_browser
def test_a_hostile_name_stays_a_name(browser, tmp_path):
    one = subject()
    show(browser, tmp_path, Subject(one.image, one.transformation, one.sampling, NASTY))
    assert browser.value("typeof window.hacked") == "undefined"
    assert browser.value("document.querySelector('h1').textContent") == f"Spatial transformer: {NASTY}"
    assert browser.value("state.image") == NASTY
    assert browser.value("document.images.length") == 0
    assert browser.errors == []


class Addresses(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_one_small_file_that_asks_for_nothing(family):
    text = page(subject(family, size=(900, 1400)))
    assert len(text.encode()) < 1_000_000
    parser = Addresses()
    parser.feed(text)
    assert parser.found == ["data:,"]
    assert not re.search(r"url\((?!data:|#)|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert "{{" not in text.replace("{{data}}", "")

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from colorize_core import propagation
from colorize_core.hints import Hints
from colorize_core.propagation import diffuse, spread, toward_palette

RNG = np.random.default_rng(5)
BLUE = {"a": 5, "b": -40}


def hints(**content) -> Hints:
    return Hints.parse(json.dumps({"size": [64, 48]} | content).encode())


def halves(dark: float = 30, light: float = 80) -> np.ndarray:
    """A picture of two halves of different lightness, with the grain of a scan."""
    picture = np.full((48, 64), dark, np.float32)
    picture[:, 32:] = light
    return picture + RNG.normal(0, 0.5, picture.shape).astype(np.float32)


def test_hinted_pixels_have_the_very_color():
    said = hints(
        points=[{"x": 3, "y": 4, "radius": 2, "color": BLUE}],
        boxes=[{"x": 40, "y": 9, "width": 9, "height": 1, "color": "#c0392b"}],
    )
    made = spread(halves(), RNG.normal(0, 20, (48, 64, 2)).astype(np.float32), said)
    drawn = said.draw(64, 48)
    known = drawn[..., 2] > 0
    assert made.dtype == np.float32 and made.shape == (48, 64, 2)
    np.testing.assert_array_equal(made[known], drawn[known][:, :2])
    whole = hints(boxes=[{"x": 0, "y": 0, "width": 64, "height": 48, "color": BLUE}])
    assert (spread(halves(), made, whole) == (5, -40)).all()


def test_color_fills_its_region_and_stops_at_the_edge():
    made = spread(
        halves(), np.zeros((48, 64, 2), np.float32), hints(points=[{"x": 10, "y": 20, "radius": 2, "color": BLUE}])
    )
    blue = -made[..., 1]
    assert blue[15:25, 4:16].min() > 25
    assert blue[:, :32].mean() > 10 * blue[:, 32:].mean()
    assert abs(blue[:, 31].mean() - blue[:, 32].mean()) > 5


def test_color_fades_with_distance_and_turns_into_no_other():
    said = hints(points=[{"x": 2, "y": 24, "radius": 1, "color": BLUE}])
    made = spread(np.full((48, 64), 50, np.float32), np.zeros((48, 64, 2), np.float32), said)
    along = -made[24, 3:, 1]
    assert (np.diff(along) < 0).all() and along.min() > 0
    assert along[-1] < 0.5 * along[5]
    assert made[..., 0].max() <= 5 and made[..., 0].min() > 0


def test_a_hint_that_says_what_was_predicted_changes_little():
    ab = np.full((48, 64, 2), (5.0, -40.0), np.float32)
    made = spread(halves(), ab, hints(points=[{"x": 10, "y": 20, "radius": 2, "color": BLUE}]))
    np.testing.assert_allclose(made, ab, atol=1e-3)


def test_the_solution_is_that_of_the_stated_sum():
    lightness, known = RNG.uniform(0, 30, (7, 9)), RNG.random((7, 9)) < 0.1
    values = RNG.normal(0, 20, (7, 9, 2))
    made = diffuse(lightness, known, values)

    def stated(field: np.ndarray) -> float:
        total = (field**2).sum() / (propagation.REACH**2 * lightness.size)
        for axis in (0, 1):
            weights = propagation.BRIDGE + np.exp(-(np.diff(lightness, axis=axis) ** 2) / (2 * propagation.EDGE**2))
            total += (weights[..., None] * np.diff(field, axis=axis) ** 2).sum()
        return total

    np.testing.assert_array_equal(made[known], values[known])
    for _ in range(50):
        other = made + np.where(known[..., None], 0, RNG.normal(0, 1e-2, made.shape))
        assert stated(made) < stated(other)


def test_the_same_input_gives_the_same_bits():
    lightness, ab = halves(), RNG.normal(0, 20, (48, 64, 2)).astype(np.float32)
    said = hints(points=[{"x": 10, "y": 20, "color": BLUE}], palette=["#8a6d3b", "#4f6d7a"])
    np.testing.assert_array_equal(spread(lightness, ab, said), spread(lightness, ab, said))


def test_a_palette_draws_colors_to_the_nearest_of_its_own():
    ab = np.array([[[29.0, 1], [31, -3], [0, -31], [100, 0], [-90, -90]]])
    made = toward_palette(ab, ((30.0, 0.0), (0.0, -30.0)))
    np.testing.assert_allclose(made[0, :4], [[30, 0], [30, 0], [0, -30], [30, 0]], atol=0.1)
    assert np.isfinite(made).all()


@pytest.mark.parametrize("colors", [2, 5])
def test_a_palette_makes_no_steps(colors):
    palette = tuple(map(tuple, RNG.uniform(-60, 60, (colors, 2))))
    line = np.linspace(-60, 60, 2001)
    made = toward_palette(np.stack([line, line[::-1]], -1), palette)
    assert np.abs(np.diff(made, axis=0)).max() < 2


def test_points_win_over_the_palette():
    said = hints(points=[{"x": 10, "y": 20, "color": {"a": 60, "b": 60}}], palette=[BLUE])
    made = spread(halves(), RNG.normal(0, 20, (48, 64, 2)).astype(np.float32), said)
    assert made[20, 10].tolist() == [60, 60]
    np.testing.assert_allclose(made[40, 60], (5, -40), atol=3)


def test_a_picture_too_large_to_solve_for_is_done_alike():
    said = hints(points=[{"x": 10, "y": 20, "radius": 2, "color": BLUE}])
    large = np.kron(halves(), np.ones((8, 8), np.float32))
    assert large.size > propagation.LARGEST
    made = spread(large, np.zeros((384, 512, 2), np.float32), said)
    drawn = said.draw(512, 384)
    np.testing.assert_array_equal(made[drawn[..., 2] > 0], drawn[drawn[..., 2] > 0][:, :2])
    blue = -made[..., 1]
    assert blue[120:200, 32:128].min() > 25
    assert blue[:, :256].mean() > 5 * blue[:, 256:].mean()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (40, 1), (3, 2000)])
def test_pictures_of_any_shape(shape):
    said = hints(points=[{"x": 10, "y": 20, "color": BLUE}])
    made = spread(RNG.uniform(0, 100, shape).astype(np.float32), np.zeros((*shape, 2), np.float32), said)
    assert made.shape == (*shape, 2) and np.isfinite(made).all()
    assert ((made == (5, -40)).all(-1)).any()


SHORT_OF_MEMORY = """
import resource
import numpy as np
from colorize_core.propagation import diffuse
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (250 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
known = np.eye(256, dtype=bool)
try:
    diffuse(np.zeros((256, 256)), known, np.ones((256, 256, 1)))
except MemoryError:
    print("said so")
"""


def test_superlu_is_not_called_where_it_would_hang():
    done = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY], capture_output=True, text=True, timeout=60)
    assert done.stdout == "said so\n", done.stderr

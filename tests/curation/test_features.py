from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from colorize_core.curation.features import FEATURES, SIDE, Color, Pixels

RED, GREEN, BLUE, GRAY = (200, 40, 40), (60, 140, 50), (60, 110, 190), (120, 120, 120)


def plain(rgb: tuple[int, int, int]) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), rgb, np.uint8)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Pictures that differ in lightness most, each with a soft pattern and grain of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE][..., None] / SIDE
    light = rng.uniform(40, 200, (count, 1, 1, 1)) + rng.normal(0, 15, (count, 1, 1, 3))
    slope = rng.normal(0, 15, (count, 2, 1, 1, 3))
    made = light + slope[:, 0] * (x - 0.5) + slope[:, 1] * (y - 0.5) + rng.normal(0, 4, (count, SIDE, SIDE, 3))
    return np.clip(made, 0, 255).astype(np.uint8)


def in_batches(of: np.ndarray, size: int):
    def batches() -> Iterator[np.ndarray]:
        return (of[at : at + size] for at in range(0, len(of), size))

    return batches


@pytest.fixture(scope="module")
def seen() -> np.ndarray:
    return pictures(72)


@pytest.fixture(scope="module")
def pixels(seen: np.ndarray) -> Pixels:
    return Pixels.fit(in_batches(seen, 20))


def test_leading_color_is_the_hue_of_the_vivid_part():
    coat = plain(GRAY)
    coat[60:200, 100:160] = RED
    red, green, blue, gray, in_gray = Color().transform(np.stack([plain(c) for c in (RED, GREEN, BLUE, GRAY)] + [coat]))
    assert red[0] > 5 and green[0] < -4 and blue[1] < -4
    assert np.abs(gray).max() < 0.1
    assert np.linalg.norm(in_gray - red) < 0.05 * np.linalg.norm(red)


def test_leading_color_ignores_the_layout_and_hardly_sees_lightness():
    half = plain(GREEN)
    half[:, SIDE // 2 :] = BLUE
    one, turned = Color().transform(np.stack([half, half.swapaxes(0, 1)]))
    assert np.allclose(one, turned, atol=1e-4)
    full, dark = Color().transform(np.stack([plain(RED), plain((100, 20, 20))]))
    assert full @ dark / np.linalg.norm(full) / np.linalg.norm(dark) > 0.99


def test_pixels_are_the_first_component_of_each_channel(seen, pixels):
    for channel in range(3):
        standard = seen[..., channel].reshape(len(seen), -1).astype(np.float64)
        standard = (standard - standard.mean(0)) / standard.std(0)
        left, size, _ = np.linalg.svd(standard, full_matrices=False)
        exact = left[:, 0] * size[0]
        score = pixels.transform(seen)[:, channel]
        exact *= np.sign(exact @ score)
        assert np.abs(score - exact).max() < 0.02 * np.abs(exact).max()


def test_scores_grow_with_their_own_channel(pixels):
    base, red = plain((100, 100, 100)), plain((150, 100, 100))
    dark, light = pixels.transform(np.stack([base, red]))
    assert light[0] > dark[0] + 50
    assert (light[1:] == dark[1:]).all()


def test_batches_do_not_matter(seen, pixels):
    other = Pixels.fit(in_batches(seen, 7))
    assert (other.weights == pixels.weights).all()
    assert (other.offset == pixels.offset).all()
    one_by_one = np.concatenate([pixels.transform(seen[i : i + 1]) for i in range(5)])
    assert (one_by_one == pixels.transform(seen[:5])).all()


def test_what_never_changes_says_nothing():
    some = pictures(6)
    some[:, :10] = 255
    fitted = Pixels.fit(in_batches(some, 6))
    assert np.isfinite(fitted.weights).all()
    assert not fitted.weights.reshape(3, SIDE, SIDE)[:, :10].any()


def test_nothing_to_compare_is_said():
    with pytest.raises(ValueError, match="1 pictures"):
        Pixels.fit(in_batches(pictures(1), 1))
    with pytest.raises(ValueError, match="shape"):
        Pixels.from_tensors({"weights": np.zeros((3, 9), np.float32), "offset": np.zeros(3, np.float32)})


@pytest.mark.parametrize("name", FEATURES)
def test_tensors_bring_a_feature_back(name, seen):
    fitted = FEATURES[name].fit(in_batches(seen[:9], 4))
    again = FEATURES[name].from_tensors({**fitted.to_tensors(), "centers": np.zeros((5, 2))})
    numbers = fitted.transform(seen[:3])
    assert numbers.dtype == np.float32
    assert (again.transform(seen[:3]) == numbers).all()

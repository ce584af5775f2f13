from __future__ import annotations

import numpy as np
import pytest

from colorize_core.curation.clustering import assign, find_centers, silhouettes

CENTERS = np.array([[-9, 1], [-3, 8], [0, -7], [4, 3], [10, -2]], np.float32)


def blobs(count: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around the centers, and which center each is of."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, 5, count)
    return (CENTERS[of] + rng.normal(0, 0.7, (count, 2))).astype(np.float32), of


def test_blobs_are_found_and_numbered_by_their_first_coordinate():
    points, of = blobs()
    centers = find_centers(points, 5)
    assert centers.dtype == np.float32
    assert np.abs(centers - CENTERS).max() < 0.3
    labels, distances = assign(points, centers)
    assert (labels == of).all()
    assert np.allclose(distances, np.linalg.norm(points - centers[labels], axis=1), atol=1e-5)


def test_centers_do_not_depend_on_order():
    points = np.random.default_rng(1).normal(size=(500, 3)).astype(np.float32)  # no clear clusters: starts matter
    shuffled = points[np.random.default_rng(2).permutation(500)]
    assert (find_centers(points, 5) == find_centers(shuffled, 5)).all()
    assert silhouettes(points, [3, 5]) == silhouettes(shuffled, [3, 5])


def test_numbers_survive_other_photographs():
    points, of = blobs()
    more, _ = blobs(60, seed=7)
    labels, _ = assign(points, find_centers(np.concatenate([points[::2], more]), 5))
    assert (labels == of).all()


def test_silhouette_is_best_at_the_true_number():
    points, _ = blobs()
    found = silhouettes(points, range(2, 9))
    assert list(found) == list(range(2, 9))
    assert max(found, key=found.__getitem__) == 5
    assert found[5] > 0.7


def test_silhouettes_of_many_points_look_at_some_of_them():
    points, _ = blobs(5000)
    order = np.random.default_rng(3).permutation(5000)
    assert silhouettes(points, [5]) == silhouettes(points[order], [5])


def test_too_few_points():
    points = np.array([[0, 0], [1, 1], [1, 1], [2, 0]], np.float32)
    assert list(silhouettes(points, range(2, 11))) == [2, 3]
    with pytest.raises(ValueError, match="3 different points"):
        find_centers(points, 4)
    assert len(find_centers(points, 3)) == 3

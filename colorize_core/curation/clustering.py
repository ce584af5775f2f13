"""K-means over the numbers of a feature: centers that do not depend on the order of the points."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

CLUSTERS = 5
STARTS = 10  # of which the best is taken
MOST = 4000  # points that a silhouette looks at; its work grows with their square


def find_centers(points: np.ndarray, k: int = CLUSTERS) -> np.ndarray:
    """The centers of k clusters of (n, d) points: (k, d) float32, by their first coordinate, the least one first.

    So a cluster keeps its number when the photographs change a little. ValueError when the points are fewer than k
    or the k centers would not all differ.
    """
    from sklearn.cluster import KMeans  # slow to import; workers only assign

    points = _ordered(points)
    distinct = len(np.unique(points, axis=0))
    if distinct < k:
        raise ValueError(f"{distinct} different points make no {k} clusters: ask for fewer, or add photographs")
    centers = KMeans(k, n_init=STARTS, random_state=0).fit(points).cluster_centers_.astype(np.float32)
    return centers[np.lexsort(centers.T[::-1])]


def assign(points: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest center of each point, (n,) int64, and the distance to it, (n,) float32."""
    points, centers = points.astype(np.float64), centers.astype(np.float64)
    squared = ((points[:, None] - centers[None]) ** 2).sum(-1)
    labels = squared.argmin(1)
    return labels, np.sqrt(squared[np.arange(len(labels)), labels]).astype(np.float32)


def silhouettes(points: np.ndarray, ks: Iterable[int]) -> dict[int, float]:
    """The mean silhouette (-1..1) for each number of clusters; numbers that the points cannot make are left out.

    Of more than MOST points it looks at some, drawn by a hash of their values.
    """
    from sklearn.metrics import silhouette_score

    if len(points) > MOST:
        points = np.ascontiguousarray(points)
        digests = [hashlib.sha1(point.tobytes()).digest() for point in points]
        points = points[sorted(range(len(points)), key=digests.__getitem__)[:MOST]]
    points = _ordered(points)
    distinct = len(np.unique(points, axis=0))
    found = {}
    for k in ks:
        if 2 <= k <= distinct and k < len(points):
            labels, _ = assign(points, find_centers(points, k))
            found[k] = float(silhouette_score(points, labels))
    return found


def _ordered(points: np.ndarray) -> np.ndarray:
    """The points by their coordinates, in double precision: the same for the same set."""
    return points[np.lexsort(points.T[::-1])].astype(np.float64)

"""The clusters of a dataset: the feature that photographs are compared by and the center of each cluster, as a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from colorize_core.curation.clustering import assign, find_centers, silhouettes
from colorize_core.curation.dataset import CLUSTERS_TENSORS
from colorize_core.curation.features import FEATURES, Feature
from colorize_core.curation.thumbnails import squares
from colorize_core.storage import Damaged, Store

CENTERS = "centers"
KS = range(2, 11)  # numbers of clusters whose silhouettes are compared


@dataclass(frozen=True)
class Clusters:
    """A fitted feature by name, and centers (k, d) in its space."""

    name: str
    feature: Feature
    centers: np.ndarray

    @property
    def k(self) -> int:
        return len(self.centers)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides which cluster a photograph is in."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def assign(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The cluster (n,) of each of (n, 256, 256, 3) uint8, and its distance (n,) from the center."""
        return assign(self.feature.transform(pictures), self.centers)

    def to_bytes(self) -> bytes:
        tensors = {**self.feature.to_tensors(), CENTERS: self.centers.astype(np.float32)}
        return save({name: np.ascontiguousarray(t) for name, t in tensors.items()}, {"feature": self.name})


def fit(name: str, thumbnails: Sequence[bytes], k: int) -> tuple[Clusters, list[tuple[int, float]]]:
    """Clusters of some photographs by a feature, and the silhouette (-1..1) of every number of clusters from 2 to 10.

    Raises ValueError when so many clusters cannot be made of them.
    """
    feature = FEATURES[name].fit(lambda: squares(thumbnails))
    points = np.concatenate([feature.transform(pictures) for pictures in squares(thumbnails)])
    return Clusters(name, feature, find_centers(points, k)), sorted(silhouettes(points, KS).items())


def write_clusters(store: Store, clusters: Clusters) -> None:
    store.put(CLUSTERS_TENSORS, clusters.to_bytes())


def read_clusters(store: Store) -> Clusters:
    """The clusters of an output folder. Raises NotFound, and Damaged for a file that holds none."""
    data = store.read(CLUSTERS_TENSORS)
    try:
        tensors = load(data)
        name = _metadata(data)["feature"]
        return Clusters(name, FEATURES[name].from_tensors(tensors), tensors[CENTERS])
    except (SafetensorError, KeyError, ValueError) as error:
        uri = store.uri(CLUSTERS_TENSORS)
        raise Damaged(f"{uri} holds no clusters ({error}); restore it, or find new ones with --refit") from error


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, which the NumPy loader leaves out."""

    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]).get("__metadata__", {})

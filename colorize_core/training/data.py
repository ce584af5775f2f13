"""Color photographs as training batches: lightness as an old print would have kept it, ab as it was."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from colorize_core import color

MIN_CHROMA = 4.0  # below this mean chroma a "color" photograph teaches gray


@dataclass
class Photos:
    """Decoded photographs: ``rgb`` (N, side, side, 3) uint8, and where they came from."""

    rgb: np.ndarray
    names: list[str]
    licenses: Counter
    digest: str

    def split(self, holdout: float) -> tuple[Photos, Photos]:
        """Photographs to train on and to validate on, by a hash of the name: the same whatever is added later."""
        held = np.array([int(hashlib.sha1(n.encode()).hexdigest()[:8], 16) / 2**32 < holdout for n in self.names])
        return self._take(~held), self._take(held)

    def _take(self, mask: np.ndarray) -> Photos:
        names = [name for name, kept in zip(self.names, mask, strict=True) if kept]
        return Photos(self.rgb[mask], names, self.licenses, self.digest)


def load_photos(folder: str | Path, side: int = 128) -> Photos:
    """Read every Parquet shard of ``folder`` (columns name, licence, licence_tier, image: encoded bytes).

    Photographs are squeezed to ``side`` x ``side`` pixels; near-gray ones are left out. The digest covers the encoded
    bytes of those kept, in order. Raises FileNotFoundError when there is no shard.
    """
    shards = sorted(Path(folder).glob("*.parquet"))
    if not shards:
        raise FileNotFoundError(f"no Parquet shard in {folder}")
    pixels, names, digest = [], [], hashlib.sha256()
    licenses: Counter = Counter()
    for shard in shards:
        for row in pq.read_table(shard).to_pylist():
            with Image.open(io.BytesIO(row["image"])) as image:
                rgb = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
            lab = color.srgb_to_lab(rgb[::4, ::4].astype(np.float32) / 255)
            if np.hypot(lab[..., 1], lab[..., 2]).mean() < MIN_CHROMA:
                continue
            pixels.append(rgb)
            names.append(row["name"])
            licenses[(row["licence_tier"], row["licence"])] += 1
            digest.update(row["image"])
    return Photos(np.stack(pixels), names, licenses, digest.hexdigest())


def to_lab(rgb: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 to Lab (N, 3, H, W) float32."""
    return color.srgb_to_lab(torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255, axis=1)


def batch(photos: Photos, size: int, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random batch at ``side`` pixels: degraded lightness (B, 1, side, side) and clean ab (B, 2, side, side)."""
    rgb = torch.from_numpy(photos.rgb[rng.integers(len(photos.rgb), size=size)]).permute(0, 3, 1, 2).float() / 255
    full = rgb.shape[-1]
    crop = int(rng.integers(int(full * 0.7), full + 1))
    top, left = rng.integers(full - crop + 1, size=2)
    rgb = rgb[..., top : top + crop, left : left + crop]
    if rng.random() < 0.5:
        rgb = rgb.flip(-1)
    rgb = F.interpolate(rgb, size=(side, side), mode="bilinear", align_corners=False, antialias=crop > side)
    lab = color.srgb_to_lab(rgb, axis=1)
    return degrade(rgb, lab[:, :1], rng), lab[:, 1:]


def degrade(rgb: Tensor, lightness: Tensor, rng: np.random.Generator) -> Tensor:
    """Lightness as emulsions, fading and scanners leave it: other channel weights, tone, blur, grain."""
    b = len(rgb)

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (b, 1, 1, 1)).astype(np.float32))

    def sometimes(p: float) -> Tensor:
        return torch.from_numpy(rng.random((b, 1, 1, 1)) < p)

    # Orthochromatic film hardly saw red; early plates saw little but blue.
    weights = rng.dirichlet((2.0, 4.0, 2.0), b).astype(np.float32)
    film = (color.srgb_to_linear(rgb) * torch.from_numpy(weights)[:, :, None, None]).sum(1, keepdim=True)
    film = color.gray_to_lightness(color.linear_to_srgb(film.clamp(0, 1)))
    out = torch.where(sometimes(0.4), film, lightness) / 100
    out = torch.where(sometimes(0.5), out.clamp(1e-4, 1) ** uniform(0.7, 1.4), out)
    black, white = uniform(0.0, 0.15), uniform(0.85, 1.0)
    out = torch.where(sometimes(0.4), black + out * (white - black), out)
    if rng.random() < 0.4:
        sigma = rng.uniform(0.4, 1.6)
        x = torch.arange(-3, 4, dtype=torch.float32)
        kernel = torch.exp(-(x**2) / (2 * sigma**2))
        kernel = kernel / kernel.sum()
        out = F.conv2d(F.pad(out, (3, 3, 0, 0), mode="reflect"), kernel.view(1, 1, 1, 7))
        out = F.conv2d(F.pad(out, (0, 0, 3, 3), mode="reflect"), kernel.view(1, 1, 7, 1))
    grain = torch.from_numpy(rng.standard_normal(out.shape, dtype=np.float32))
    out = out + torch.where(sometimes(0.4), uniform(0.0, 0.05), torch.zeros(1)) * grain
    return out.clamp(0, 1) * 100

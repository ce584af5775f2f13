"""The colors of a group of photographs: counted in CIELAB, drawn in the colors that are counted."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from markupsafe import Markup
from PIL import Image

from colorize_core.color import lab_to_srgb, srgb_to_lab
from colorize_core.report import plots

STEP = 5  # Lab units: side of a bin
REACH = 80  # chroma up to which colors are counted as they are; the few beyond count at this edge
LEVELS, ACROSS = 100 // STEP, 2 * REACH // STEP
GRID = 24  # pixels taken of each photograph, along and across: every photograph weighs the same
GRAY = 8.0  # chroma below which a color has no hue to speak of
HUES = ((20, "red"), (58, "orange"), (84, "yellow"), (112, "green"), (178, "cyan"), (225, "blue"), (305, "purple"),
        (340, "pink"))  # fmt: skip
SECTORS = 12


def take_pixels(picture: Image.Image) -> np.ndarray:
    """Pixels of an RGB picture at the nodes of a grid, (576, 3) uint8: none of them mixed from others."""
    return cv2.resize(np.asarray(picture), (GRID, GRID), interpolation=cv2.INTER_NEAREST_EXACT).reshape(-1, 3)


class Palette:
    """How many of some pixels, (n, 3) uint8 sRGB, lie in each bin of Lab, 5 units wide."""

    def __init__(self, pixels: np.ndarray):
        lab = srgb_to_lab(pixels.reshape(-1, 3).astype(np.float32) / 255)
        lab[:, 1:] *= np.minimum(1, REACH / np.maximum(np.hypot(lab[:, 1], lab[:, 2]), 1e-6))[:, None]
        lightness = np.clip(lab[:, 0] // STEP, 0, LEVELS - 1).astype(int)
        a, b = (np.clip((lab[:, i] + REACH) // STEP, 0, ACROSS - 1).astype(int) for i in (1, 2))
        index, counts = np.unique((lightness * ACROSS + a) * ACROSS + b, return_counts=True)
        self.share = counts / max(counts.sum(), 1)
        self.level = index // ACROSS**2
        self.lab = np.stack(
            [
                (self.level + 0.5) * STEP,
                (index // ACROSS % ACROSS + 0.5) * STEP - REACH,
                (index % ACROSS + 0.5) * STEP - REACH,
            ],
            -1,
        )
        self.chroma = np.hypot(self.lab[:, 1], self.lab[:, 2])
        self.hue = np.degrees(np.arctan2(self.lab[:, 2], self.lab[:, 1])) % 360

    def swatches(self, count: int = 9) -> list[tuple[str, float]]:
        """At most ``count`` colors that stand for all, the darkest first: each with its share of the pixels.

        The bins are cut in two again and again where the most of their spread is lost by it, along L, a or b.
        """
        groups = [np.arange(len(self.share))] if len(self.share) else []
        while len(groups) < count:
            spreads = [self._spread(group) for group in groups]
            widest = int(np.argmax([spread.max() for spread in spreads])) if groups else -1
            if widest < 0 or spreads[widest].max() < 1e-9:
                break
            group = groups.pop(widest)
            values = self.lab[group, int(np.argmax(spreads[widest]))]
            low = values < np.average(values, weights=self.share[group])
            groups += [group[low], group[~low]]
        means = sorted((tuple(self._mean(group)), float(self.share[group].sum())) for group in groups)
        return [(_hex(np.array(lab)), share) for lab, share in means]

    def words(self) -> str:
        """The colors in a few words, for those who do not see them and for finding a cluster again."""
        if not len(self.share):
            return "no color known"
        order = np.argsort(self.lab[:, 0], kind="stable")
        median = self.lab[order, 0][np.searchsorted(np.cumsum(self.share[order]), 0.5 - 1e-9)]
        chroma = float(self.chroma @ self.share)
        light = "dark" if median < 35 else "light" if median > 65 else "mid-toned"
        strength = "nearly gray" if chroma < 6 else "muted" if chroma < 15 else "colorful" if chroma < 28 else "vivid"
        weights: dict[str, float] = {}
        colored = self.chroma >= GRAY
        for hue, weight in zip(self.hue[colored], (self.share * self.chroma)[colored], strict=True):
            name = next((name for start, name in reversed(HUES) if hue >= start), "pink")
            weights[name] = weights.get(name, 0) + float(weight)
        total = sum(weights.values())
        names = [name for name in sorted(weights, key=lambda n: (-weights[n], n)) if weights[name] >= 0.2 * total]
        hues = "" if strength == "nearly gray" or not names else "; mostly " + _listed(names[:3])
        return f"{light}, {strength}{hues}"

    def map(self, title: str) -> Markup:
        """A plan of the ab plane with a dot for each color; its area grows with the square root of the pixels."""
        middle, unit = plots.WIDTH / 2, 1.8
        parts = [f'<circle class="table" cx="{middle}" cy="{middle}" r="{REACH * unit + 5:.0f}"/>']
        for chroma in (20, 40, 60, 80):
            parts.append(f'<circle class="ring" cx="{middle}" cy="{middle}" r="{chroma * unit:.0f}"/>')
        for chroma in (40, 80):
            at = middle + chroma * unit * 0.7072
            parts.append(plots.text(at + 3, at + 9, f"{chroma}", "start"))
        for x, y, word, anchor in (
            (middle, 14, "yellow", "middle"),
            (middle, plots.WIDTH - 6, "blue", "middle"),
            (0, middle + 4, "green", "start"),
            (plots.WIDTH, middle + 4, "red", "end"),
        ):
            parts.append(plots.text(x, y, word, anchor, "axis"))
        columns, inverse = np.unique(self.lab[:, 1:], axis=0, return_inverse=True)
        share = np.bincount(inverse, self.share, len(columns))
        lightness = np.bincount(inverse, self.share * self.lab[:, 0], len(columns)) / np.maximum(share, 1e-12)
        radius = 1.08 * STEP * unit / 2 * (share / share.max(initial=1e-12)) ** 0.25
        for i in np.argsort(share, kind="stable"):
            a, b = columns[i]
            parts.append(
                f'<circle cx="{middle + a * unit:.1f}" cy="{middle - b * unit:.1f}" r="{max(radius[i], 0.9):.1f}" '
                f'fill="{_hex(np.array([lightness[i], a, b]))}"/>'
            )
        return plots.figure(title, [self.words()], plots.WIDTH, parts)

    def levels(self, title: str) -> Markup:
        """A histogram of lightness whose columns are piled up of the hues they count, the grays at the bottom."""
        height, base = 260, plots.TOP + 260
        left, width = plots.LEFT, plots.WIDTH - plots.LEFT - plots.RIGHT
        pile = np.where(self.chroma < GRAY, 0, 1 + self.hue * SECTORS // 360).astype(int)
        columns = np.bincount(self.level, self.share, LEVELS)
        top = max(0.02 * np.ceil(columns.max() / 0.02), 0.02)
        parts = [f'<rect class="table" x="{left}" y="{plots.TOP}" width="{width}" height="{height}"/>']
        for tick in (0, top / 2, top):
            y = base - height * tick / top
            parts.append(f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(plots.text(left - 6, y + 4, f"{100 * tick:.0f} %", "end"))
        for level in range(LEVELS):
            y = float(base)
            for sector in range(SECTORS + 1):
                here = np.flatnonzero((self.level == level) & (pile == sector))
                tall = height * self.share[here].sum() / top
                if tall < 0.2:
                    continue
                y -= tall
                parts.append(
                    f'<rect x="{left + width * level / LEVELS + 0.5:.1f}" y="{y:.1f}" '
                    f'width="{width / LEVELS - 1:.1f}" height="{tall + 0.15:.1f}" fill="{_hex(self._mean(here))}"/>'
                )
        for mark in (0, 25, 50, 75, 100):
            parts.append(plots.text(left + width * mark / 100, base + 16, f"{mark}", "middle"))
        parts.append(plots.text(left + width / 2, base + 36, "lightness, 0 is black", "middle", "axis"))
        told = [f"{level * STEP} to {(level + 1) * STEP}: {100 * n:.0f} %" for level, n in enumerate(columns) if n > 0]
        return plots.figure(title, told, base + plots.BOTTOM, parts)

    def _mean(self, group: np.ndarray) -> np.ndarray:
        return np.average(self.lab[group], axis=0, weights=self.share[group])

    def _spread(self, group: np.ndarray) -> np.ndarray:
        return ((self.lab[group] - self._mean(group)) ** 2 * self.share[group, None]).sum(0)


def _hex(lab: np.ndarray) -> str:
    red, green, blue = np.rint(255 * lab_to_srgb(lab)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]

"""Spreading of color hints over a small picture, for networks that take none.

Neighbors of like lightness are assumed to have like colors: the idea of Levin, Lischinski and Weiss, "Colorization
using Optimization", 2004. A field f that is known where hints are is, elsewhere, what makes

    sum over neighbors i, j of w_ij (f_i - f_j)^2  +  sum over i of f_i^2 / (REACH^2 pixels),
    w_ij = BRIDGE + exp(-(L_i - L_j)^2 / (2 EDGE^2))

least. The second sum lets a hint fade with distance, so that one does not recolor the whole picture. Three fields are
spread like this: the colors asked for, the colors predicted there, and 1, which becomes nearness. A prediction p then
becomes p + asked - (there + nearness p) / 2: midway between carrying on a hint's color and carrying on its difference
to the prediction. Colors alone would flatten what the network knows; differences alone tint what it left gray.
"""

from __future__ import annotations

import cv2
import numpy as np

from colorize_core.hints import Color, Hints

EDGE = 3.0  # of L between neighboring pixels; a step much larger holds color back
BRIDGE = 1e-3  # of color that crosses any edge
REACH = 0.6  # of the square root of the picture's area: where nothing holds it back, a hint fades over about that
LARGEST = 256 * 256  # pixels that are solved for, in 0.2 s; of a larger picture, those of a smaller copy
ROOM = 6_000  # bytes of address space that SuperLU may ask for per pixel
NEAR = 8.0  # of a and b; palette colors that much farther than the nearest still count


def spread(lightness: np.ndarray, ab: np.ndarray, hints: Hints) -> np.ndarray:
    """A prediction as the hints for its page would have it: float32 (h, w, 2), a and b in Lab units.

    lightness: (h, w) in 0..100. ab: (h, w, 2), the prediction in Lab units. First it is drawn to the palette, then
    points and boxes are laid over it and spread. A pixel with a hint has that very color. The same input gives the
    same output, bit for bit, on one machine. Raises MemoryError.
    """
    height, width = lightness.shape
    ab = toward_palette(ab.astype(np.float64), hints.palette)
    drawn = hints.draw(width, height)
    known = drawn[..., 2:] > 0
    if known.any():
        scale = min(1.0, (LARGEST / lightness.size) ** 0.5)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        guide, predicted = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (lightness, ab))
        small = hints.draw(*size)
        values = np.dstack([small[..., :2], predicted, np.ones(guide.shape)])
        fields = cv2.resize(diffuse(guide, small[..., 2] > 0, values), (width, height), interpolation=cv2.INTER_LINEAR)
        asked, there, nearness = fields[..., :2], fields[..., 2:4], fields[..., 4:]
        ab = ab + asked - (there + nearness * ab) / 2
    return np.where(known, drawn[..., :2], ab).astype(np.float32)


def toward_palette(ab: np.ndarray, palette: tuple[Color, ...]) -> np.ndarray:
    """Each of the colors (..., 2) becomes a mean of the palette's, weighted by exp(-distance^2 / (2 NEAR^2)).

    So it is next to the nearest one, and changes smoothly from one to another. The same colors without a palette.
    """
    if not palette:
        return ab
    colors = np.array(palette)
    nearest = np.full(ab.shape[:-1], np.inf)
    for entry in colors:
        np.minimum(nearest, ((ab - entry) ** 2).sum(-1), out=nearest)
    total, weights = np.zeros_like(ab), np.zeros_like(nearest)
    for entry in colors:  # one at a time: a palette may be long
        weight = np.exp((nearest - ((ab - entry) ** 2).sum(-1)) / (2 * NEAR**2))
        total += weight[..., None] * entry
        weights += weight
    return total / weights[..., None]


def diffuse(lightness: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (h, w, channels) that are known in some pixels, spread to all as the module describes: float64.

    lightness: (h, w) in 0..100. known: (h, w) bool; values elsewhere do not matter.
    """
    from scipy import sparse  # not for processes that never see a hint
    from scipy.sparse.linalg import splu

    pixels = np.arange(lightness.size).reshape(lightness.shape)
    one = np.concatenate([pixels[:, :-1].ravel(), pixels[:-1].ravel()])
    other = np.concatenate([pixels[:, 1:].ravel(), pixels[1:].ravel()])
    flat = lightness.astype(np.float64).ravel()
    likeness = BRIDGE + np.exp(-((flat[one] - flat[other]) ** 2) / (2 * EDGE**2))
    edges = sparse.coo_array((likeness, (one, other)), shape=(flat.size, flat.size)).tocsr()
    edges = edges + edges.T
    system = sparse.diags_array(edges.sum(1) + 1 / (REACH**2 * flat.size)) - edges
    free, given = np.flatnonzero(~known), np.flatnonzero(known)
    solved = values.astype(np.float64).reshape(flat.size, -1)
    if len(free):
        rows = system.tocsr()[free]
        np.empty(ROOM * len(free), np.uint8)  # where memory is short SuperLU may not come back; this raises MemoryError
        factors = splu(
            rows[:, free].tocsc(),
            permc_spec="MMD_AT_PLUS_A",  # with the options below: what SuperLU wants for a symmetric definite system
            diag_pivot_thresh=0,
            options={"SymmetricMode": True},
        )
        solved[free] = factors.solve(-(rows[:, given] @ solved[given]))
    return solved.reshape(values.shape)

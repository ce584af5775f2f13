"""Small charts as inline SVG, colored by the page's style sheet."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH = 340
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 10, 44  # room around the bars of a histogram
PLOT_HEIGHT = 150


def columns(title: str, x_label: str, y_label: str, edges: Sequence[str], counts: Sequence[int]) -> Markup:
    """A histogram: one upright bar for each count, between two of the ``edges``."""
    top = ceiling(max(counts, default=0))
    step = (WIDTH - LEFT - RIGHT) / len(counts)
    base = TOP + PLOT_HEIGHT
    parts = []
    for tick in (0, top / 2, top):
        y = base - PLOT_HEIGHT * tick / top
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(LEFT - 6, y + 4, _short(tick), "end"))
    for i, count in enumerate(counts):
        height = PLOT_HEIGHT * count / top
        parts.append(
            f'<rect class="bar" x="{LEFT + i * step + 0.75:.1f}" y="{base - height:.1f}" width="{step - 1.5:.1f}" '
            f'height="{height:.1f}"/>'
        )
    every = next(n for n in (1, 2, 4, 10, 20) if len(edges) <= 8 * n)
    for i, edge in list(enumerate(edges))[::every]:
        parts.append(text(LEFT + i * step, base + 16, edge, "middle"))
    parts.append(text(LEFT + (WIDTH - LEFT - RIGHT) / 2, base + 36, x_label, "middle", "axis"))
    y = TOP + PLOT_HEIGHT / 2
    parts.append(text(11, y, y_label, "middle", "axis", f' transform="rotate(-90 11 {y:.1f})"'))
    told = [f"{low} to {high}: {n:,}" for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True) if n]
    return figure(title, told, base + BOTTOM, parts)


def bars(title: str, x_label: str, labels: Sequence[str], values: Sequence[float], notes: Sequence[str]) -> Markup:
    """Lying bars under one another, each below its name and its note."""
    row = 40
    top = max(values, default=0) or 1
    parts = []
    for i, (label, value, note) in enumerate(zip(labels, values, notes, strict=True)):
        y = TOP + i * row
        parts.append(text(0, y + 8, _clip(label), "start", "axis"))
        parts.append(text(WIDTH, y + 8, note, "end"))
        parts.append(f'<rect class="ground" x="0" y="{y + 15}" width="{WIDTH}" height="8"/>')
        parts.append(f'<rect class="bar" x="0" y="{y + 15}" width="{max(WIDTH * value / top, 1):.1f}" height="8"/>')
    height = TOP + len(values) * row + 8
    parts.append(text(0, height - 4, x_label, "start"))
    return figure(title, [f"{label}: {note}" for label, note in zip(labels, notes, strict=True)], height, parts)


def line(
    title: str, x_label: str, y_label: str, points: Sequence[tuple[float, float]], marked: float | None = None
) -> Markup:
    """A line through ``points`` (x, y) in the order of x; the point at x = ``marked`` stands out with its value."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    top, low = _tenths(max(0.1, *ys)), 0.0 - _tenths(-min(0.0, *ys))
    base, width = TOP + PLOT_HEIGHT, WIDTH - LEFT - RIGHT - 16

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - min(xs)) / ((max(xs) - min(xs)) or 1)
        return LEFT + 8 + width * share, base - PLOT_HEIGHT * (y - low) / (top - low)

    parts = []
    for level in sorted({low, 0, top / 2, top}):
        y = place(xs[0], level)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(LEFT - 6, y + 4, f"{level:.2g}", "end"))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    parts.append(f'<polyline class="line" points="{path}"/>')
    for x, y in points:
        left, height = place(x, y)
        tick, kind, radius = ("axis", "mark", 6) if x == marked else ("tick", "dot", 3)
        parts.append(text(left, base + 16, f"{x:g}", "middle", tick))
        parts.append(f'<circle class="{kind}" cx="{left:.1f}" cy="{height:.1f}" r="{radius}"/>')
        if x == marked:
            anchor = "start" if left < WIDTH / 3 else "end" if left > 2 * WIDTH / 3 else "middle"
            parts.append(text(left, height - 12 if height > TOP + 18 else height + 24, f"{y:.2f}", anchor, "axis"))
    parts.append(text(LEFT + (WIDTH - LEFT - RIGHT) / 2, base + 36, x_label, "middle", "axis"))
    y = TOP + PLOT_HEIGHT / 2
    parts.append(text(11, y, y_label, "middle", "axis", f' transform="rotate(-90 11 {y:.1f})"'))
    told = [f"{x:g}: {y:.2f}{', chosen' if x == marked else ''}" for x, y in points]
    return figure(title, told, base + BOTTOM, parts)


def figure(title: str, told: Sequence[str], height: float, parts: list[str]) -> Markup:
    """The plot with its title; ``told`` says the same to those who cannot see it."""
    name = "plot-" + re.sub(r"\W+", "-", title.lower())
    return Markup(
        f'<figure class="plot"><figcaption id="{name}">{escape(title)}</figcaption>'
        f'<svg role="img" aria-labelledby="{name}" aria-describedby="{name}-told" viewBox="0 0 {WIDTH} {height:.0f}">'
        f'<desc id="{name}-told">{escape("; ".join(told))}</desc>{"".join(parts)}</svg></figure>'
    )


def text(x: float, y: float, words: str, anchor: str, kind: str = "tick", more: str = "") -> str:
    """Words at a place; ``anchor`` is start, middle or end, ``kind`` tick or axis, ``more`` further attributes."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def ceiling(value: float) -> float:
    """The next 1, 2 or 4 times a power of ten, at least 2: its half is whole."""
    size = 10.0 ** math.floor(math.log10(max(value, 2)))
    return max(2.0, next(size * factor for factor in (1, 2, 4, 10) if size * factor >= value))


def _tenths(value: float) -> float:
    """The next whole number of fifths, so that its half is a whole number of tenths; 0 stays 0."""
    return math.ceil(5 * value - 1e-9) / 5


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def _clip(text: str, length: int = 28) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"

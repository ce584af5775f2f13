"""The curves of a training: loss, PSNR and colorfulness over its steps, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT, DPI = 8.0, 8.4, 150  # inches, inches, dots per inch: sharp, and readable at 800 pixels
MODEL, REFERENCE, INK = "#1f5fa8", "#8a8a8a", "#333333"
STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
}


def draw_curves(history: Sequence[dict], total_steps: int) -> bytes:
    """A PNG of 1200 x 1260 pixels. Needs matplotlib: raises ImportError without it.

    history: entries with ``step`` and ``loss``, or with ``step``, ``psnr``, ``constant_psnr`` and
    ``colorfulness_ratio``; values may be None.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
        loss, psnr, colorfulness = figure.subplots(3, 1, sharex=True, height_ratios=[1.25, 1, 1])
        loss.set(title="Training loss, smoothed", ylabel="loss")
        _line(loss, history, "loss", MODEL, None)
        psnr.set(title="Validation: likeness to the photographs", ylabel="PSNR (dB)")
        _line(psnr, history, "psnr", MODEL, "model", marker="o")
        known = [entry for entry in history if "constant_psnr" in entry]
        wide = [known[0] | {"step": 0}, *known, known[-1] | {"step": total_steps}] if known else []
        _line(psnr, wide, "constant_psnr", REFERENCE, "one constant color", linestyle="--")
        colorfulness.set(title="Validation: colorfulness, that of the photographs being 1", ylabel="ratio")
        _line(colorfulness, history, "colorfulness_ratio", MODEL, "model", marker="o")
        colorfulness.axhline(1, color=REFERENCE, linestyle="--", label="photographs")
        for axes in (psnr, colorfulness):
            if axes.lines:
                axes.legend(loc="best", frameon=False)
        colorfulness.set(ylim=(0, 1.05 * max(1.0, colorfulness.dataLim.y1)))
        colorfulness.set(xlabel="step", xlim=(0, 1.01 * max(total_steps, 1)))
        figure.align_ylabels()
        colorfulness.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10], integer=True))
        colorfulness.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        sink = io.BytesIO()
        figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _line(axes: Axes, history: Sequence[dict], name: str, color: str, label: str | None, **style: Any) -> None:
    """The entries that have ``name`` as a line; it breaks where the value is None."""
    points = [(entry["step"], entry[name]) for entry in history if name in entry]
    if points:
        values = [float("nan") if value is None else value for _, value in points]
        axes.plot([step for step, _ in points], values, color=color, label=label, markersize=4, **style)

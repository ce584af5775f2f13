"""Where the time goes, as a picture: core milliseconds per photo."""

from __future__ import annotations

import io
from typing import Any

from benchmark.stages import STAGES
from colorize_core.training.curves import STYLE

COLORS = {
    "fetch": "#9ecae1", "header": "#c7c7c7", "decode": "#4a90c4", "prepare": "#1f5fa8", "predict": "#e08214",
    "compose": "#5aae61", "encode": "#1b7837", "put": "#a6dba0",
}  # fmt: skip
WAITING, ALTERNATIVE = "#d9d9d9", "#8a8a8a"
LOOK = STYLE | {"axes.grid": False, "axes.axisbelow": True}


def draw(result: dict[str, Any]) -> bytes:
    """A PNG, 1500 pixels wide: above the stages of all photos, alone and in the job; below the alternatives."""
    import matplotlib
    from matplotlib.figure import Figure

    cores, job, others = result["machine"]["cores"], result["job"], result["alternatives"]
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(10, 3.6 + 0.75 * len(others)), dpi=150, layout="constrained")
        heights = [2.2] + ([0.6 + 0.8 * len(others)] if others else [])
        above, *below = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        total = 0.0
        for stage in STAGES:
            width = result["stages"]["stages"][stage]["ms_per_photo"]
            above.barh([0, 1], width, left=total, color=COLORS[stage], label=stage, height=0.62)
            total += width
        rest = max(0.0, job["core_ms_per_photo"] - total)
        above.barh(1, rest, left=total, color=WAITING, label="waiting, overhead", height=0.62)
        _names(above, ["the stages\nalone", "the job"], [total, job["core_ms_per_photo"]])
        above.set_title(f"{result['stages']['photos']} photos of {result['stages']['megapixels']:,.0f} megapixels")
        above.legend(loc="upper center", bbox_to_anchor=(0.45, -0.28), ncols=5, frameon=False)
        above.set_xlabel(_axis(cores) if not below else "")
        for axes in below:
            names, widths, colors = [], [], []
            for name, row in others.items():
                names += [f"the job ({row['photos']} photos)", name]
                widths += [row["ours_core_ms_per_photo"], row["core_ms_per_photo"]]
                colors += [COLORS["encode"], ALTERNATIVE]
            if len({row["photos"] for row in others.values()}) == 1:  # all were over the same photos
                names, widths, colors = names[:1] + names[1::2], widths[:1] + widths[1::2], colors[:1] + colors[1::2]
            axes.barh(range(len(names)), widths, color=colors, height=0.62)
            _names(axes, names, widths)
            axes.set(title="a sample of them, start-up excluded", xlabel=_axis(cores))
        sink = io.BytesIO()
        figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _axis(cores: int) -> str:
    return f"milliseconds per photo x {cores} cores"


def _names(axes: Any, names: list[str], widths: list[float]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(widths))
    axes.grid(axis="x", color="#e4e4e4")
    axes.tick_params(axis="y", length=0)
    for at, width in enumerate(widths):
        axes.text(width, at, f"  {width:,.0f}", va="center")

"""The photos that a person should look at: those without a result, and those whose result is doubtful."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.records import Status
from colorize_core.text import visible

UNSURE_SHARE = 0.05
UNSURE_MOST = 500
GAMUT_MAPPED = 0.2
NEARLY_GRAY = 5.0
MOST = 20_000

EXPLANATION = (
    "A colored photo is listed as doubtful when the model was less sure of it than of 95 % of the collection, "
    "when more than a fifth of the picture had to be muted to fit the colors a screen can show, "
    f"or when the result is nearly gray (colorfulness under {NEARLY_GRAY:g})."
)
FIELDS = ("key", "page", "status", "kind", "message", "uncertainty", "colorfulness", "width", "height", "href", "hints")


def doubtful(photos: pa.Table) -> pa.Table:
    """The colored rows worth a second look, with the reasons in a column ``doubts``."""
    colored = photos.filter(pc.equal(photos["status"], Status.COLORIZED.value))
    uncertainty, gamut, colorfulness = (
        colored[name].to_numpy(zero_copy_only=False).astype(float)
        for name in ("uncertainty", "gamut_mapped", "colorfulness")
    )
    known = np.sort(uncertainty[np.isfinite(uncertainty)])
    most = min(UNSURE_MOST, int(np.ceil(UNSURE_SHARE * len(known)))) if len(known) else 0
    reasons = {
        "unsure": uncertainty >= known[-most] if most else np.zeros(len(uncertainty), bool),
        "muted": gamut > GAMUT_MAPPED,
        "nearly gray": colorfulness < NEARLY_GRAY,
    }
    rows = np.flatnonzero(np.any(list(reasons.values()), axis=0))
    doubts = [", ".join(name for name, holds in reasons.items() if holds[row]) for row in rows]
    return colored.take(pa.array(rows)).append_column("doubts", pa.array(doubts, pa.string()))


def attention(photos: pa.Table, hints: Mapping[tuple[str, int], str | None]) -> tuple[list[list], int]:
    """Rows for the page's table, as lists in the order of ``FIELDS``, and how many there are in all.

    ``hints`` has links to the hint page by key and page. At most 20,000 rows are given: those without a result, then
    the doubtful, the least sure of them first.
    """
    without = photos.filter(pc.is_in(photos["status"], pa.array([Status.REJECTED.value, Status.FAILED.value])))
    doubts = doubtful(photos).sort_by([("uncertainty", "descending"), ("key", "ascending")])
    rows = [
        _row(r, r["status"], r["error_class"] or "unknown", r["error_message"], None, None)
        for r in without.slice(0, MOST).to_pylist()
    ]
    rows += [
        _row(r, "doubtful", r["doubts"], _measures(r), r["output_key"], hints.get((r["key"], r["page"])))
        for r in doubts.slice(0, MOST - len(rows)).to_pylist()
    ]
    return rows, without.num_rows + doubts.num_rows


def link(key: str) -> str:
    """A file of the output folder, as the page one folder below it links to it."""
    return "../" + quote(key, safe="/")


def embed(rows: list) -> str:
    """JSON that can stand in a script element: no character of it can end the element or open a comment."""
    text = json.dumps(rows, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _row(r: dict, status: str, kind: str, message: str | None, output: str | None, hints: str | None) -> list:
    names = visible(r["key"]), r["page"], status, kind, visible(message or "")
    numbers = _number(r["uncertainty"], 3), _number(r["colorfulness"], 1), r["width"], r["height"]
    return [*names, *numbers, link(output) if output else None, hints]


def _measures(r: dict) -> str:
    muted = r["gamut_mapped"] or 0
    return f"{100 * muted:.0f} % of the picture muted" if muted >= 0.01 else ""


def _number(value: float | None, digits: int) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, digits)

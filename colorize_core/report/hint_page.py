"""The hint page, where a person says which colors of a photo are known."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from colorize_core.report import html
from colorize_core.runs import next_command
from colorize_core.storage import Store

PAGE = "report/hints.html"
TYPICAL = {
    "light skin": "#dcb096",
    "tan skin": "#b98560",
    "dark skin": "#75492f",
    "blond hair": "#b99a62",
    "brown hair": "#5d4231",
    "grass": "#6c8b3c",
    "foliage": "#4a6439",
    "autumn leaves": "#b5702c",
    "earth": "#876746",
    "sand": "#cfb78a",
    "sky": "#84acd0",
    "sea": "#487a8c",
    "brick": "#9c4d38",
    "roof tiles": "#b0613f",
    "wood": "#8f623a",
    "leather": "#7a492a",
    "brass": "#b28e3e",
    "khaki": "#9c9065",
    "olive drab": "#5f6138",
    "navy": "#27365c",
    "denim": "#4f6b91",
    "red cloth": "#a2272b",
    "wine red": "#6b2434",
    "no color": "#808080",
}


def write(store: Store, runs: list[dict]) -> None:
    """Write the one page for all photos of an output folder; ``runs`` name the folder of scans and the command."""
    sources = {run["source"] for run in runs if run.get("source")}
    page = html.render(
        "hints.html",
        "hints.js",
        source=sources.pop() if len(sources) == 1 else None,
        command=next_command(runs[-1]["command"]) if runs and runs[-1].get("command") else None,
        typical=TYPICAL,
    )
    store.put(PAGE, page.encode(), "text/html; charset=utf-8")


def link(row: dict, image: str) -> str | None:
    """The address of the hint page for a photo, relative to the report; None where its size is not known.

    Only the fragment, which no server sees, names the photo. ``image`` is the name of its pictures: 24 hex digits.
    """
    if not (row["width"] and row["height"]):
        return None
    photo = {
        "key": row["key"],
        "page": row["page"] + 1,
        "width": row["width"],
        "height": row["height"],
        "image": image,
    }
    return "hints.html#" + urlencode(photo, quote_via=quote)

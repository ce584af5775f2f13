"""The report page: one HTML file that opens from a bucket or a disk, without a network."""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.ledger import current, read_records
from colorize_core.records import SCHEMA, Status
from colorize_core.report import doubt, hint_page, html, plots, sample
from colorize_core.report.pictures import Pair, make_pair
from colorize_core.runs import STALLED, read_runs, state
from colorize_core.storage import StorageError, Store
from colorize_core.text import visible

PAGE = "report/index.html"
THREADS = 4
SHOWN_RUNS = 12

GROUPS = {
    "all": ("All of them", "Every colored photograph, the least sure first."),
    "drawn": ("Drawn by lot", "Nobody chose these: they stand for the collection as it is."),
    "colorful": ("The most colorful", "Where the model was boldest."),
    "unsure": ("The least sure", "Where the model hesitated most. Look closely."),
}
TONES = {"neutral": "black and white", "toned": "toned print", "color": "color photograph"}
STATES = {
    "running": "at work",
    "finished": "finished",
    "too_many_failures": "finished, with too many failures",
    "failed": "broken off by an error",
    "interrupted": "interrupted",
    STALLED: "died or stalled",
}
STAGES = {
    "ms_fetch": "read",
    "ms_prepare": "decode",
    "ms_predict": "predict",
    "ms_finish": "compose",
    "ms_put": "store",
}
MEGAPIXELS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True)
class Report:
    """Where the page is and what it shows."""

    uri: str
    photos: int
    shown: int
    listed: int
    unreadable: list[str]


def write_report(store: Store, max_photos: int = 60) -> Report:
    """Write ``report/index.html``, its pictures and ``report/hints.html`` for an output folder.

    Raises ``LookupError`` for a folder without runs and records, ``StorageError`` when the store does not answer.
    """
    runs = read_runs(store)
    table = read_records(store, [name for name in SCHEMA.names if name != "premis"])  # the largest, and not shown
    if not runs and not table.num_rows:
        raise LookupError(f"{store.root} holds neither runs nor records, so there is nothing to report")
    photos = current(table)
    groups, unreadable = _hang(store, runs, sample.choose(photos, max_photos))
    plates = [plate for group in groups for plate in group["plates"]]
    rows, listed = doubt.attention(photos, {plate["photo"]: plate["hints"] for plate in plates})
    page = html.render(
        "page.html",
        "page.js",
        output=store.root,
        runs=_runs(runs),
        figures=_figures(photos, runs),
        groups=groups,
        unreadable=unreadable,
        rows=doubt.embed(rows),
        row_count=len(rows),
        listed=listed,
        explanation=doubt.EXPLANATION,
        plots=draw_plots(photos),
        made_at=datetime.now(UTC),
    )
    hint_page.write(store, runs)
    store.put(PAGE, page.encode(), "text/html; charset=utf-8")
    return Report(store.uri(PAGE), photos.num_rows, len(plates), listed, unreadable)


def draw_plots(photos: pa.Table) -> list:
    """The collection in figures, as SVG; a plot without data is left out."""
    colored = photos.filter(pc.equal(photos["status"], Status.COLORIZED.value))
    megapixels = _values(sample.pixels(photos)) / 1e6
    colorfulness, uncertainty = _values(colored["colorfulness"]), _values(colored["uncertainty"])
    drawn = []
    if len(megapixels):
        counts = np.histogram(megapixels, [*MEGAPIXELS, np.inf])[0]
        labels = [f"{edge:g}" for edge in MEGAPIXELS] + ["∞"]
        first, last = np.flatnonzero(counts)[[0, -1]]
        first, last = max(first - 1, 0), min(last + 2, len(counts))
        shown = labels[first : last + 1], counts[first:last].tolist()
        drawn.append(plots.columns("Size of the scans", "megapixels", "photos", *shown))
    if len(colorfulness):
        counts = np.histogram(np.minimum(colorfulness, 119.9), np.arange(0, 121, 10))[0]
        labels = [f"{edge}" for edge in range(0, 121, 10)]
        x_label = "Hasler–Süsstrunk, gray is 0"
        drawn.append(plots.columns("Colorfulness of the results", x_label, "photos", labels, counts.tolist()))
    if len(uncertainty):
        counts = np.histogram(np.clip(uncertainty, 0, 1), 20, (0, 1))[0]
        labels = [f"{i / 20:g}" for i in range(21)]
        x_label = "0 is sure, 1 no idea"
        drawn.append(plots.columns("How unsure the model was", x_label, "photos", labels, counts.tolist()))
    for title, column, names in (
        ("Tone of the scans", "tone", TONES),
        ("File formats", "source_format", {}),
    ):
        if kinds := _most_frequent(photos[column]):
            labels = [names.get(kind, kind) for kind, _ in kinds]
            amounts = [n for _, n in kinds]
            drawn.append(plots.bars(title, "photos", labels, amounts, [f"{n:,}" for n in amounts]))
    medians = {name: float(np.median(v)) for column, name in STAGES.items() if len(v := _values(colored[column]))}
    if total := sum(medians.values()):
        notes = [f"{ms:,.{0 if ms >= 10 else 1}f} ms · {100 * ms / total:.0f} %" for ms in medians.values()]
        x_label = "median milliseconds, share of all"
        drawn.append(plots.bars("Time on one photo, by stage", x_label, list(medians), list(medians.values()), notes))
    return drawn


def _hang(store: Store, runs: list[dict], chosen: dict[str, list[dict]]) -> tuple[list[dict], list[str]]:
    """The chosen photos with their pictures stored, by group; and those whose derivative could not be read."""
    reachable = _reachable({run["source"] for run in runs if run.get("source")})
    sources = {run["run"]: reachable.get(run.get("source", "")) for run in runs}

    def plate(row: dict) -> dict | None:
        try:
            pair = make_pair(store, sources.get(row["run"]), row)
        except (StorageError, OSError, ValueError) as e:
            print(f"report: {visible(row['key'])} is not shown: {e}", file=sys.stderr)
            return None
        return _plate(row, pair, _store_pair(store, row, pair))

    groups, unreadable = [], []
    with ThreadPoolExecutor(THREADS) as pool:
        for name, rows in chosen.items():
            made = list(pool.map(plate, rows))
            unreadable += [visible(row["key"]) for row, done in zip(rows, made, strict=True) if not done]
            if plates := [done for done in made if done]:
                groups.append({"title": GROUPS[name][0], "about": GROUPS[name][1], "plates": plates})
    return groups, unreadable


def _reachable(roots: set[str]) -> dict[str, Store]:
    """Those sources that answer: asked once, so that a page of many photos does not wait for each of them."""
    stores = {}
    for root in sorted(roots):
        try:
            store = Store(root, attempts=2)
            store.check()
            stores[root] = store
        except (StorageError, ValueError) as e:
            print(f"report: scans are shown by the lightness of their results: {e}", file=sys.stderr)
    return stores


def _store_pair(store: Store, row: dict, pair: Pair) -> str:
    identity = "\n".join([row["key"], str(row["page"]), row["source_etag"], row["recipe"]])
    name = hashlib.sha256(identity.encode()).hexdigest()[:24]
    store.put(f"report/img/{name}-before.jpg", pair.before, "image/jpeg")
    store.put(f"report/img/{name}-after.jpg", pair.after, "image/jpeg")
    return name


def _plate(row: dict, pair: Pair, image: str) -> dict:
    key = visible(row["key"])
    folder, _, name = key.rpartition("/")
    facts = []
    if row["width"] and row["height"]:
        facts.append(f"{row['width']:,} × {row['height']:,}")
    if row["tone"]:
        facts.append(TONES.get(row["tone"], row["tone"]))
    if row["uncertainty"] is not None:
        facts.append(f"uncertainty {row['uncertainty']:.2f}")
    return {
        "key": key,
        "name": name + (f", page {row['page'] + 1}" if (row["source_pages"] or 1) > 1 else ""),
        "folder": folder,
        "facts": " · ".join(facts),
        "href": doubt.link(row["output_key"]),
        "photo": (row["key"], row["page"]),
        "image": f"img/{image}",
        "hints": hint_page.link(row, image),
        "unsure": doubt.link(row["uncertainty_key"]) if row["uncertainty_key"] else None,
        "width": pair.width,
        "height": pair.height,
        "ratio": round(min(max(pair.width / pair.height, 0.62), 3.6), 3),
        "from_scan": pair.from_scan,
    }


def _figures(photos: pa.Table, runs: list[dict]) -> dict:
    counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(photos["status"]).to_pylist()}
    colored = photos.filter(pc.equal(photos["status"], Status.COLORIZED.value))
    pixels = pc.sum(sample.pixels(colored)).as_py() or 0
    rates = [run["rate_per_s"] for run in runs if run.get("rate_per_s")]
    models = pc.value_counts(colored["model_digest"]).to_pylist()
    changed = pc.max(photos["finished_at"]).as_py() if photos.num_rows else None
    return {
        "photos": photos.num_rows,
        "colorized": counts.get(Status.COLORIZED, 0),
        "left_alone": counts.get(Status.SKIPPED_COLOR, 0),
        "rejected": counts.get(Status.REJECTED, 0),
        "failed": counts.get(Status.FAILED, 0),
        "megapixels": f"{pixels / 1e6:,.0f}" if pixels >= 1e7 else f"{pixels / 1e6:,.1f}",
        "rate": _rate(rates[-1] if rates else None),
        "models": [m["values"] for m in models if m["values"]],
        "changed": changed,
    }


def _runs(runs: list[dict]) -> list[dict]:
    """What the page says of the latest runs, the newest first."""
    return [
        {
            "run": run["run"],
            "state": STATES.get(condition := state(run), condition),
            "command": run.get("command"),
            "source": run.get("source"),
            "started_at": run.get("started_at"),
            "planned": run.get("planned"),
            "done": run.get("done"),
            "rate": _rate(run.get("rate_per_s")),
            "model": (run.get("model") or {}).get("name"),
            "digest": (run.get("model") or {}).get("digest"),
            "recipe": (run.get("recipe") or {}).get("digest"),
        }
        for run in runs[: -SHOWN_RUNS - 1 : -1]
    ]


def _most_frequent(column: pa.ChunkedArray, most: int = 7) -> list[tuple[str, int]]:
    """The most frequent values with their counts; what is beyond them is summed as ``other``."""
    found = sorted(
        ((pair["values"], pair["counts"]) for pair in pc.value_counts(column.drop_null()).to_pylist()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    rest = sum(n for _, n in found[most:])
    return found[:most] + ([("other", rest)] if rest else [])


def _values(column: pa.ChunkedArray) -> np.ndarray:
    values = column.drop_null().to_numpy().astype(float)
    return values[np.isfinite(values)]


def _rate(per_second: float | None) -> dict | None:
    """A rate in the unit that gives a number over one."""
    if not per_second:
        return None
    units = (("second", 1), ("minute", 60), ("hour", 3600))
    unit, factor = next((u for u in units if per_second * u[1] >= 1), units[-1])
    number = per_second * factor
    return {"number": f"{number:,.0f}" if number >= 100 else f"{number:.3g}", "unit": unit}

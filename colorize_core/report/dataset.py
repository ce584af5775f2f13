"""The page of a clustered dataset: its clusters in pictures and colors, its licenses, and what was dropped."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from colorize_core.report import html, license, plots
from colorize_core.report.draw import Draw, lot
from colorize_core.report.palette import Palette, take_pixels
from colorize_core.report.sheet import HEIGHT, TALLEST, WIDEST, make_sheet, open_thumbnail
from colorize_core.report.tally import Tally
from colorize_core.storage import Damaged, NotFound, Store
from colorize_core.text import visible

PAGE = "report/index.html"
FACTS = "clusters.json"
BATCH = 256  # rows in memory at a time
SAMPLE = 400  # photographs of a cluster whose pixels are counted
NEAREST = 12  # photographs nearest the center that are looked up; those that fill a line are shown
LINE = 10.5  # their widths together, in heights
LOT_LINE = 12.8  # the same for those drawn by lot, on a wide screen
DROPPED_SHOWN, DROPPED_HEIGHT = 12, 96
PAIRS = 6
LONGEST = 160
SPLITS = ("train", "val", "test")

SHOWN = ("url", "page_url", "title", "creator", "date", "license", "license_url", "source", "thumbnail")
DATASET = ("sha256", "url_sha1", "path", "category", "cluster", "split", *SHOWN)
DROPPED = ("key", "url", "reason", "message", "twin_of", "sha256", "thumbnail")

REASONS = {
    "grayscale": "There is no color in it, so there is no color to learn from it.",
    "toned": "One hue that follows lightness, as on a sepia print or in fog: it tells little of the colors of things.",
    "tiny": "Its shorter side has too few pixels.",
    "bordered": "A border, a mount or a scanner’s bed takes up too much of it.",
    "near_duplicate": "Almost the same picture as one that was kept: another size, another cut, another encoding.",
    "corrupt": "The file is damaged and cannot be decoded.",
    "truncated": "The file ends before the picture does.",
    "not_an_image": "The bytes are no picture of a known format.",
    "unsupported": "A kind of file that is not opened.",
    "too_large": "It has more pixels or bytes than the limit allows.",
    "empty": "The file has no bytes.",
    "missing": "The crawl recorded it, but its file is not there.",
}
OTHER_REASON = "It could not be used; the messages below and in the Parquet files under dropped/ say why."


@dataclass(frozen=True)
class DatasetReport:
    """Where the page is and what it shows; ``unreadable`` counts chosen thumbnails that could not be opened."""

    uri: str
    photographs: int
    clusters: int
    dropped: int
    shown: int
    unreadable: int


@dataclass
class _Cluster:
    """What is kept of a cluster while its photographs go by."""

    drawn: Draw[dict]
    size: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    categories: Tally = field(default_factory=Tally)
    licenses: Tally = field(default_factory=Tally)
    pixels: Draw[np.ndarray] = field(default_factory=lambda: Draw(SAMPLE))
    nearest: dict[str, dict] = field(default_factory=dict)


@dataclass
class _Reason:
    """What is kept of the photographs dropped for one reason."""

    count: int = 0
    drawn: Draw[dict] = field(default_factory=lambda: Draw(DROPPED_SHOWN))


def write_dataset_report(store: Store, per_cluster: int = 60) -> DatasetReport:
    """Write ``report/index.html`` and its contact sheets for the output folder of a clustering.

    At most ``per_cluster`` pictures of each cluster are shown. Memory does not depend on the size of the collection.
    Raises ``LookupError`` for a folder without ``clusters.json``, ``StorageError`` when the store does not answer or
    a file cannot be read.
    """
    if per_cluster < 0:
        raise ValueError(f"per_cluster is a number of pictures, 0 or more, not {per_cluster}")
    return _Page(store, _facts(store), per_cluster).write()


class _Page:
    def __init__(self, store: Store, facts: dict, per_cluster: int):
        self.store, self.facts, self.per_cluster = store, facts, per_cluster
        self.shown = 0
        self.unreadable: set[str] = set()
        nearest = facts.get("nearest") or []
        self.nearest = {
            sha256: cluster
            for cluster, names in enumerate(nearest)
            for sha256 in (names or [])[: min(NEAREST, per_cluster)]
        }
        self.clusters = {number: self._empty() for number in range(facts["k"])}
        self.reasons: dict[str, _Reason] = {}
        self.twins: dict[str, dict | None] = {}
        self.sources = Tally()

    def write(self) -> DatasetReport:
        self._read_dropped()
        self._read_dataset()
        photographs = sum(cluster.size for cluster in self.clusters.values())
        dropped = sum(reason.count for reason in self.reasons.values())
        clusters = [self._cluster(number, photographs) for number in sorted(self.clusters)]
        page = html.render(
            "dataset.html",
            output=self.store.root,
            facts=self.facts,
            photographs=photographs,
            dropped=dropped,
            clusters=clusters,
            splits=self._splits(),
            licenses=self._licenses(photographs),
            reasons=[self._reason(name, dropped) for name in self._ordered_reasons()],
            plots=self._plots(),
            silhouette=self._silhouette(),
            shares=_shares,
            sample=SAMPLE,
            made=_moment(self.facts.get("made_at")),
            disagreement=self._disagreement(photographs),
            making=self._making(),
            made_at=datetime.now(UTC),
        )
        self.store.put(PAGE, page.encode(), "text/html; charset=utf-8")
        return DatasetReport(
            self.store.uri(PAGE), photographs, len(clusters), dropped, self.shown, len(self.unreadable)
        )  # fmt: skip

    def _empty(self) -> _Cluster:
        return _Cluster(Draw(self.per_cluster and self.per_cluster + NEAREST))

    def _read_dropped(self) -> None:
        for batch in _batches(self.store, "dropped/", DROPPED):
            reasons = batch["reason"].to_pylist()
            names = _identities(batch, "sha256", "key", "url")
            for i, (reason, name) in enumerate(zip(reasons, names, strict=True)):
                found = self.reasons.setdefault(reason or "unknown", _Reason())
                found.count += 1
                if found.drawn.wants(ticket := lot(name)):
                    found.drawn.add(ticket, _row(batch, i) | {"name": name})
        twins = self.reasons.get("near_duplicate", _Reason()).drawn.things()
        self.twins = {row["twin_of"]: None for row in twins if row["twin_of"]}

    def _read_dataset(self) -> None:
        for batch in _batches(self.store, "dataset/", DATASET):
            numbers = np.array([-1 if n is None else n for n in batch["cluster"].to_pylist()])
            licenses = _identities(batch, "license_url", "license")
            self.sources.add(batch["source"].to_pylist())
            for number in np.unique(numbers):
                members = np.flatnonzero(numbers == number)
                part = batch.take(pa.array(members))
                cluster = self.clusters.setdefault(int(number), self._empty())
                cluster.size += len(members)
                cluster.splits.update(split or "none" for split in part["split"].to_pylist())
                cluster.categories.add(part["category"].to_pylist())
                cluster.licenses.add(licenses[i] for i in members)
                self._choose(cluster, part)

    def _choose(self, cluster: _Cluster, part: pa.RecordBatch) -> None:
        """Keep those rows of a cluster that are nearest, drawn, counted by color, or a twin of a dropped one."""
        for i, name in enumerate(_identities(part, "sha256", "url_sha1", "url")):
            ticket = lot(name)
            keys = (name, part["path"][i].as_py(), part["url"][i].as_py()) if self.twins else ()
            twin = next((key for key in keys if key in self.twins), None)
            near = name in self.nearest
            drawn = cluster.drawn.wants(ticket)
            counted = cluster.pixels.wants(ticket)
            if not (twin or near or drawn or counted):
                continue
            row = _row(part, i) | {"name": name}
            if twin:
                self.twins[twin] = row
            if near:
                cluster.nearest[name] = row
            if drawn:
                cluster.drawn.add(ticket, row)
            if counted and (picture := open_thumbnail(row["thumbnail"])):
                cluster.pixels.add(ticket, take_pixels(picture))

    def _cluster(self, number: int, photographs: int) -> dict:
        cluster = self.clusters[number]
        pixels = cluster.pixels.things()
        palette = Palette(np.concatenate(pixels) if pixels else np.zeros((0, 3), np.uint8))
        order = [name for name in self.nearest if name in cluster.nearest]
        near = self._open([cluster.nearest[name] for name in order])
        line = np.cumsum([picture.width / picture.height for _, picture in near])
        near = near[: max(1, int(np.searchsorted(line, LINE, "right")))]
        hung = {row["name"] for row, _ in near}
        rest = [row for row in cluster.drawn.things() if row["name"] not in hung][: self.per_cluster - len(near)]
        drawn = _whole_lines(self._open(rest))
        plates = self._hang([*near, *drawn], f"cluster-{number}", HEIGHT)
        counted = len(pixels) > 0
        return {
            "number": number,
            "size": cluster.size,
            "share": _percent(cluster.size, photographs),
            "words": palette.words(),
            "swatches": palette.swatches(),
            "near": plates[: len(near)],
            "drawn": plates[len(near) :],
            "map": palette.map(f"The colors of cluster {number}") if counted else None,
            "levels": palette.levels(f"Lightness in cluster {number}") if counted else None,
            "counted": len(pixels),
            "categories": _top(cluster.categories, 5),
            "licenses": _licensed(cluster.licenses, 4),
        }

    def _open(self, rows: list[dict]) -> list[tuple[dict, Image.Image]]:
        opened = [(row, open_thumbnail(row["thumbnail"])) for row in rows]
        self.unreadable.update(row["name"] for row, picture in opened if not picture)
        return [(row, picture) for row, picture in opened if picture]

    def _hang(self, chosen: Sequence[tuple[dict, Image.Image]], name: str, height: int) -> list[dict]:
        """The pictures as the page places them, after storing the contact sheet that they are on."""
        if not chosen:
            return []
        sheet = make_sheet([picture for _, picture in chosen], height)
        digest = hashlib.sha256(sheet.jpeg).hexdigest()[:8]  # in the name: a browser keeps what it once loaded
        image = f"img/{name}-{digest}.jpg"
        self.store.put(f"report/{image}", sheet.jpeg, "image/jpeg")
        self.shown += len(chosen)
        common = {"image": image, "width": sheet.width, "height": sheet.height}
        return [common | _plate(row) | {"cell": cell} for (row, _), cell in zip(chosen, sheet.cells, strict=True)]

    def _ordered_reasons(self) -> list[str]:
        return sorted(self.reasons, key=lambda name: (-self.reasons[name].count, name))

    def _reason(self, name: str, dropped: int) -> dict:
        reason = self.reasons[name]
        rows = reason.drawn.things()
        pairs, singles = [], []
        if name == "near_duplicate":
            for row in rows[:PAIRS]:
                kept = self.twins.get(row["twin_of"])
                if kept and (pair := self._open([row, kept])) and len(pair) == 2:
                    pairs += pair
        if not pairs:
            singles = self._open([row for row in rows if row["thumbnail"]])
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "unknown"
        plates = self._hang(pairs or singles, f"dropped-{slug}", DROPPED_HEIGHT)
        untold = not plates
        return {
            "name": visible(name).replace("_", " "),
            "slug": slug,
            "count": reason.count,
            "share": _percent(reason.count, dropped),
            "about": REASONS.get(name, OTHER_REASON),
            "pairs": list(zip(plates[::2], plates[1::2], strict=True)) if pairs else [],
            "plates": [] if pairs else plates,
            "told": [_told(row) for row in rows[:5]] if untold else [],
        }

    def _splits(self) -> dict:
        """Photographs by split, and by cluster within."""
        found = Counter[str]()
        for cluster in self.clusters.values():
            found.update(cluster.splits)
        names = [*SPLITS, *sorted(set(found) - set(SPLITS))]
        lines = [
            {"number": number, "counts": [cluster.splits[name] for name in names], "size": cluster.size}
            for number, cluster in sorted(self.clusters.items())
        ]
        return {"names": [visible(name) for name in names], "totals": [found[name] for name in names], "lines": lines}

    def _licenses(self, photographs: int) -> list[dict]:
        all_licenses = Tally()
        for cluster in self.clusters.values():
            all_licenses.merge(cluster.licenses)
        return [
            {"license": described, "count": n, "share": _percent(n, photographs)}
            for described, n in _licensed(all_licenses, 25)
        ]

    def _silhouette(self) -> dict | None:
        points = sorted((k, float(s)) for k, s in self.facts.get("silhouette") or [] if s is not None)
        if not points:
            return None
        k = self.facts["k"]
        chosen = dict(points).get(k)
        return {
            "plot": plots.line("Silhouette over the number of clusters", "clusters", "mean silhouette", points, k),
            "k": k,
            "chosen": None if chosen is None else f"{chosen:.2f}",
            "best": max(points, key=lambda point: (point[1], -point[0]))[0],
            "highest": f"{max(s for _, s in points):.2f}",
        }

    def _disagreement(self, photographs: int) -> str | None:
        """What to say where the folder holds something else than what its summary tells."""
        told = self.facts.get("sizes")
        if told is None or sum(told) == photographs:
            return None
        return (
            f"{FACTS} counts {sum(told):,} photographs, but the files under dataset/ hold {photographs:,}: "
            "the clustering is still at work or was broken off; run it again."
        )

    def _making(self) -> list[tuple[str, str, bool]]:
        """Name, value, and whether the value is code."""
        facts = self.facts
        fitted, looked = facts.get("fitted_on"), facts.get("looked_at")
        versions = facts.get("versions") or {}
        lines = [
            ("Command", facts.get("command"), True),
            ("Feature", facts.get("feature"), True),
            (
                "Clusters",
                f"k-means, k = {facts['k']}" + (f", fitted on {fitted:,} photographs" if fitted else ""),
                False,
            ),
            ("Looked at", f"{looked:,} photographs" if looked else None, False),
            ("Digest", facts.get("digest"), True),
            ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items()), False),
        ]
        return [(name, visible(str(value)), code) for name, value, code in lines if value]

    def _plots(self) -> list:
        categories = Tally()
        for cluster in self.clusters.values():
            categories.merge(cluster.categories)
        drawn = []
        for title, tally in (("Categories", categories), ("Sources", self.sources)):
            if tally.total and (top := _top(tally)) != [("not stated", tally.total)]:
                names, counts = [name for name, _ in top], [n for _, n in top]
                drawn.append(plots.bars(title, "photographs", names, counts, [f"{n:,}" for n in counts]))
        return drawn


def _facts(store: Store) -> dict:
    try:
        facts = json.loads(store.read(FACTS))
    except NotFound as e:
        raise LookupError(f"{store.root} holds no {FACTS}, so there is no clustered dataset to show") from e
    except ValueError as e:
        raise Damaged(f"{store.uri(FACTS)} is not readable as JSON; run the clustering again") from e
    if not isinstance(facts, dict) or not isinstance(facts.get("k"), int):
        raise Damaged(f"{store.uri(FACTS)} does not say how many clusters there are; run the clustering again")
    return facts


def _batches(store: Store, prefix: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The named columns of every Parquet file under ``prefix``, some rows at a time; a column not there is null."""
    entries = sorted((e for e in store.list(prefix) if e.key.endswith(".parquet")), key=lambda e: e.key)
    for entry in entries:
        with tempfile.TemporaryDirectory(prefix="report-") as folder:
            path = Path(folder) / "part.parquet"
            store.fetch(entry, path)
            try:
                with pq.ParquetFile(path, buffer_size=1 << 20, page_checksum_verification=True) as file:
                    present = [name for name in columns if name in file.schema_arrow.names]
                    for batch in file.iter_batches(BATCH, columns=present):
                        nulls = pa.nulls(batch.num_rows)
                        arrays = [batch[name] if name in present else nulls for name in columns]
                        yield pa.RecordBatch.from_arrays(arrays, list(columns))
            except (pa.ArrowException, OSError) as e:
                words = str(e).strip().splitlines() or ["no reason given"]
                raise Damaged(f"{store.uri(entry.key)} is not a readable Parquet file ({words[0]})") from e


def _identities(batch: pa.RecordBatch, *names: str) -> list[str]:
    """For each row the first of the named columns that says something, "" where none does."""
    columns = [batch[name].to_pylist() for name in names]
    return [next((str(value) for value in values if value), "") for values in zip(*columns, strict=True)]


def _whole_lines(opened: list[tuple[dict, Image.Image]]) -> list[tuple[dict, Image.Image]]:
    """The pictures without a last line that they do not fill, unless it is the only one."""
    width, start = 0.0, 0
    for i, (_, picture) in enumerate(opened):
        ratio = min(max(picture.width / picture.height, TALLEST), WIDEST)
        if width and width + ratio > LOT_LINE:
            width, start = 0.0, i
        width += ratio
    return opened if width > 0.85 * LOT_LINE else opened[: start or None]


def _row(batch: pa.RecordBatch, i: int) -> dict:
    return {name: batch[name][i].as_py() for name in batch.schema.names}


def _plate(row: dict) -> dict:
    """What the page says of a photograph, and where it leads."""
    title = row.get("title") or _file_name(row.get("url") or row.get("key"))
    says = license.describe(row.get("license_url") or row.get("license") or "").name if "license" in row else None
    more = [row.get("creator"), row.get("date"), says, row.get("message")]
    return {
        "alt": _short(title) or "Photograph without a title",
        "title": " · ".join(_short(part) for part in [title, *more] if part),
        "href": _web(row.get("page_url")) or _web(row.get("url")),
    }


def _told(row: dict) -> dict:
    return {
        "name": _short(row.get("key") or row.get("url") or row.get("sha256") or "without a name"),
        "message": _short(row.get("message") or ""),
    }


def _file_name(url: str | None) -> str:
    return (url or "").rstrip("/").rpartition("/")[2]


def _short(text: str) -> str:
    text = visible(" ".join(text.split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _web(url: str | None) -> str | None:
    """The address if it is one of the web: whatever else a crawl met is not made a link."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def _top(tally: Tally, most: int = 6) -> list[tuple[str, int]]:
    top, others = tally.top(most)
    return [(_short(name) or "not stated", n) for name, n in top] + ([("others", others)] if others else [])


def _licensed(tally: Tally, most: int) -> list[tuple[license.License, int]]:
    top, others = tally.top(most)
    rest = [(license.License("others", "", None), others)] if others else []
    return [(license.describe(name), n) for name, n in top] + rest


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0
    return "under 0.1 %" if 0 < share < 0.1 else f"{share:.1f} %" if share < 10 else f"{share:.0f} %"


def _moment(text: str | None) -> str | None:
    try:
        return html.moment(text) if text else None
    except (TypeError, ValueError):
        return None


def _shares(counts: Sequence[int], whole: int) -> list[str]:
    return [_percent(count, whole) for count in counts]

"""An output folder as a colorize job leaves it: scikit-image's pictures, grayed as scans, themselves as results."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import skimage.data
from PIL import Image

from colorize_core.records import SCHEMA, Record
from colorize_core.storage import Store, safe_key

PICTURES = Path(skimage.data.__file__).parent
BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
COMMAND = "python -m jobs.colorize scans 'color out'"

# name of the picture, box of the cut (left, top, right, bottom), key of the scan, tone
PHOTOS = [
    ("astronaut.png", None, "portraits/1983 Collins.png", "neutral"),
    ("astronaut.png", (60, 0, 400, 512), "portraits/carte de visite.tif", "toned"),
    ("coffee.png", None, "still lives/coffee.jpg", "neutral"),
    ("coffee.png", (150, 60, 450, 360), 'still lives/50% off? #1 "cup" & <b>saucer</b>.jpg', "neutral"),
    ("chelsea.png", None, "animals/</script><script>alert(1)</script>.jpg", "neutral"),
    ("chelsea.png", (80, 0, 330, 300), "animals/حيوانات ‮gpj.exe🐈.jpg", "toned"),
    ("rocket.jpg", None, "launches/rocket 1.jpg", "neutral"),
    ("rocket.jpg", (250, 0, 420, 427), "launches/rocket 2.jpg", "neutral"),
    ("rocket.jpg", (0, 300, 640, 427), "launches/panorama.jpg", "neutral"),
    ("motorcycle_left.png", None, "garage/" + "a long folder name of an archive " * 3 + "/motorcycle.png", "neutral"),
    ("retina.jpg", (200, 200, 1200, 1200), "plates/retina.jpg", "toned"),
    ("hubble_deep_field.jpg", None, "plates/deep field.jpg", "neutral"),
]

HOSTILE_KEYS = [
    '"><img src=x onerror=alert(1)>.jpg',
    "'; alert(1) //.tif",
    "<!--<script>.png",
    "a\u2028b\u2029c.jpg",
    "tab\tand\nnewline.jpg",
    "100%25/#top?x=1&y=2.jpg",
    "../../etc/passwd",
    "שלום/‮evil.jpg",
    "📷" * 40 + ".jpg",
    "x" * 400 + ".tif",
    "javascript:alert(1)",
]

ERRORS = [
    ("rejected", "truncated", "the file ends in the middle of the picture; scan it again or restore it from a backup"),
    ("rejected", "not_an_image", "these bytes are no picture of a known format"),
    ("rejected", "too_large", "1.2 gigapixels exceed the limit; raise --max-megapixels"),
    ("failed", "NotFound", "<b>gone</b> & never seen again; list the bucket again"),
]


def record(key: str, **values) -> Record:
    """A plausible colorized record, with some of its values replaced."""
    fields = {
        "key": key,
        "page": 0,
        "source_uri": f"file:///scans/{key}",
        "source_size": 100_000,
        "source_etag": "100000-1",
        "recipe": "r" * 16,
        "status": "colorized",
        "run": "r1",
        "attempt": 1,
        "finished_at": BEGAN,
    }
    return Record(**fields | values)


def table(records: list[Record]) -> pa.Table:
    return pa.Table.from_pylist([dataclasses.asdict(r) for r in records], SCHEMA)


def write_records(store: Store, records: list[Record], name: str = "part-0") -> None:
    out = io.BytesIO()
    pq.write_table(table(records), out)
    store.put(f"records/run={records[0].run}/{name}.parquet", out.getvalue())


def run(name: str = "r1", **values) -> dict:
    """The summary of a finished run of 100 photos, with some of its values replaced."""
    fields = {
        "run": name,
        "state": "finished",
        "exit_code": 0,
        "command": COMMAND,
        "source": "file:///scans",
        "output": "file:///color",
        "started_at": BEGAN.isoformat(),
        "updated_at": (BEGAN + timedelta(minutes=10)).isoformat(),
        "finished_at": (BEGAN + timedelta(minutes=10)).isoformat(),
        "planned": 100,
        "done": 100,
        "counts": {"colorized": 100, "skipped_color": 0, "rejected": 0, "failed": 0},
        "already_done": 0,
        "listed": 100,
        "bytes": 10_000_000,
        "pixels": 250_000_000,
        "seconds": 600.0,
        "rate_per_s": 0.1667,
        "model": {"name": "autochrome", "digest": hashlib.sha256(b"weights").hexdigest()},
        "recipe": {"digest": "r" * 16, "settings": {"format": "jpeg", "quality": 92}},
        "versions": {"autochrome": "0.1.0"},
        "host": "node-1",
    }
    return fields | values


def write_run(store: Store, summary: dict) -> None:
    store.put(f"runs/{summary['run']}.json", json.dumps(summary).encode(), "application/json")


def write_output(folder: Path, troubles: int = 40) -> tuple[Store, Store]:
    """Scans, derivatives, records and one run; ``troubles`` rows are rejected or failed. Gives (source, output)."""
    source, output = Store(str(folder / "scans")), Store(str(folder / "color out"))
    records = [_photo(source, output, i) for i in range(len(PHOTOS))]
    records += [_trouble(i) for i in range(troubles)]
    records.append(record("already/color.jpg", status="skipped_color", tone="color", width=800, height=600))
    for r in records:
        r.source_uri = f"{source.root}/{r.key}"
    half = len(records) // 2
    write_records(output, records[:half], "part-0")
    write_records(output, records[half:], "part-1")
    counts = {s: sum(r.status == s for r in records) for s in ("colorized", "skipped_color", "rejected", "failed")}
    planned = len(records)
    write_run(
        output,
        run(
            source=source.root, output=output.root, planned=planned, done=planned, listed=planned, counts=counts,
            state="too_many_failures" if troubles else "finished", exit_code=3 if troubles else 0,
        ),
    )  # fmt: skip
    return source, output


def _photo(source: Store, output: Store, i: int) -> Record:
    name, box, key, tone = PHOTOS[i]
    color = Image.open(PICTURES / name).convert("RGB").crop(box) if box else Image.open(PICTURES / name).convert("RGB")
    scan = color.convert("L")
    if tone == "toned":
        gray = np.asarray(scan, np.float32)[..., None] / 255
        scan = Image.fromarray((255 * gray ** np.array([0.8, 1.0, 1.4], np.float32)).astype(np.uint8))
    data = io.BytesIO()
    kind = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF"}[key.rpartition(".")[2]]
    scan.save(data, kind)
    source.put(key, data.getvalue())
    entry = source.stat(key)
    result = io.BytesIO()
    color.save(result, "JPEG", quality=92)
    output_key = f"photos/{safe_key(key)}.jpg"
    output.put(output_key, result.getvalue(), "image/jpeg")
    codes = np.asarray(color, np.float64)
    rg, yb = codes[..., 0] - codes[..., 1], (codes[..., 0] + codes[..., 1]) / 2 - codes[..., 2]
    return record(
        key,
        source_size=entry.size,
        source_etag=entry.etag,
        source_format=kind,
        source_mode=scan.mode,
        source_bits=8,
        source_pages=1,
        width=color.width,
        height=color.height,
        tone=tone,
        model="autochrome",
        model_digest=hashlib.sha256(b"weights").hexdigest(),
        output_key=output_key,
        output_uri=output.uri(output_key),
        output_size=len(result.getvalue()),
        colorfulness=float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())),
        uncertainty=round(0.15 + 0.06 * ((7 * i) % 12), 3),
        gamut_mapped=0.31 if i == 6 else 0.02,
        ms_fetch=4.0 + i,
        ms_prepare=21.0 + i,
        ms_predict=180.0 + 3 * i,
        ms_finish=55.0 + 2 * i,
        ms_put=7.0 + i,
        host="node-1",
        finished_at=BEGAN + timedelta(seconds=i),
    )


def _trouble(i: int) -> Record:
    status, kind, message = ERRORS[i % len(ERRORS)]
    key = HOSTILE_KEYS[i] if i < len(HOSTILE_KEYS) else f"box {i // 50:03}/sheet {i:05}.tif"
    return record(
        key, status=status, error_class=kind, error_message=message, finished_at=BEGAN + timedelta(seconds=60 + i)
    )

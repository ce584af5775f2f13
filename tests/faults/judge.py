"""What a run left in its output folder, held against what an unbroken run leaves."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from colorize_core.keys import TEMPORARY
from colorize_core.ledger import latest, read_records
from colorize_core.storage import Store

PAGE = "key", "page"
OUTCOME = "status", "error_class"
NAMED = 5  # examples of each trouble


@dataclass
class Result:
    """objects: SHA-256 of everything below photos/, by key. rows: the ledger, one for each key and page at best."""

    objects: dict[str, str]
    rows: list[dict]
    raw_rows: int = 0
    notes: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def save(self) -> dict:
        return asdict(self)


@dataclass
class Verdict:
    """All of these must be 0 but the last three, which only inform."""

    lost: int
    doubled: int
    differing: int
    extra: int
    input_changed: int = 0
    repeated_rows: int = 0
    notes_left: int = 0
    unfinished_left: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.differing or self.extra or self.input_changed)


def look(client, bucket: str, prefix: str) -> Result:
    """What lies in an output folder; prefix ends in a slash. Past the proxy, with nothing of the job under way."""
    keys = [key.removeprefix(prefix) for key in versions(client, bucket, prefix)]

    def sha256(key: str) -> str:
        return hashlib.sha256(client.get_object(Bucket=bucket, Key=prefix + key)["Body"].read()).hexdigest()

    photos = [key for key in keys if key.startswith("photos/")]
    with ThreadPoolExecutor(8) as pool:
        objects = dict(zip(photos, pool.map(sha256, photos), strict=True))
    raw = read_records(Store(f"s3://{bucket}/{prefix.rstrip('/')}"))
    rows = latest(raw).select([*PAGE, *OUTCOME, "output_key", "output_sha256"]).to_pylist()
    notes = [key for key in keys if "/in-hand/" in key]
    return Result(objects, rows, raw.num_rows, notes, [key for key in keys if TEMPORARY in key])


def versions(client, bucket: str, prefix: str) -> dict[str, str]:
    """ETags by key."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}


def judge(found: Result, reference: Result) -> Verdict:
    """lost: pages without their row, or in another state than they should be. doubled: pages with several rows.

    differing: derivatives that are not there, or other bytes than the reference or than their row says. extra: rows
    and derivatives that the reference lacks.
    """
    expected = {_page(row): _outcome(row) for row in reference.rows}
    outcomes = {_page(row): _outcome(row) for row in found.rows}
    counts = Counter(map(_page, found.rows))
    said = {row["output_key"]: row["output_sha256"] for row in found.rows if row["output_key"]}
    troubles = {
        "lost": [
            f"{page}: {outcomes.get(page)}, not {outcome}"
            for page, outcome in expected.items()
            if outcomes.get(page) != outcome
        ],
        "doubled": [f"{page}: {count} rows" for page, count in counts.items() if count > 1],
        "differing": [
            key
            for key, sha256 in reference.objects.items()
            if found.objects.get(key) != sha256 or said.get(key) != sha256
        ],
        "extra": [str(page) for page in outcomes.keys() - expected.keys()]
        + sorted(found.objects.keys() - reference.objects.keys()),
    }
    return Verdict(
        **{name: len(examples) for name, examples in troubles.items()},
        repeated_rows=found.raw_rows - len(found.rows),
        notes_left=len(found.notes),
        unfinished_left=len(found.unfinished),
        examples={name: examples[:NAMED] for name, examples in troubles.items() if examples},
    )


def _page(row: dict) -> tuple:
    return tuple(row[name] for name in PAGE)


def _outcome(row: dict) -> tuple:
    return tuple(row[name] for name in OUTCOME)

"""How the job's time per photo and its memory grow with the archive."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import photos
from benchmark.contender import JOB, run
from benchmark.memory import Peak


def measure(counts: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Run the job over archives of so many small photos, one after the other.

    For each: milliseconds per photo while at work, and of the whole command, times of the first archive, and the peak
    of memory of all processes together in GB.
    """
    rows: list[dict[str, Any]] = []
    for count in counts:
        source, output, peak = folder / f"small-{count}", folder / f"color-{count}", Peak()
        photos.small(source, count)
        outcome = run(JOB, source, output, peak.follow)
        shutil.rmtree(output)
        row = {
            "photos": count,
            "done": outcome.photos,
            "working_ms": 1000 * outcome.working / count,
            "whole_ms": 1000 * outcome.wall / count,
            "peak_gb": peak.bytes / 1e9,
        }
        first = rows[0] if rows else row
        row["times_first"] = row["working_ms"] / first["working_ms"]
        row["memory_times_first"] = row["peak_gb"] / first["peak_gb"]
        rows.append(row)
        print(f"  {count:,} small photos: {row['working_ms']:.1f} ms each, {row['peak_gb']:.2f} GB", flush=True)
    return rows

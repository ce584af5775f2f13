"""The figures of a benchmark, from its raw measurements: what is printed, drawn and written as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import Any

from benchmark.contest import Round
from benchmark.ratio import ratio
from benchmark.sameness import BOUND
from benchmark.stages import STAGES


def typical(passes: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One row for each photo from several passes over the same photos: the medians of its seconds."""
    return [
        rows[0]
        | {
            clock: {stage: median(row[clock].get(stage, 0.0) for row in rows) for stage in STAGES}
            for clock in ("cpu", "wall")
        }
        for rows in zip(*passes, strict=True)
    ]


def sum_up(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The stages of some photos: CPU and wall seconds, their share, and milliseconds per photo and per megapixel."""
    megapixels = sum(row["megapixels"] for row in rows)
    total = sum(sum(row["cpu"].values()) for row in rows)
    stages = {}
    for stage in STAGES:
        cpu, wall = (sum(row[clock][stage] for row in rows) for clock in ("cpu", "wall"))
        stages[stage] = {
            "cpu_seconds": cpu,
            "wall_seconds": wall,
            "share": cpu / total,
            "ms_per_photo": 1000 * cpu / len(rows),
            "ms_per_megapixel": 1000 * cpu / megapixels,
        }
    return {"photos": len(rows), "megapixels": megapixels, "cpu_seconds": total, "stages": stages}


def figures(rounds: Sequence[Round], likeness: dict[str, dict[str, dict[str, Any]]], cores: int) -> dict[str, Any]:
    """Everything that follows from the rounds. Times of the clock are in seconds."""
    rows = typical([round.stages for round in rounds])
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in dict.fromkeys(r["kind"] for r in rows)}
    stages = sum_up(rows)
    floors = [sum(sum(row["cpu"].values()) for row in round.stages) / cores for round in rounds]
    whole = [round.whole for round in rounds]
    done, working = whole[0].photos, median(outcome.working for outcome in whole)
    floor = stages["cpu_seconds"] / cores
    return {
        "stages": stages,
        "kinds": {kind: sum_up(members) for kind, members in kinds.items()},
        "floor": {
            "seconds": floor,
            "photos_per_second": stages["photos"] / floor,
            "core_ms_per_photo": 1000 * stages["cpu_seconds"] / stages["photos"],
        },
        "job": {
            "photos": done,
            "failed": whole[0].failed,
            "working": [outcome.working for outcome in whole],
            "wall": [outcome.wall for outcome in whole],
            "first_photo": [outcome.first for outcome in whole],
            "photos_per_second": done / working,
            "photos_per_second_with_start": done / median(outcome.wall for outcome in whole),
            "core_ms_per_photo": 1000 * cores * working / done,
            "over_floor": asdict(ratio([outcome.working for outcome in whole], floors)),
            "record_seconds": {s: median(outcome.stages[s] for outcome in whole) for s in whole[0].stages},
        },
        "alternatives": {
            name: alternative([round.pairs[name] for round in rounds if name in round.pairs], cores)
            | {"same": same(likeness.get(name, {}))}
            for name in dict.fromkeys(name for round in rounds for name in round.pairs)
        },
        "trouble": {name: why for round in rounds for name, why in round.trouble.items()},
    }


def alternative(pairs: Sequence[tuple[Any, Any]], cores: int) -> dict[str, Any]:
    """An alternative beside the job, from pairs of outcomes over the same photos."""
    theirs, ours = zip(*pairs, strict=True)
    working = median(outcome.working / outcome.photos for outcome in theirs)
    return {
        "photos": theirs[0].photos,
        "failed": theirs[0].failed,
        "working": [outcome.working for outcome in theirs],
        "wall": [outcome.wall for outcome in theirs],
        "ours_working": [outcome.working for outcome in ours],
        "ours_wall": [outcome.wall for outcome in ours],
        "photos_per_second": 1 / working,
        "core_ms_per_photo": 1000 * cores * working,
        "ours_core_ms_per_photo": 1000 * cores * median(outcome.working / outcome.photos for outcome in ours),
        "times_ours": asdict(ratio([t.working for t in theirs], [o.working for o in ours])),
        "times_ours_with_start": asdict(ratio([t.wall for t in theirs], [o.wall for o in ours])),
    }


def same(likeness: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How alike the results are: over the photos that came out the same, and which did not."""
    alike = [row for row in likeness.values() if row.get("mean", BOUND + 1) <= BOUND]
    return {
        "compared": likeness,
        "alike": len(alike),
        "mean": fmean(row["mean"] for row in alike) if alike else None,
        "p99": max(row["p99"] for row in alike) if alike else None,
        "otherwise": [key for key, row in likeness.items() if row not in alike],
    }

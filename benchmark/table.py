"""The figures of a benchmark as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmark.ratio import Ratio
from benchmark.sameness import BOUND
from benchmark.stages import STAGES


def lines(result: dict[str, Any]) -> Iterator[str]:
    machine, stages = result["machine"], result["stages"]
    yield f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB"
    yield f"{stages['photos']} photos, {stages['megapixels']:,.0f} megapixels, {result['settings']['repeats']} rounds"
    if left_out := result["settings"]["count"] - stages["photos"]:
        yield f"left out of the stages: {left_out} that are in color, or no photographs"
    yield ""
    yield from _stages(stages, result["kinds"])
    yield ""
    yield _line("with all cores", "photos/s", "core-ms/photo")
    yield from _job(result["floor"], result["job"])
    for name, row in result["alternatives"].items():
        yield ""
        yield from _alternative(name, row)
    for name, why in result["trouble"].items():
        yield f"{name} ended badly: {why}"
    yield ""
    yield from _finish(result["finish"])
    for row in result["growth"]:
        yield (
            f"{row['photos']:,} small photos: {row['working_ms']:.1f} ms each, {row['times_first']:.2f} times the "
            f"first; {row['whole_ms']:.1f} ms with start-up; {row['peak_gb']:.2f} GB, {row['memory_times_first']:.2f}"
        )


def _line(label: str, *cells: str) -> str:
    return f"{label:<60}" + "".join(f"{cell:>14}" for cell in cells)


def _stages(stages: dict[str, Any], kinds: dict[str, Any]) -> Iterator[str]:
    yield _line("a stage alone on one core", "ms/photo", "ms/MP", "share")
    for stage, doc in STAGES.items():
        row = stages["stages"][stage]
        per_photo, per_megapixel = f"{row['ms_per_photo']:.1f}", f"{row['ms_per_megapixel']:.2f}"
        yield _line(f"{stage}: {doc}", per_photo, per_megapixel, f"{row['share']:.1%}")
    for label, row in {"all stages": stages, **{f"  {kind}": row for kind, row in kinds.items()}}.items():
        milliseconds = 1000 * row["cpu_seconds"]
        per_photo, per_megapixel = f"{milliseconds / row['photos']:.1f}", f"{milliseconds / row['megapixels']:.2f}"
        yield _line(f"{label}, {row['photos']} photos", per_photo, per_megapixel)


def _job(floor: dict[str, Any], job: dict[str, Any]) -> Iterator[str]:
    cells = f"{floor['photos_per_second']:.2f}", f"{floor['core_ms_per_photo']:,.0f}"
    yield _line("the floor: the stages and nothing else", *cells)
    cells = f"{job['photos_per_second']:.2f}", f"{job['core_ms_per_photo']:,.0f}"
    yield _line("the job, start-up excluded", *cells)
    yield _line("the job, start-up included", f"{job['photos_per_second_with_start']:.2f}")
    yield f"the job takes {Ratio(**job['over_floor'])} times its floor; the first photo is there after " + (
        f"{median(job['first_photo']):.1f} s"
    )
    if job["failed"]:
        yield f"  not done: {len(job['failed'])}, such as {next(iter(job['failed'].items()))}"


def _alternative(name: str, row: dict[str, Any]) -> Iterator[str]:
    cells = f"{row['photos_per_second']:.2f}", f"{row['core_ms_per_photo']:,.0f}"
    yield _line(f"{name}, {row['photos']} photos", *cells)
    yield _line("  the job over the same", "", f"{row['ours_core_ms_per_photo']:,.0f}")
    yield (
        f"  takes {Ratio(**row['times_ours'])} times as long as the job, "
        f"start-up included {Ratio(**row['times_ours_with_start'])}"
    )
    same = row["same"]
    if same["alike"]:
        yield (
            f"  {same['alike']} of {len(same['compared'])} results compared are the same: "
            f"difference {same['mean']:.2f}, 99 % of pixels within {same['p99']:.2f} (CIEDE2000)"
        )
    if same["otherwise"]:
        yield f"  unlike, by more than {BOUND} on the mean: {', '.join(same['otherwise'])}"
    if row["failed"]:
        yield f"  not done: {len(row['failed'])}, such as {next(iter(row['failed'].items()))}"


def _finish(finish: dict[str, Any]) -> Iterator[str]:
    for name, what in (("finish_ms", "finish"), ("finish_and_decode_ms", "decode and finish")):
        yield (
            f"{what}, {finish['megapixels']:.1f} MP gray JPEG to color JPEG on one core: "
            f"{min(finish[name]):,.0f} ms at best, {median(finish[name]):,.0f} ms in the middle"
        )

"""A dry run: a few scans are worked through and stored nowhere, to say what all of them would come to."""

from __future__ import annotations

import time
from dataclasses import replace

from colorize_core.blocks import entries
from colorize_core.plan import Plan
from colorize_core.records import Record, Status
from colorize_core.stages import Colorize, Task
from colorize_core.storage import Store
from colorize_core.text import duration

SAMPLE = 6


def try_out(plan: Plan, task: Task, model: str, workers: int) -> str:
    """Pixels and time that a plan would take, from scans drawn evenly from it."""
    task = replace(task, output=Store("memory://autochrome-dry-run"))
    colorize = Colorize(task, model, "cpu")
    every = max(1, len(plan.todo) // SAMPLE)
    drawn = plan.todo.take(list(range(0, len(plan.todo), every)[:SAMPLE]))
    records: list[Record] = []
    began = time.perf_counter()
    for work in entries(drawn):
        records += colorize(*work)
    scale = len(plan.todo) / len(drawn)
    seconds = (time.perf_counter() - began) * scale / workers
    pixels = sum((r.width or 0) * (r.height or 0) for r in records) * scale
    bad = sum(r.status in (Status.REJECTED, Status.FAILED) for r in records)
    return (
        f"about {pixels / 1e6:,.0f} megapixels and {duration(seconds)} with {workers} CPU workers like this machine's\n"
        f"from a trial on {len(drawn)} scans, {bad} of which could not be colorized; nothing was stored"
    )

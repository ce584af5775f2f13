"""The colorize pipeline on Ray Data: blocks of scans in, settled records out.

Only keys, small model inputs and records travel between processes. A worker stores its derivatives and then its
records itself, so a row that reaches the driver is already safe.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext

from colorize_core.plan import Plan
from colorize_core.records import SCHEMA, Record, to_table, write_records
from colorize_core.stages import Finish, InFlight, Predict, Prepare, Task, Workbench, settle, start
from colorize_core.records import Status
from colorize_core.storage import Entry
from colorize_core.suspects import Suspects, WorkerDied

BLOCK = 32  # photos that are redone when their worker dies, and that share a file of records
BATCH = 16  # photos on the accelerator at once
ENTRY = pa.schema([("key", pa.string()), ("size", pa.int64()), ("etag", pa.string()), ("attempt", pa.int32())])
IN_FLIGHT = pa.schema(
    [
        *SCHEMA,
        ("lightness", pa.binary()),
        ("ab", pa.binary()),
        ("rows", pa.int32()),  # of the small picture
    ]
)


class Fused:
    """All three steps in one worker, a photo at a time: each scan is read and decoded once."""

    def __init__(self, task: Task, model: str, device: str):
        self.task, bench = task, Workbench(task)
        self.predict = Predict(model, device)
        self.prepare, self.finish = Prepare(task, bench), Finish(task, bench)

    def __call__(self, block: pa.Table) -> pa.Table:
        records: list[Record] = []
        suspects = Suspects(self.task.output, self.task.run, block_name(block))
        suspects.begin()
        for entry, attempt in entries(block):
            try:
                suspects.take(entry.key)
            except WorkerDied as error:
                records.append(settle(start(self.task, entry, 0, attempt), Status.REJECTED, error))
                continue
            for photo in self.prepare(entry, attempt):
                records.append(self.finish(self.predict([photo])[0]))
        write_records(self.task.output, self.task.run, records)
        suspects.end()
        return to_table(records)


class PrepareBlock:
    """The first step alone: scans to model inputs."""

    def __init__(self, task: Task):
        self.task, self.prepare = task, Prepare(task)

    def __call__(self, block: pa.Table) -> pa.Table:
        photos: list[InFlight] = []
        suspects = Suspects(self.task.output, self.task.run, block_name(block))
        suspects.begin()
        for entry, attempt in entries(block):
            try:
                suspects.take(entry.key)
                photos += self.prepare(entry, attempt)
            except WorkerDied as error:
                photos.append(InFlight(settle(start(self.task, entry, 0, attempt), Status.REJECTED, error)))
        suspects.end()
        return pack(photos)


class PredictBatch:
    """The second step alone, on the accelerator."""

    def __init__(self, model: str, device: str):
        self.predict = Predict(model, device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pack(self.predict(unpack(batch)))


class FinishBlock:
    """The third step alone: ab to stored derivatives and stored records."""

    def __init__(self, task: Task):
        self.task, self.finish = task, Finish(task)

    def __call__(self, block: pa.Table) -> pa.Table:
        records: list[Record] = []
        suspects = Suspects(self.task.output, self.task.run, block_name(block))
        suspects.begin()
        for photo in unpack(block):
            try:
                suspects.take(f"{photo.record.key}#{photo.record.page}")
                records.append(self.finish(photo))
            except WorkerDied as error:
                records.append(settle(photo.record, Status.REJECTED, error))
        write_records(self.task.output, self.task.run, records)
        suspects.end()
        return to_table(records)


def entries(block: pa.Table) -> Iterator[tuple[Entry, int]]:
    for row in block.to_pylist():
        yield Entry(row["key"], row["size"], row["etag"]), row["attempt"]


def block_name(block: pa.Table) -> str:
    """The same for the same photos, whoever works on them."""
    names = zip(block["key"].to_pylist(), block["page"].to_pylist() if "page" in block.column_names else [0] * len(block))
    return hashlib.sha1(repr(sorted(names)).encode()).hexdigest()


def pack(photos: list[InFlight]) -> pa.Table:
    """Photos in flight as rows; small pictures as their float32 bytes."""
    rows = []
    for photo in photos:
        picture = photo.lightness if photo.lightness is not None else photo.ab
        rows.append(
            asdict(photo.record)
            | {
                "lightness": None if photo.lightness is None else photo.lightness.tobytes(),
                "ab": None if photo.ab is None else photo.ab.tobytes(),
                "rows": None if picture is None else picture.shape[0],
            }
        )
    return pa.Table.from_pylist(rows, IN_FLIGHT)


def unpack(table: pa.Table) -> list[InFlight]:
    """The inverse of ``pack``."""
    photos = []
    for row in table.to_pylist():
        lightness, ab, rows = row.pop("lightness"), row.pop("ab"), row.pop("rows")
        photos.append(
            InFlight(
                Record(**row),
                None if lightness is None else np.frombuffer(lightness, np.float32).reshape(rows, -1),
                None if ab is None else np.frombuffer(ab, np.float32).reshape(rows, -1, 2),
            )
        )
    return photos


def blocks(plan: Plan, workers: int) -> list[pa.Table]:
    """The plan in blocks of like weight: big scans first and dealt out evenly, so that no worker ends long after the rest."""
    count = max(1, -(-len(plan.todo) // BLOCK), min(len(plan.todo), workers * 8))
    todo = sorted(plan.todo, key=lambda work: (-work[0].size, work[0].key))
    return [
        pa.Table.from_pylist([{**asdict(entry), "attempt": attempt} for entry, attempt in todo[i::count]], ENTRY)
        for i in range(count)
    ]


def run(
    plan: Plan, task: Task, model: str, device: str, workers: int, split: bool, stall_seconds: float
) -> Iterator[list[dict]]:
    """Work through a plan and yield the settled records, as rows, of each block as it is stored.

    ``workers`` are the CPU workers; when ``split``, half of them prepare and half finish, and every accelerator
    predicts. Raises ray.exceptions.RayError or ray.data.exceptions when the pipeline itself dies or stalls.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = stall_seconds
    dataset = ray.data.from_arrow(blocks(plan, workers))
    arrow = {"batch_format": "pyarrow", "zero_copy_batch": True}
    if split:
        accelerators = int(ray.cluster_resources().get("GPU", 0)) if device == "cuda" else 1
        dataset = (
            dataset.map_batches(
                PrepareBlock, fn_constructor_args=(task,), batch_size=None, num_cpus=1,
                compute=ActorPoolStrategy(size=max(1, workers // 2)), **arrow,
            )
            .map_batches(
                PredictBatch, fn_constructor_args=(model, device), batch_size=BATCH,
                num_gpus=1 if device == "cuda" else 0, num_cpus=0,
                compute=ActorPoolStrategy(size=max(1, accelerators)), **arrow,
            )
            .map_batches(
                FinishBlock, fn_constructor_args=(task,), batch_size=None, num_cpus=1,
                compute=ActorPoolStrategy(size=max(1, workers - workers // 2)), **arrow,
            )
        )  # fmt: skip
    else:
        dataset = dataset.map_batches(
            Fused, fn_constructor_args=(task, model, device), batch_size=None, num_cpus=1,
            num_gpus=1 if device == "cuda" else 0,
            compute=ActorPoolStrategy(size=min(workers, dataset.num_blocks()), max_tasks_in_flight_per_actor=2), **arrow,
        )  # fmt: skip
    for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield block.to_pylist()

"""The colorize pipeline on Ray Data: blocks of scans in, settled records out.

Only keys, small model inputs and records travel between processes. A worker stores its derivatives and then its
records itself, so a row that reaches the driver is already safe.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from colorize_core.plan import Plan
from colorize_core.records import SCHEMA, Record, Status, to_table, write_records
from colorize_core.stages import Finish, InFlight, Predict, Prepare, Task, settle, start
from colorize_core.storage import Entry
from colorize_core.suspects import Suspects, WorkerDied
from colorize_core.workbench import Workbench
from jobs.meter import Meter
from jobs.workers import Workers, memory_here

BLOCK = 32  # photos that are redone when their worker dies, and that share a file of records
BATCH = 16  # photos on the accelerator at once
# keys as bytes: a file name need not be text
ENTRY = pa.schema([("key", pa.binary()), ("size", pa.int64()), ("etag", pa.string()), ("attempt", pa.int32())])
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
        self.task = task = at_home(task)
        bench, self.meter = Workbench(task), Meter()
        self.predict = Predict(model, task.recipe.model_digest, device)
        self.prepare, self.finish = Prepare(task, bench), Finish(task, bench)

    def __call__(self, block: pa.Table) -> pa.Table:
        suspects = Suspects(self.task.output, self.task.run, block_name(block))
        records = suspects.work_through(
            entries(block),
            key_of,
            self._colorize,
            lambda work, error: self.meter.count(give_up(self.task, work, error)),
        )
        return store(self.task, records, suspects)

    def _colorize(self, work: tuple[Entry, int]) -> Iterator[Record]:
        for photo in self.prepare(*work):
            yield self.meter.count(self.finish(self.predict([photo])[0]))


class PrepareBlock:
    """The first step alone: scans to model inputs."""

    def __init__(self, task: Task):
        self.task = at_home(task)
        self.prepare = Prepare(self.task)

    def __call__(self, block: pa.Table) -> pa.Table:
        suspects = Suspects(self.task.output, self.task.run, block_name(block))
        photos = suspects.work_through(
            entries(block),
            key_of,
            lambda work: self.prepare(*work),
            lambda work, error: InFlight(give_up(self.task, work, error)),
        )
        suspects.end()
        return pack(photos)


class PredictBatch:
    """The second step alone, on the accelerator."""

    def __init__(self, model: str, digest: str, device: str):
        self.predict = Predict(model, digest, device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pack(self.predict(unpack(batch)))


class FinishBlock:
    """The third step alone: ab to stored derivatives and stored records."""

    def __init__(self, task: Task):
        self.task = at_home(task)
        self.finish, self.meter = Finish(self.task), Meter()

    def __call__(self, block: pa.Table) -> pa.Table:
        suspects = Suspects(self.task.output, self.task.run, block_name(block))
        records = suspects.work_through(
            unpack(block),
            lambda photo: f"{photo.record.key}#{photo.record.page}",
            lambda photo: [self.meter.count(self.finish(photo))],
            lambda photo, error: self.meter.count(settle(photo.record, Status.REJECTED, error)),
        )
        return store(self.task, records, suspects)


def store(task: Task, records: list[Record], suspects: Suspects) -> pa.Table:
    """Store the records of a block whose derivatives are stored, and only then let go of it."""
    write_records(task.output, task.run, records)
    suspects.end()
    return to_table(records)


def at_home(task: Task) -> Task:
    """The task as this worker does it, within the memory of its own machine."""
    return replace(task, memory=task.memory or memory_here())


def key_of(work: tuple[Entry, int]) -> str:
    return work[0].key


def give_up(task: Task, work: tuple[Entry, int], error: WorkerDied) -> Record:
    """The record of a scan that workers died on."""
    entry, attempt = work
    return settle(start(task, entry, 0, attempt), Status.REJECTED, error)


def entries(block: pa.Table) -> Iterator[tuple[Entry, int]]:
    for row in block.to_pylist():
        yield Entry(os.fsdecode(row["key"]), row["size"], row["etag"]), row["attempt"]


def block_name(block: pa.Table) -> str:
    """The same for the same photos, whoever works on them."""
    names = block.select([name for name in ("key", "page") if name in block.column_names]).to_pylist()
    return hashlib.sha1(repr(names).encode()).hexdigest()


def pack(photos: Sequence[InFlight]) -> pa.Table:
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
    """The plan in blocks of like weight: big scans first, dealt out evenly, so that all workers end together."""
    count = max(1, -(-len(plan.todo) // BLOCK), min(len(plan.todo), workers * 8))
    todo = sorted(plan.todo, key=lambda work: (-work[0].size, work[0].key))
    rows = [asdict(entry) | {"key": os.fsencode(entry.key), "attempt": attempt} for entry, attempt in todo]
    return [pa.Table.from_pylist(rows[i::count], ENTRY) for i in range(count)]


def run(plan: Plan, task: Task, model: str, workers: Workers, stall_seconds: float) -> Iterator[list[dict]]:
    """Work through a plan and yield the settled records, as rows, of each block as it is stored.

    When the stages are split, half of the CPU workers prepare, the others finish, and every accelerator predicts.
    Raises what Ray raises when the pipeline dies, or makes no progress for ``stall_seconds``.
    """
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # it says what to do; Ray's own around it does not
    context.execution_no_progress_timeout_s = stall_seconds
    # A lost node takes its object store along; what the first stage has made may then fill the rest, and an idle stage
    # must still be let at it.
    context.object_store_memory_pressure_fraction = 0.5
    dataset: Dataset = ray.data.from_arrow(blocks(plan, workers.cpus))
    gpus, most = min(1, workers.gpus), dataset.num_blocks()
    if workers.split:
        half = workers.cpus // 2
        digest = task.recipe.model_digest
        on_device = {"batch_size": BATCH, "num_cpus": 0, "num_gpus": gpus}
        # A stage may have to give back workers to the next one, where nodes have been lost or are yet to come.
        now = int(ray.cluster_resources().get("CPU", 0)) // 2
        dataset = in_pool(dataset, min(half, most), PrepareBlock, task, at_first=now)
        dataset = in_pool(dataset, workers.gpus or 1, PredictBatch, model, digest, workers.device, **on_device)
        dataset = in_pool(dataset, min(workers.cpus - half, most), FinishBlock, task, at_first=now)
    else:
        dataset = in_pool(dataset, min(workers.cpus, most), Fused, task, model, workers.device, num_gpus=gpus)
    for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield cast(pa.Table, block).to_pylist()


def in_pool(
    dataset: Dataset,
    size: int,
    stage: type,
    *arguments: object,
    batch_size: int | None = None,
    num_cpus: int = 1,
    num_gpus: int = 0,
    at_first: int | None = None,
) -> Dataset:
    """A stage in a pool of actors; whole blocks unless a batch size is given.

    The pool keeps its size, or starts with ``at_first`` and has what the other stages leave, at least one.
    """
    pool: dict[str, Any] = {"size": size}
    if at_first is not None:
        pool = {"min_size": 1, "initial_size": max(1, min(at_first, size)), "max_size": size}
    return dataset.map_batches(
        stage,
        fn_constructor_args=arguments,
        batch_size=batch_size,
        batch_format="pyarrow",
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        compute=ActorPoolStrategy(**pool, max_tasks_in_flight_per_actor=2),
    )

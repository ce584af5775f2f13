"""The colorize pipeline on Ray Data: blocks of scans in, settled records out.

Only keys, small model inputs and records travel between processes. A worker stores its derivatives and then its
records itself, so a row that reaches the driver is already safe.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, cast

import numpy as np
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from colorize_core.blocks import block_name, blocks, entries
from colorize_core.hints import Hints
from colorize_core.plan import Plan
from colorize_core.records import SCHEMA, Record, Status, to_table, write_records
from colorize_core.stages import Colorize, Fetch, Finish, InFlight, Predict, Prepare, Put, Task, settle, start
from colorize_core.storage import Entry
from colorize_core.suspects import Suspects, WorkerDied
from colorize_core.workbench import Workbench
from jobs.meter import Meter
from jobs.workers import Workers, memory_here

BLOCK = 32  # photos that are redone when their worker dies, and that share a file of records
CHAPTER = 10_000  # blocks that Ray Data is given at a time: it keeps a note of each
BATCH = 16  # photos on the accelerator at once
AT_ONCE = 3  # blocks in the hands of a CPU worker: while one is worked on, the others fetch and store
IN_FLIGHT = pa.schema(
    [
        *SCHEMA,
        ("hints_text", pa.large_string()),
        ("pictures", pa.list_(pa.binary())),  # small ones: of lightness, or ab and, where there is one, uncertainty
        ("rows", pa.list_(pa.int32())),  # of each
        ("predicted", pa.bool_()),
    ]
)


class Fused:
    """All steps in one worker: each scan is fetched and each page decoded once."""

    def __init__(self, task: Task, model: str, device: str):
        self.task, self.meter = at_home(task), Meter()
        self.colorize = Colorize(self.task, model, device)

    def __call__(self, block: pa.Table) -> pa.Table:
        suspects = suspects_of(self.task, block, self.colorize.bench)
        records = suspects.work_through(
            entries(block),
            key_of,
            lambda work: map(self.meter.count, self.colorize(*work)),
            lambda work, error: self.meter.count(give_up(self.task, work, error)),
        )
        return store(self.task, records, suspects)


class PrepareBlock:
    """The steps before the prediction: scans to model inputs."""

    def __init__(self, task: Task):
        self.task = at_home(task)
        self.bench = Workbench(self.task)
        self.fetch, self.prepare = Fetch(self.task, self.bench), Prepare(self.task, self.bench)

    def __call__(self, block: pa.Table) -> pa.Table:
        suspects = suspects_of(self.task, block, self.bench)
        photos = suspects.work_through(
            entries(block),
            key_of,
            lambda work: map(self.prepare, self.fetch(*work)),
            lambda work, error: InFlight(give_up(self.task, work, error)),
        )
        suspects.end()
        return pack(photos)


class PredictBatch:
    """The prediction alone, on the accelerator."""

    def __init__(self, model: str, task: Task, device: str):
        self.predict = Predict(model, task, device)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return pack(self.predict(unpack(batch)))


class FinishBlock:
    """The steps after the prediction: ab to stored derivatives and stored records."""

    def __init__(self, task: Task):
        self.task, self.meter = at_home(task), Meter()
        self.bench = Workbench(self.task)
        self.finish, self.put = Finish(self.task, self.bench), Put(self.task)

    def __call__(self, block: pa.Table) -> pa.Table:
        suspects = suspects_of(self.task, block, self.bench)
        records = suspects.work_through(
            unpack(block),
            lambda photo: f"{photo.record.key}#{photo.record.page}",
            lambda photo: [self.meter.count(self.put(self.finish(photo)))],
            lambda photo, error: self.meter.count(settle(photo.record, Status.REJECTED, error)),
        )
        return store(self.task, records, suspects)


def suspects_of(task: Task, block: pa.Table, bench: Workbench) -> Suspects:
    return Suspects(task.output, task.run, block_name(block), alone=bench.alone())


def store(task: Task, records: list[Record], suspects: Suspects) -> pa.Table:
    """Store the records of a block whose derivatives are stored, and only then let go of it."""
    write_records(task.output, task.run, records)
    suspects.end()
    return to_table(records)


def at_home(task: Task) -> Task:
    """The task as this worker does it, within the memory of its own machine."""
    return replace(task, memory=task.memory or memory_here())


def key_of(work: tuple[Entry, int, str | None]) -> str:
    return work[0].key


def give_up(task: Task, work: tuple[Entry, int, str | None], error: WorkerDied) -> Record:
    """The record of a scan that workers died on."""
    entry, attempt, hints = work
    return settle(start(task, entry, 0, attempt, hints), Status.REJECTED, error)


def pack(photos: Sequence[InFlight]) -> pa.Table:
    """Photos in flight as rows; small pictures as their float32 bytes."""
    rows = []
    for photo in photos:
        pictures = photo.lightness or [p for p in (photo.ab, photo.uncertainty) if p is not None]
        rows.append(
            asdict(photo.record)
            | {
                "hints_text": photo.hints.canonical() if photo.hints else None,
                "pictures": [picture.tobytes() for picture in pictures],
                "rows": [len(picture) for picture in pictures],
                "predicted": photo.ab is not None,
            }
        )
    return pa.Table.from_pylist(rows, IN_FLIGHT)


def unpack(table: pa.Table) -> list[InFlight]:
    """The inverse of ``pack``."""
    photos = []
    for row in table.to_pylist():
        text, predicted = row.pop("hints_text"), row.pop("predicted")
        flat = [np.frombuffer(picture, np.float32) for picture in row.pop("pictures")]
        pictures = [picture.reshape(count, -1) for picture, count in zip(flat, row.pop("rows"), strict=True)]
        photo = InFlight(Record(**row), None if text is None else Hints.parse(text.encode()))
        if predicted:
            ab, *uncertainty = pictures
            photo.ab, photo.uncertainty = ab.reshape(len(ab), -1, 2), uncertainty[0] if uncertainty else None
        elif pictures:
            photo.lightness = tuple(pictures)
        photos.append(photo)
    return photos


def run(plan: Plan, task: Task, model: str, workers: Workers, stall_seconds: float) -> Iterator[list[dict]]:
    """Work through a plan and yield the settled records, as rows, of each block as it is stored.

    When the stages are split, half of the CPU workers prepare, the others finish, and every accelerator predicts.
    Raises what Ray raises when the pipeline dies, or makes no progress for ``stall_seconds``.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # the job itself says what it raises, in a sentence
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # it says what to do; Ray's own around it does not
    context.execution_no_progress_timeout_s = stall_seconds
    # A lost node takes its object store along; what the first stage has made may then fill the rest, and an idle stage
    # must still be let at it.
    context.object_store_memory_pressure_fraction = 0.5
    todo = blocks(plan.todo, BLOCK, workers.cpus)
    while chapter := list(islice(todo, CHAPTER)):
        dataset = through_stages(ray.data.from_arrow(chapter), task, model, workers)
        for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield cast(pa.Table, block).to_pylist()


def through_stages(dataset: Dataset, task: Task, model: str, workers: Workers) -> Dataset:
    """Blocks of scans to blocks of records."""
    gpus, most = min(1, workers.gpus), dataset.num_blocks()
    if not workers.split:
        size = min(workers.cpus, most)
        return in_pool(dataset, size, Fused, task, model, workers.device, num_gpus=gpus, at_once=AT_ONCE)
    half = workers.cpus // 2
    on_device: dict[str, Any] = {"batch_size": BATCH, "num_cpus": 0, "num_gpus": gpus}
    # A stage may have to give back workers to the next one, where nodes have been lost or are yet to come.
    on_cpus: dict[str, Any] = {"at_first": int(ray.cluster_resources().get("CPU", 0)) // 2, "at_once": AT_ONCE}
    dataset = in_pool(dataset, min(half, most), PrepareBlock, task, **on_cpus)
    weights = model, task, workers.device
    dataset = in_pool(dataset, workers.gpus or 1, PredictBatch, *weights, **on_device)
    return in_pool(dataset, min(workers.cpus - half, most), FinishBlock, task, **on_cpus)


def in_pool(
    dataset: Dataset,
    size: int,
    stage: type,
    *arguments: object,
    batch_size: int | None = None,
    num_cpus: int = 1,
    num_gpus: int = 0,
    at_first: int | None = None,
    at_once: int = 1,
) -> Dataset:
    """A stage in a pool of actors; whole blocks unless a batch size is given.

    The pool keeps its size, or starts with ``at_first`` and has what the other stages leave, at least one. An actor
    works on ``at_once`` blocks at a time, each in a thread of its own, and one more waits at its door.
    """
    pool: dict[str, Any] = {"size": size}
    if at_first is not None:
        pool = {"min_size": 1, "initial_size": max(1, min(at_first, size)), "max_size": size}
    if at_once > 1:
        pool |= {"max_concurrent_calls_per_actor": at_once, "enable_true_multi_threading": True}
    return dataset.map_batches(
        stage,
        fn_constructor_args=arguments,
        batch_size=batch_size,
        batch_format="pyarrow",
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        compute=ActorPoolStrategy(**pool, max_tasks_in_flight_per_actor=at_once + 1),
    )

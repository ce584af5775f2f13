"""The clustering job's passes over its photographs on Ray Data.

Between processes travel listings, decisions and counts, and the thumbnails that clusters are found on; everything else
goes from worker to storage.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import pyarrow as pa
import ray
from ray.data import DataContext, Dataset, TaskPoolStrategy

from colorize_core.curation.assembly import Assemble
from colorize_core.curation.dataset import EXAMINED, read_block
from colorize_core.curation.selection import Selection
from colorize_core.curation.survey import Examine, Survey
from colorize_core.storage import Store
from jobs.pipeline import in_pool
from jobs.workers import memory_here

BLOCK = 256  # photographs that are examined again when their worker dies, and that share a file
THUMBNAILS = pa.schema([("file", pa.string()), ("row", pa.int32()), ("thumbnail", pa.binary())])

DECISIONS = pa.schema(
    [
        ("file", pa.string()),
        ("kept", pa.list_(pa.int32())),
        ("dropped", pa.list_(pa.int32())),
        ("twin_of", pa.list_(pa.string())),
    ]
)


class ExamineBlock:
    def __init__(self, survey: Survey):
        self.examine = Examine(replace(survey, memory=survey.memory or memory_here()))

    def __call__(self, block: pa.Table) -> pa.Table:
        return pa.table({"reason": pa.array(self.examine(block.to_pylist()), pa.string())})


def draw_thumbnails(block: pa.Table, output: Store) -> pa.Table:
    rows = []
    for work in block.to_pylist():
        thumbnails = read_block(output, EXAMINED, work["file"], ["thumbnail"])["thumbnail"]
        rows += [{"file": work["file"], "row": n, "thumbnail": thumbnails[n].as_py()} for n in work["rows"]]
    return pa.Table.from_pylist(rows, THUMBNAILS)


def assemble_block(block: pa.Table, output: Store) -> pa.Table:
    step = Assemble(output)
    return pa.Table.from_pylist([step(**work) for work in block.to_pylist()])


def examine(todo: pa.Table, survey: Survey, cpus: int) -> Iterator[list[str | None]]:
    """Examine the photographs of a listing; yields the reasons of each block as it is stored."""
    size = max(1, min(BLOCK, -(-len(todo) // (cpus * 4))))
    parts = [todo.slice(at, size) for at in range(0, len(todo), size)]
    if not parts:
        return
    dataset = in_pool(_dataset(parts), min(cpus, len(parts)), ExamineBlock, survey)
    for block in _blocks(dataset):
        yield block["reason"].to_pylist()


def draw(output: Store, places: list[tuple[str, int]], cpus: int) -> list[bytes]:
    """The thumbnails of some rows of ``examined/``, in the order of the places."""
    by_file = defaultdict(list)
    for file, row in places:
        by_file[file].append(row)
    parts = [pa.table({"file": [file], "rows": [rows]}) for file, rows in by_file.items()]
    found: dict[tuple[str, int], bytes] = {}
    for block in _blocks(in_tasks(_dataset(parts), cpus, draw_thumbnails, output)):
        found |= {(row["file"], row["row"]): row["thumbnail"] for row in block.to_pylist()}
    return [found[place] for place in places]


def assemble(output: Store, selection: Selection, cpus: int) -> Iterator[dict]:
    """Write the dataset file by file; yields what each holds."""
    parts = [pa.Table.from_pylist([work], DECISIONS) for work in selection.by_file()]
    for block in _blocks(in_tasks(_dataset(parts), cpus, assemble_block, output)):
        yield from block.to_pylist()


def in_tasks(dataset: Dataset, cpus: int, step: Callable, *arguments: object) -> Dataset:
    """A step over whole blocks in tasks, which need no start of their own as actors do."""
    return dataset.map_batches(
        step,
        fn_args=arguments,
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
        compute=TaskPoolStrategy(size=cpus),
    )


def _dataset(parts: list[pa.Table]) -> Dataset:
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # it says what to do; Ray's own around it does not
    return ray.data.from_arrow(parts)


def _blocks(dataset: Dataset) -> Iterator[pa.Table]:
    for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield cast(pa.Table, block)

"""The training job on Ray Train: workers that share their gradients, fed by Ray Data.

Everything a training leaves is in its output folder, checkpoints included, and a worker that starts looks there first;
so a lost worker, a lost driver and a lost cluster are all mended in the same way, and Ray keeps no state of its own.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import ray
import ray.train
import torch
from ray.data import DataContext, Dataset
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from colorize_core.models.published import Unavailable
from colorize_core.storage import StorageError, Store
from colorize_core.training.checkpoint import TrainingError, read_checkpoint
from colorize_core.training.data import Batch, DatasetError, dataset_blocks, decode, identity, read_rows
from colorize_core.training.loop import Assignment, train
from jobs.ticker import Spoken, ticking
from jobs.workers import innermost

PART = 128  # decoded photographs that travel together
SHUFFLED = 2048  # photographs among which each worker draws its next
MAX_FAILURES = 8  # of workers, over a whole training
FINAL = (TrainingError, DatasetError, StorageError, Unavailable)


def fit(assignment: Assignment, workers: tuple[int, int], device: str, threads: int) -> None:
    """Train on so many workers, any number between the two if they differ. Raises TrainingError."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False
    low, high = workers
    config = {"assignment": assignment, "device": device, "threads": threads}
    run = RunConfig(
        storage_path=tempfile.mkdtemp(prefix="autochrome-train-"),
        failure_config=FailureConfig(max_failures=MAX_FAILURES),
        logging_config=LoggingConfig(log_level="ERROR"),  # type: ignore[call-arg]
    )
    count: Any = high if low == high else (low, high)  # a range lets the number follow the cluster
    scaling = ScalingConfig(num_workers=count, use_gpu=device == "cuda")
    with ticking() as ticker:
        trainer = TorchTrainer(
            work,
            train_loop_config=config | {"ticker": ticker},
            scaling_config=scaling,
            datasets={"train": photographs(assignment)},
            run_config=run,
        )
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise TrainingError(f"the workers failed too often: {error}") from error
        problem: Any = ray.get(ticker.problem.remote())
        if problem:
            raise TrainingError(problem)
    checkpoint = read_checkpoint(Store(assignment.output))
    if checkpoint is None or checkpoint.position.step < assignment.recipe.steps:
        raise TrainingError("the workers ended before the last step, without saying why")


def photographs(assignment: Assignment) -> Dataset:
    """Rows of id and rgb, decoded on any CPU of the cluster, file by file in an order drawn for every epoch."""
    store, recipe = Store(assignment.dataset), assignment.recipe
    names = dataset_blocks(store)
    files = ray.data.from_items([{"name": name} for name in names], override_num_blocks=len(names))
    return files.randomize_block_order().map_batches(
        decode_file,  # type: ignore[arg-type]
        batch_size=1,
        fn_args=(store, assignment.clusters, recipe.canvas, recipe.framing),
        num_cpus=1,
    )


def decode_file(files: dict[str, np.ndarray], store: Store, clusters: tuple[int, ...] | None, side: int,
                framing: str) -> Iterator[dict[str, np.ndarray]]:  # fmt: skip
    """The photographs to train on of one file of the dataset."""
    for name in files["name"]:
        rows = read_rows(store, name, "train", clusters)
        for at in range(0, len(rows), PART):
            part = rows.slice(at, PART).to_pylist()
            yield {
                "id": np.array([identity(row["sha256"]) for row in part], np.int64),
                "rgb": np.stack([decode(row["thumbnail"], side, framing, row["sha256"]) for row in part]),
            }


def work(config: dict[str, Any]) -> None:
    """What each worker does. Ray starts all of them again when one fails: in vain, if the ticker knows of a problem."""
    ticker = config["ticker"]
    if ray.get(ticker.problem.remote()):
        return
    torch.set_num_threads(config["threads"])
    assignment: Assignment = config["assignment"]
    size = max(1, assignment.recipe.batch // ray.train.get_context().get_world_size())
    shard = ray.train.get_dataset_shard("train")

    def batches(epoch: int, seen: np.ndarray) -> Iterator[Batch]:
        rest = Batch(np.empty(0, np.int64), np.empty((0, 0, 0, 3), np.uint8))
        found = shard.iter_batches(
            batch_size=size,
            batch_format="numpy",
            local_shuffle_buffer_size=SHUFFLED,
            local_shuffle_seed=assignment.seed + epoch,
        )
        for block in found:
            fresh = ~np.isin(block["id"], seen)
            rest = rest.with_more(block["id"][fresh], block["rgb"][fresh])
            while len(rest.ids) >= size:
                yield rest.part(0, size)
                rest = rest.part(size)
        if len(rest.ids):
            yield rest

    try:
        with redirect_stdout(Spoken(ticker)):
            train(assignment, batches, config["device"], ray.train.report)
    except Exception as error:
        if problem := final(error):
            ray.get(ticker.give_up.remote(problem))
        raise


def final(error: BaseException) -> str | None:
    """What an error says if another try would meet it again."""
    found = innermost(error, FINAL)
    return None if found is None else str(found)

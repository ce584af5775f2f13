"""Train a colorization network: ``python -m jobs.train --recipe RECIPE DATASET OUTPUT``.

DATASET is what jobs.cluster made; it is only ever read. OUTPUT receives RECIPE.safetensors (the weights, for
jobs.colorize --model), loss.png and samples.jpg (how the training goes), tensorboard/, history.json, and checkpoint.pt:
the same command goes on from there after whatever happened.

Exit codes: 0 trained to the last step; 1 the training failed; 2 asked for something impossible, said before any work;
130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import shlex
import sys
from typing import Any

import torch

from colorize_core.models.published import Unavailable
from colorize_core.storage import StorageError, Store, inside
from colorize_core.training.checkpoint import TrainingError, claim
from colorize_core.training.data import DatasetError, read_photographs, shuffled, survey
from colorize_core.training.loop import INIT, Assignment, train
from colorize_core.training.recipe import FOLDER, Recipe, RecipeError, find_recipe, to_values
from colorize_core.weights import ModelError, find
from jobs.arguments import clusters
from jobs.interruption import stoppable
from jobs.workers import Impossible, at_work, join_cluster, local_gpus, start_cluster

OBJECT_STORE = 1 << 30  # bytes, on this machine: photographs are decoded ahead of the workers


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    recipes = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
    parser = argparse.ArgumentParser(
        prog="python -m jobs.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="the OUTPUT of jobs.cluster: a path, s3://...")
    add("output", metavar="OUTPUT", help="folder or bucket for everything the training leaves, outside DATASET")
    add("--recipe", default="autochrome", metavar="NAME|FILE", help=f"a YAML file, or one of: {recipes} "
        "(default %(default)s)")  # fmt: skip
    add("--workers", type=workers, default=(1, 1), metavar="N|A-B", help="processes that share every batch, each with "
        "a CPU or a GPU; a range lets their number follow the cluster's size; 0 trains in this process, without Ray "
        "(default 1)")  # fmt: skip
    add("--clusters", type=clusters, metavar="K,K", help="train on these clusters alone (default: all)")
    add("--init", metavar="MODEL", help="start from the weights of this model: a name, a path, s3://...")
    add("--steps", type=int, metavar="N", help="batches to train on (default: the recipe's)")
    add("--batch", type=int, metavar="N", help="photographs in a batch, all workers together (default: the recipe's)")
    add("--accumulate", type=int, metavar="N", help="parts that a batch is learned in, to save memory (default: the "
        "recipe's)")  # fmt: skip
    add("--side", type=int, metavar="PX", help="train on squares of this many pixels (default: the recipe's)")
    add("--rate", type=float, metavar="R", help="learning rate (default: the recipe's)")
    add("--validate", type=int, metavar="N", help="steps from one checkpoint to the next (default: the recipe's)")
    add("--seed", type=int, default=0, metavar="N", help="of every random choice (default %(default)s)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: GPUs where there are any")
    add("--autoscaling", action="store_true", help="the cluster brings up nodes on demand: ask it for --workers "
        "though it has fewer now; say which --device")  # fmt: skip
    add("--threads", type=int, metavar="N", help="CPU threads of each worker (default: this machine's, shared)")
    args = parser.parse_args(arguments)
    if args.autoscaling and args.device == "auto":
        parser.error("--autoscaling needs --device: which nodes to ask for")
    return args


def workers(text: str) -> tuple[int, int]:
    """``2`` or ``1-4``, for argparse."""
    low, _, high = text.partition("-")
    try:
        least, most = int(low), int(high or low)
    except ValueError:
        least, most = -1, -1
    if not 0 <= least <= most or (most > least and least < 1):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number such as 2 nor a range such as 1-4")
    return least, most


def choose_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes of it."""
    changes: dict[str, Any] = {
        key: getattr(args, key)
        for key in ("steps", "batch", "accumulate", "rate", "validate")
        if getattr(args, key) is not None
    }
    recipe = find_recipe(args.recipe, **changes)
    if args.side is None:
        return recipe
    canvas = recipe.canvas * args.side // max(recipe.sides)
    return dataclasses.replace(recipe, sides=(args.side,), side=args.side, canvas=canvas)


def assign(args: argparse.Namespace, recipe: Recipe) -> Assignment:
    """Look the dataset and the output over, and lay claim to the output. Raises Impossible."""
    dataset, output = Store(args.dataset), Store(args.output)
    if inside(output.root, dataset.root) or inside(dataset.root, output.root):
        raise Impossible(f"{output.root} and {dataset.root} lie inside one another; choose another OUTPUT")
    dataset.check()
    output.check(write=True)
    found = survey(dataset, args.clusters)
    if found.splits["train"] < recipe.batch or not found.splits["val"]:
        raise Impossible(
            f"{dataset.root} has {found.splits['train']:,} photographs to train on and {found.splits['val']:,} to "
            f"validate with; recipe {recipe.name} needs at least {recipe.batch} and 1. Add photographs, or ask for a "
            "smaller --batch"
        )
    about = {
        "training_data_sha256": found.digest,
        "training_photos": found.splits["train"],
        "licenses": dict(found.licenses.most_common()),
        "clusters": list(args.clusters or found.clusters),
        "recipe": to_values(recipe),
    }
    init = find(args.init) if args.init else None
    training = {"recipe": to_values(recipe), "training_data_sha256": found.digest, "clusters": about["clusters"],
                "init": init.digest if init else None, "seed": args.seed}  # fmt: skip
    if init:
        if init.architecture != recipe.architecture:
            raise Impossible(f"{init.path} holds weights of {init.architecture}; the recipe's is {recipe.architecture}")
        output.put(INIT, init.path)
    claim(output, training)
    return Assignment(recipe, args.dataset, args.output, about, args.clusters, args.init, args.seed)


def train_alone(assignment: Assignment, device: str) -> None:
    """In this process, without Ray."""
    recipe = assignment.recipe
    photographs = read_photographs(Store(assignment.dataset), "train", assignment.clusters)
    batches = functools.partial(shuffled, photographs, recipe.batch, recipe.canvas, recipe.framing, assignment.seed)
    train(assignment, batches, device)


def train_on_ray(assignment: Assignment, args: argparse.Namespace) -> None:
    """On the cluster that RAY_ADDRESS or a submitted job names, or on one started here. Raises Impossible."""
    low, high = args.workers
    if "RAY_ADDRESS" in os.environ:
        cpus, gpus = join_cluster()
    elif args.autoscaling:
        raise Impossible("only a cluster brings up nodes; submit the job to one, or leave out --autoscaling")
    else:
        cpus, gpus = high + 1, local_gpus(args.device)
        start_cluster(cpus, gpus, OBJECT_STORE)
    device = ("cuda" if gpus else "cpu") if args.device == "auto" else args.device
    have, unit = (gpus, "GPUs") if device == "cuda" else (cpus - 1, "CPUs beside the one that decodes photographs")
    if args.autoscaling:
        have = high
    if low > have:
        raise Impossible(f"{low} workers need as many {unit}; the cluster has {max(have, 0)}. Ask for fewer --workers")
    from jobs.training import fit

    fit(assignment, (low, min(high, have)), device, args.threads or max(1, (os.cpu_count() or 1) // high))


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    command = shlex.join(["python", "-m", "jobs.train", *arguments])
    try:
        recipe = choose_recipe(args)
        assignment = assign(args, recipe)
    except (Impossible, RecipeError, DatasetError, TrainingError, ModelError, StorageError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    weights = Store(args.output).uri(f"{recipe.name}.safetensors").removeprefix("file://")
    print(f"training {recipe.name} on {assignment.about['training_photos']:,} photographs: {recipe.steps:,} steps of "
          f"{recipe.batch}", flush=True)  # fmt: skip
    try:
        with stoppable():
            if args.workers == (0, 0):
                torch.set_num_threads(args.threads or os.cpu_count() or 1)
                train_alone(assignment, "cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu")
            else:
                with at_work():
                    train_on_ray(assignment, args)
    except KeyboardInterrupt:
        print(f"\ninterrupted; continue from the last checkpoint with: {command}")
        return 130
    except (Impossible, Unavailable) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        print(f"the training failed: {error}", file=sys.stderr)
        print(f"continue from the last checkpoint with: {command}", file=sys.stderr)
        return 1
    print(f"done: {weights}")
    print(f"colorize with it: python -m jobs.colorize --model {weights} INPUT OUTPUT")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The training loop: the same on a laptop and as one of many workers that share their gradients."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from colorize_core import color
from colorize_core.evaluation.baselines import PUBLISHED
from colorize_core.models import build
from colorize_core.storage import Store
from colorize_core.training import metrics
from colorize_core.training.augment import lesson
from colorize_core.training.checkpoint import (
    Checkpoint,
    Position,
    TrainingError,
    read_checkpoint,
    write_checkpoint,
)
from colorize_core.training.data import Batch, Photographs, dataset_blocks, decode, read_photographs, read_rows
from colorize_core.training.export import export, load_into
from colorize_core.training.journal import Journal
from colorize_core.training.losses import make_loss
from colorize_core.training.recipe import Recipe

INIT = "init.safetensors"
VALIDATION = 480  # photographs, at most
SAMPLES = 8  # of them on the sheet
PRIOR = 1000  # photographs that the share of every color is taken from

Batches = Callable[[int, np.ndarray], Iterator[Batch]]  # epoch, ids already seen in it -> the rest of it


@dataclass(frozen=True)
class Assignment:
    """What to train, on what, and where to leave it."""

    recipe: Recipe
    dataset: str
    output: str
    about: dict[str, Any]  # for the weights' metadata: digest, number and licenses of the photographs
    clusters: tuple[int, ...] | None = None
    init: str | None = None  # where the weights of INIT in the output folder came from
    seed: int = 0


class Objective(nn.Module):
    """Network and loss as one module, so that gradients are shared over workers whatever the loss calls."""

    def __init__(self, network: nn.Module, loss: nn.Module):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        return self.loss(self.network, lightness, ab)


def train(assignment: Assignment, batches: Batches, device: str = "cpu", told: Callable[[dict], None] | None = None):
    """Train to the recipe's last step, from the checkpoint in the output folder if there is one.

    Every worker of a torch.distributed group calls this with its own share of every epoch; the first one stores
    checkpoints, weights and everything to look at. ``told`` gets each validation's figures, on every worker. Raises
    TrainingError, DatasetError, Unavailable.
    """
    recipe, output = assignment.recipe, Store(assignment.output)
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(assignment.seed)
    network = build(recipe.architecture, recipe.config)
    checkpoint = read_checkpoint(output)
    if checkpoint is None:
        start(network, assignment)
    for name, parameter in network.named_parameters():
        if name.startswith(recipe.freeze):
            parameter.requires_grad_(False)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval()
    loss = make_loss(recipe.loss, network, lambda: sample_ab(assignment)).to(device)
    objective: nn.Module = Objective(network, loss)
    optimizer = make_optimizer(recipe, network)
    position = Position()
    if checkpoint is not None:
        network.load_state_dict(checkpoint.network)
        average.load_state_dict(checkpoint.average)
        optimizer.load_state_dict(checkpoint.optimizer)
        position = checkpoint.position
    if world > 1:
        objective = DistributedDataParallel(objective)
    seen, looked = Seen(position.seen), position.step
    head = Head(assignment, output, position) if rank == 0 else None

    def look() -> None:
        """Validate and store. All workers come here together."""
        position.seen = seen.everywhere()
        figures: dict[str, float] = {"step": position.step, "epoch": position.epoch}
        if head:
            figures |= head.validate(average, device, position)
            position.history = head.journal.history
            state = Checkpoint(position, network.state_dict(), average.state_dict(), optimizer.state_dict())
            write_checkpoint(output, state)
            head.store(average, figures)
        if told:
            told(figures)

    while position.step < recipe.steps:
        shown = 0
        for batch in level(batches(position.epoch, position.seen), device):
            began = time.monotonic()
            rate = learning_rate(recipe, position.step)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            train_mode(network, recipe)
            if batch.here is not None:
                seen.add(batch.here.ids)
            optimizer.zero_grad(set_to_none=True)
            value = step(objective, batch, recipe, assignment.seed, position, world, device)
            norm = nn.utils.clip_grad_norm_(network.parameters(), recipe.clip or math.inf)
            if not torch.isfinite(norm):
                raise TrainingError(
                    f"the gradient of step {position.step + 1} is not a number (loss {value:.4g}); what was stored "
                    f"last stays. Lower the rate of recipe {recipe.name} (now {recipe.rate:g}), clip the gradient, or "
                    "look for a broken photograph"
                )
            optimizer.step()
            position.step += 1
            shown += batch.everywhere
            position.photographs += batch.everywhere
            position.seconds += time.monotonic() - began
            follow(average, network, recipe.average, position.step)
            if head:
                head.journal.step({"step": position.step, "loss": value, "rate": rate,
                                   "photographs": position.photographs, "seconds": position.seconds})  # fmt: skip
            if position.step >= recipe.steps:
                break
            if position.step % recipe.validate == 0:
                look()
                looked = position.step
        else:
            if not shown and not len(position.seen):
                raise TrainingError("an epoch had no photographs at all; does the dataset still exist?")
            position.epoch += 1
            position.seen = np.empty(0, np.int64)
            seen = Seen(position.seen)
    if looked != position.step:
        look()
    if head:
        head.journal.close()


def step(objective: nn.Module, batch: Shared, recipe: Recipe, seed: int, position: Position, world: int,
         device: str) -> float:  # fmt: skip
    """Gradients of one step, averaged over every photograph on every worker; gives this worker's mean loss.

    A worker that has run out takes part with a share of nothing.
    """
    side = int(np.random.default_rng([seed, position.step]).choice(recipe.sides))
    if batch.here is None:
        nothing = torch.zeros(1, 1, side, side, device=device)
        objective.eval()  # so that it leaves no trace in the statistics of batch norm
        (objective(nothing, nothing.expand(-1, 2, -1, -1)) * 0).backward()
        return 0.0
    rng = np.random.default_rng([seed, position.epoch, *batch.here.ids.tolist()])
    size, total = len(batch.here.ids), 0.0
    part = -(-size // recipe.accumulate)
    for at in range(0, size, part):
        lightness, ab = lesson(batch.here.rgb[at : at + part], side, recipe.augmentation, rng)
        lightness = lightness.to(device, memory_format=torch.channels_last)
        last = at + part >= size
        with objective.no_sync() if world > 1 and not last else nullcontext():  # type: ignore[operator]
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                value = objective(lightness, ab.to(device))
            (value * (len(ab) * world / batch.everywhere)).backward()
        total += float(value.detach()) * len(ab) / size
    return total


@dataclass(frozen=True)
class Shared:
    """One step's photographs: those of this worker, if it has any left, and how many all workers have."""

    here: Batch | None
    everywhere: int


def level(batches: Iterator[Batch], device: str) -> Iterator[Shared]:
    """Batches until every worker has run out, so that none waits for gradients that never come."""
    while True:
        here = next(batches, None)
        count = torch.tensor(len(here.ids) if here else 0, device=device)
        if dist.is_initialized():
            dist.all_reduce(count)
        if not count:
            return
        yield Shared(here, int(count))


class Seen:
    """Ids of the photographs that an epoch has shown."""

    def __init__(self, before: np.ndarray):
        self.before, self.here = before, [np.empty(0, np.int64)]

    def add(self, ids: np.ndarray) -> None:
        self.here.append(ids)

    def everywhere(self) -> np.ndarray:
        """On all workers together, sorted; all of them ask at once."""
        here = [np.concatenate(self.here)]
        if dist.is_initialized():
            shares: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(shares, here[0])
            here = shares
        return np.unique(np.concatenate([self.before, *here]))


class Head:
    """The worker that stores and shows."""

    def __init__(self, assignment: Assignment, output: Store, position: Position):
        recipe = self.recipe = assignment.recipe
        self.assignment, self.output = assignment, output
        self.validation = validation_photographs(assignment)
        self.pictures = self.validation.decoded(recipe.nominal_side, recipe.framing)
        samples = self.pictures[:: max(1, len(self.pictures) // SAMPLES)][:SAMPLES]
        self.journal = Journal(output, samples, recipe.steps, position.history)

    def validate(self, network: nn.Module, device: str, position: Position) -> dict[str, float]:
        figures = validate(network, self.pictures, device)
        entry = {"step": position.step, "epoch": position.epoch, "seconds": position.seconds} | figures
        self.journal.validated(entry, lambda lightness: answer(network, lightness.to(device)).cpu())
        return figures

    def store(self, network: nn.Module, figures: dict[str, float]) -> None:
        about = self.assignment.about | {"training_steps": figures["step"], "metrics": figures}
        name = f"{self.recipe.name}.safetensors"
        self.output.put(name, export(network, self.recipe, about))


def start(network: nn.Module, assignment: Assignment) -> None:
    """The weights that a training begins with: given ones, published ones of some parts, or chance."""
    if assignment.init:
        load_into(network, Store(assignment.output).read(INIT), assignment.init)
    elif assignment.recipe.pretrained:
        for part in network.modules():
            if load := getattr(part, "load_pretrained", None):
                load()


def make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer; every group carries the scale of its learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            scale = next((scale for start, scale in recipe.rates.items() if name.startswith(start)), 1.0)
            groups.setdefault(float(scale), []).append(parameter)
    parameters = [{"params": members, "scale": scale} for scale, members in groups.items()]
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, recipe.rate, alpha=0.9, eps=1e-7, weight_decay=recipe.weight_decay)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, recipe.rate, recipe.betas, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, done: int) -> float:
    """After ``done`` steps: a linear warmup, then constant or half a cosine down to nothing."""
    rate = recipe.rate * min(1.0, (done + 1) / max(1, recipe.warmup))
    return rate * (0.5 + 0.5 * math.cos(math.pi * done / recipe.steps)) if recipe.schedule == "cosine" else rate


def train_mode(network: nn.Module, recipe: Recipe) -> None:
    """Frozen parts keep their statistics of batch norm as well."""
    network.train()
    for name, module in network.named_modules():
        if recipe.freeze and name.startswith(recipe.freeze):
            module.eval()


def follow(average: nn.Module, network: nn.Module, decay: float, steps: int) -> None:
    """Move the averaged weights towards the network's, faster at the beginning, and copy the buffers."""
    decay = min(decay, steps / (steps + 10))
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        for kept, current in zip(average.buffers(), network.buffers(), strict=True):
            kept.copy_(current)


def sample_ab(assignment: Assignment) -> Tensor:
    """(N, 2) ab of some pixels of the first photographs of the dataset."""
    store, found = Store(assignment.dataset), []
    for name in dataset_blocks(store):
        rows = read_rows(store, name, "train", assignment.clusters)
        for sha256, thumbnail in zip(rows["sha256"].to_pylist(), rows["thumbnail"].to_pylist(), strict=True):
            found.append(decode(thumbnail, 32, "crop", sha256))
        if len(found) >= PRIOR:
            break
    rgb = np.stack(found).astype(np.float32) / 255
    return torch.from_numpy(color.srgb_to_lab(rgb)[..., 1:].reshape(-1, 2))


def validation_photographs(assignment: Assignment) -> Photographs:
    """The first photographs of the validation split, by id."""
    photographs = read_photographs(Store(assignment.dataset), "val", assignment.clusters)
    return photographs.at(range(min(VALIDATION, len(photographs))))


def answer(network: nn.Module, lightness: Tensor) -> Tensor:
    """ab of a network, in float32."""
    network.eval()
    with torch.inference_mode():
        ab = network(lightness)
    return (ab[0] if isinstance(ab, tuple) else ab).float()


def validate(network: nn.Module, pictures: np.ndarray, device: str) -> dict[str, float]:
    """Mean PSNR in dB, beside that of a constant color, mean CIEDE2000, colorfulness over the photographs' own."""
    rows, distance = [], 0.0
    for at in range(0, len(pictures), 32):
        truth = pictures[at : at + 32]
        lab = color.srgb_to_lab(torch.from_numpy(truth).permute(0, 3, 1, 2).float() / 255, axis=1)
        made = answer(network, lab[:, :1].to(device)).cpu()
        distance += float(color.delta_e2000(torch.cat([lab[:, :1], made], 1), lab, axis=1).mean()) * len(truth)
        constant = torch.tensor(PUBLISHED).view(1, 2, 1, 1).expand_as(made)
        guesses = [to_rgb(lab[:, :1], ab) for ab in (made, constant)]
        for own, model, plain in zip(truth, *guesses, strict=True):
            rows.append((metrics.psnr(model, own), metrics.psnr(plain, own), metrics.colorfulness(model),
                         metrics.colorfulness(own)))  # fmt: skip
    psnr, constant_psnr, colorfulness, own = np.mean(rows, 0)
    return {
        "psnr": float(psnr),
        "constant_psnr": float(constant_psnr),
        "delta_e": distance / len(pictures),
        "colorfulness_ratio": float(colorfulness / own),
    }


def to_rgb(lightness: Tensor, ab: Tensor) -> np.ndarray:
    """(B, H, W, 3) uint8 of lightness and ab."""
    rgb = color.lab_to_srgb(torch.cat([lightness, ab], 1), axis=1)
    return (rgb * 255).round().byte().permute(0, 2, 3, 1).numpy()

"""The training loop. ``python -m colorize_core.training.loop PHOTOS OUT`` trains the default weights."""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from colorize_core import color
from colorize_core.models import build
from colorize_core.training import data, losses, metrics

SIDES = (128, 128, 128, 160, 192)  # pixels of a training batch, drawn with equal chance
VALIDATION_SIDE = 128
SAVE_STEPS = 250


def ema_update(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Move the averaged weights, and copy the buffers, towards the model's."""
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        for kept, current in zip(average.buffers(), model.buffers(), strict=True):
            kept.copy_(current)


def evaluate(model: torch.nn.Module, photos: data.Photos, side: int = VALIDATION_SIDE) -> dict[str, float]:
    """Mean PSNR and colorfulness on whole photographs, beside gray and the training set's usual constant color."""
    model.eval()
    rows = []
    for start in range(0, len(photos.rgb), 32):
        truth = photos.rgb[start : start + 32]
        lab = data.to_lab(truth)
        small = torch.nn.functional.interpolate(lab[:, :1], size=(side, side), mode="bicubic").clamp(0, 100)
        with torch.inference_mode():
            ab, uncertainty = model(small)
        ab = torch.nn.functional.interpolate(ab, size=lab.shape[-2:], mode="bicubic")
        constant = torch.tensor([1.5, 8.0]).view(1, 2, 1, 1).expand_as(ab)
        for name, guess in {"model": ab, "gray": torch.zeros_like(ab), "constant": constant}.items():
            rgb = color.lab_to_srgb(torch.cat([lab[:, :1], guess], 1), axis=1)
            pictures = (rgb * 255).round().byte().permute(0, 2, 3, 1).numpy()
            for made, true in zip(pictures, truth, strict=True):
                rows.append((name, metrics.psnr(made, true), metrics.colorfulness(made)))
        rows += [("truth", math.nan, metrics.colorfulness(t)) for t in truth]
        rows += [("uncertainty", math.nan, float(u)) for u in uncertainty.mean((1, 2, 3))]
    out: dict[str, float] = {}
    for name in ("model", "gray", "constant"):
        out[f"psnr_{name}"] = float(np.mean([r[1] for r in rows if r[0] == name]))
    for name in ("model", "truth", "uncertainty"):
        out[name if name == "uncertainty" else f"colorfulness_{name}"] = float(
            np.mean([r[2] for r in rows if r[0] == name])
        )
    return out


def train(
    photos: data.Photos,
    out: Path,
    architecture: str = "autochrome",
    config: dict | None = None,
    steps: int = 7000,
    batch_size: int = 32,
    rate: float = 1.5e-3,
    seed: int = 0,
) -> None:
    """Train and leave ``last.pt`` (everything needed to go on) and ``log.jsonl`` in ``out``.

    Called again with the same folder, it goes on where the checkpoint stands.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    training, validation = photos.split(0.03)
    config = config or {}
    model = build(architecture, config)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(model).eval()
    sample = data.to_lab(training.rgb[:: max(1, len(training.rgb) // 2000), ::4, ::4])[:, 1:]
    bins: torch.Tensor = model.get_buffer("bins")
    loss = losses.RebalancedColor(bins, losses.prior(sample.permute(0, 2, 3, 1).reshape(-1, 2), bins))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.99))
    heads: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] = getattr(model, "heads")  # noqa: B009
    rng = np.random.default_rng(seed)
    step, spent, running = 0, 0.0, 0.0
    checkpoint = out / "last.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["seconds"]
        rng = np.random.default_rng([seed, step])

    def save(scores: dict[str, float]) -> None:
        state = {
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "seconds": spent,
            "architecture": architecture,
            "config": config,
            "photos": photos.digest,
            "seen": len(training.rgb),
            "metrics": scores,
        }
        torch.save(state, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps({"step": step, "minutes": round(spent / 60, 2), "loss": running} | scores) + "\n")

    while step < steps:
        began = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 300) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        model.train()
        lightness, ab = data.batch(training, batch_size, int(rng.choice(SIDES)), rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, regressed = heads(lightness.contiguous(memory_format=torch.channels_last))
        value = loss(logits, regressed, ab)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        ema_update(average, model, min(0.999, step / (step + 10)))
        running = value.item() if not running else 0.98 * running + 0.02 * value.item()
        spent += time.monotonic() - began
        if step % SAVE_STEPS == 0 or step == steps:
            save(evaluate(average, validation))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", help="folder of Parquet shards")
    parser.add_argument("out", type=Path, help="folder for checkpoints and the log")
    parser.add_argument("--steps", type=int, default=7000, help="batches of 32 photographs (default 7000)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(data.load_photos(args.photos), args.out, steps=args.steps)


if __name__ == "__main__":
    main()

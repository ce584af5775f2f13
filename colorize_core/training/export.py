"""A training checkpoint becomes a weights file: ``python -m colorize_core.training.export CHECKPOINT OUT``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def export(checkpoint: Path, out: Path, side: int, overrides: dict) -> None:
    """Write the averaged weights in float16, with what a reader must know in the metadata.

    ``side`` is the nominal input side in pixels; ``overrides`` are settings of the architecture that change no weight.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in state["average"].items()
    }
    metadata = {
        "name": out.stem,
        "architecture": state["architecture"],
        "config": json.dumps(state["config"] | overrides),
        "side": str(side),
        "training_data_sha256": state["photos"],
        "training_photos": str(state["seen"]),
        "training_steps": str(state["step"]),
        "metrics": json.dumps(state["metrics"]),
        "license": "Apache-2.0; see the model card for the licenses of the training photographs",
    }
    save_file(tensors, out, metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="a .safetensors file; its stem is the model's name")
    parser.add_argument("--side", type=int, default=256, help="nominal input side in pixels (default 256)")
    parser.add_argument("--config", type=json.loads, default={}, help="JSON of settings to override, such as the gain")
    args = parser.parse_args()
    export(args.checkpoint, args.out, args.side, args.config)


if __name__ == "__main__":
    main()

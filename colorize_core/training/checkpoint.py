"""Where a training stands, stored so that any later process can go on from there."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from colorize_core.storage import Store

CHECKPOINT, TRAINING = "checkpoint.pt", "training.json"


class TrainingError(Exception):
    """The training cannot start or go on; the message says why and what to do."""


@dataclass
class Position:
    """How far a training has come.

    ``seen`` (n,) int64 are the ids of the photographs that this epoch has shown already; whoever goes on leaves them
    out, in whatever order and on however many workers the rest then comes. Every random draw of a step is a function
    of the seed, the epoch and the photographs of its batch, so that no generator's state needs keeping.
    """

    step: int = 0
    epoch: int = 0
    seen: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    photographs: int = 0
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)


@dataclass
class Checkpoint:
    """A position, and the state of network, averaged network and optimizer there."""

    position: Position
    network: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]


def write_checkpoint(store: Store, checkpoint: Checkpoint) -> None:
    """Store it over the earlier one, all of it or nothing."""
    position = {**vars(checkpoint.position), "seen": torch.from_numpy(checkpoint.position.seen)}
    sink = io.BytesIO()
    torch.save({**vars(checkpoint), "position": position}, sink)
    store.put(CHECKPOINT, sink.getvalue())


def read_checkpoint(store: Store) -> Checkpoint | None:
    """The stored checkpoint, if there is one. Raises TrainingError when it cannot be read."""
    if not store.exists(CHECKPOINT):
        return None
    try:
        state = torch.load(io.BytesIO(store.read(CHECKPOINT)), map_location="cpu", weights_only=True)
        position = state.pop("position")
        position = Position(**{**position, "seen": position["seen"].numpy()})
        return Checkpoint(position, **state)
    except Exception as error:
        raise TrainingError(
            f"{store.uri(CHECKPOINT)} cannot be read ({error}); delete it to train from the start"
        ) from error


def claim(store: Store, training: dict[str, Any]) -> None:
    """Note in ``store`` which training it holds. Raises TrainingError when it holds another one's."""
    if not store.exists(TRAINING):
        store.put(TRAINING, json.dumps(training, indent=2).encode(), "application/json")
        return
    earlier = json.loads(store.read(TRAINING))
    now = json.loads(json.dumps(training))
    if differing := [key for key in now if now[key] != earlier.get(key)]:
        what = "; ".join(f"{key} was {brief(earlier.get(key), now[key])}" for key in differing)
        raise TrainingError(
            f"{store.root} holds another training: {what}. Choose another OUTPUT (--init can start from the weights "
            "that lie here), or ask for the same again to continue it"
        )


def brief(earlier: Any, now: Any) -> str:
    """What changed, without what did not."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        keys = [key for key in {**earlier, **now} if earlier.get(key) != now.get(key)]
        return ", ".join(f"{key} {earlier.get(key)!r}, now {now.get(key)!r}" for key in keys)
    return f"{earlier!r}, now {now!r}"

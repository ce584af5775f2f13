"""What a curator watches while a network trains.

On the terminal a line at most every ten seconds and one for each validation; in the store:

loss.png        loss, PSNR and colorfulness over the steps
samples.jpg     a few photographs: gray, as they were colored along the way, and as they are
samples/        the rows of that sheet, one JPEG for each validation
history.json    the figures behind the curves
tensorboard/    the same for TensorBoard

loss.png needs matplotlib and tensorboard/ needs tensorboard; without them the rest is there all the same.
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

import numpy as np

from colorize_core.storage import StorageError, Store
from colorize_core.text import duration
from colorize_core.training.curves import draw_curves
from colorize_core.training.events import Events
from colorize_core.training.samples import Predict, Samples

CURVES, HISTORY = "loss.png", "history.json"
REFRESH_SECONDS = 10.0  # between two lines on the terminal
POINTS = 500  # of the loss curve over a whole training
SMOOTHING = 0.98  # share of the old in a smoothed loss


class Journal:
    """A training as it goes.

    store:       where the files go. One that does not take them is warned of and does not stop the training.
    samples:     photographs (N, S, S, 3) uint8 sRGB for the contact sheet.
    total_steps: that the training is to take.
    history:     as an earlier journal of this training had it at the checkpoint that the training goes on from; its
                 curves and samples are continued. Without it they start anew.
    """

    def __init__(self, store: Store, samples: np.ndarray, total_steps: int, history: list[dict] | None = None):
        self.store, self.total_steps = store, total_steps
        self.history = list(history or [])
        self.samples = Samples(store, samples) if len(samples) else None
        told = [entry for entry in self.history if "loss" in entry]
        self.loss: float | None = next((e["loss"] for e in reversed(told) if e["loss"] is not None), None)
        self.broken = 0
        self._began: tuple[float, int] | None = None  # when, and before which step
        self._last = told[-1] if told else {"photographs": 0, "seconds": 0.0}
        self._told = -math.inf
        self._pictured = False  # the pictures that stay the same, in the events of this process
        self._curves = _installed("matplotlib")
        first = max((entry["step"] for entry in self.history), default=0) + 1
        self.events = Events(store, first) if _installed("tensorboard") else None
        missing = [name for name, there in (("matplotlib", self._curves), ("tensorboard", self.events)) if not there]
        if missing:
            print(f"not installed: {' and '.join(missing)}; training goes on without what they would show", flush=True)

    def step(self, entry: dict[str, Any]) -> None:
        """After every step: ``step``, counted from 1, ``loss``, ``rate`` (the learning rate), and the ``photographs``
        and ``seconds`` that went into the training so far.

        A loss that is no number is counted and left out of the smoothed one.
        """
        step, now = entry["step"], time.monotonic()
        if self._began is None:
            self._began = now, step - 1
        self._smooth(step, float(entry["loss"]))
        if self.events:
            self.events.scalars(step, "training", {"loss": float(entry["loss"]), "learning rate": entry["rate"]})
        if step % math.ceil(self.total_steps / POINTS) == 0 or step == self.total_steps:
            self.history.append(_plain(entry | {"loss": self.loss}))
        if now - self._told >= REFRESH_SECONDS or step == self.total_steps:
            self._tell(entry, now)

    def validated(self, entry: dict[str, Any], predict: Predict) -> None:
        """After every validation: ``step``, ``psnr`` and ``constant_psnr`` in dB, ``colorfulness_ratio``, ``delta_e``,
        ``seconds`` of training so far, and whatever else is worth keeping.

        ``predict`` takes L (N, 1, S, S) float32 in 0..100 on the CPU and gives ab (N, 2, S, S) in Lab units.
        """
        entry = _plain(entry)
        self.history.append(entry)
        print(
            f"validation at step {entry['step']:,}: PSNR {_figure(entry['psnr'])} dB "
            f"(one constant color {_figure(entry['constant_psnr'])})  "
            f"colorfulness {_figure(entry['colorfulness_ratio'])} of the photographs'  "
            f"delta E {_figure(entry['delta_e'])}  after {duration(entry['seconds'])}",
            flush=True,
        )
        row = self.samples.add(entry["step"], predict) if self.samples else None
        if self.events:
            self.events.scalars(entry["step"], "validation", {k: v for k, v in entry.items() if k != "seconds"})
            if self.samples and row is not None:
                self.events.picture(entry["step"], "samples/coloring", row)
                if not self._pictured:
                    self.events.picture(entry["step"], "samples/gray", self.samples.gray)
                    self.events.picture(entry["step"], "samples/original", self.samples.original)
                    self._pictured = True
        self._save()

    def close(self) -> None:
        """Store the files a last time."""
        self._save()
        if self.events:
            self.events.close()

    def _smooth(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            self.broken += 1
        elif self.loss is None:
            self.loss = loss
        else:
            old = min(SMOOTHING, 1 - 1 / max(step, 1))  # the plain mean, to begin with
            self.loss = old * self.loss + (1 - old) * loss

    def _tell(self, entry: dict[str, Any], now: float) -> None:
        assert self._began is not None
        step, (began, before) = entry["step"], self._began
        count, seconds = (entry[name] - self._last[name] for name in ("photographs", "seconds"))
        self._told, self._last = now, entry
        left = (now - began) / (step - before) * (self.total_steps - step)
        print(
            f"{step:,}/{self.total_steps:,} steps ({step / self.total_steps:.0%})  loss {_figure(self.loss, 4)}"
            + (f" ({self.broken:,} were no number)" if self.broken else "")
            + f"  {count / max(seconds, 1e-9):,.1f} photographs/s"
            + (f"  about {duration(left)} left" if now > began else ""),
            flush=True,
        )

    def _save(self) -> None:
        try:
            self.store.put(HISTORY, json.dumps(self.history, indent=1).encode(), "application/json")
            validated = [entry["step"] for entry in self.history if "psnr" in entry]
            if self.samples and validated:
                self.samples.save(validated)
            if self._curves:
                self.store.put(CURVES, draw_curves(self.history, self.total_steps), "image/png")
            if self.events:
                self.events.save()
        except StorageError as error:
            print(f"warning: the journal was not stored: {error}", file=sys.stderr, flush=True)


def _installed(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it: numbers of NumPy and torch are plain ones, and what is no number is None."""
    return json.loads(json.dumps(entry, default=float), parse_constant=lambda _: None)


def _figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

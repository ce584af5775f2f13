"""What TensorBoard shows of a training."""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from colorize_core.storage import Store

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


class Events:
    """A file of events, written on this machine and copied to ``tensorboard/`` in the store.

    Every process writes a file of its own; TensorBoard reads those of a folder as one. Events of earlier files from
    step ``first`` on are forgotten: they belong to steps that are taken again. Needs the packages torch and
    tensorboard: raises ImportError without them.
    """

    def __init__(self, store: Store, first: int):
        from torch.utils.tensorboard import SummaryWriter

        self.store = store
        self._folder = tempfile.mkdtemp(prefix="tensorboard-")
        self._writer = SummaryWriter(self._folder, purge_step=first)
        self._end = weakref.finalize(self, _end, self._writer, self._folder)

    def scalars(self, step: int, group: str, values: Mapping[str, object]) -> None:
        """Every number among the values, the step itself left out, as ``group/name``."""
        for name, value in values.items():
            if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{group}/{name}", value if math.isfinite(value) else math.nan, step)

    def picture(self, step: int, name: str, rgb: np.ndarray) -> None:
        """uint8 (H, W, 3)."""
        self._writer.add_image(name, rgb, step, dataformats="HWC")

    def save(self) -> None:
        """Copy what there is. Raises StorageError."""
        self._writer.flush()
        for path in sorted(Path(self._folder).iterdir()):
            self.store.put(f"{FOLDER}/{path.name}", path)

    def close(self) -> None:
        """Nothing is copied here: save first."""
        self._end()


def _end(writer: SummaryWriter, folder: str) -> None:
    writer.close()
    shutil.rmtree(folder, ignore_errors=True)

"""A PyTorch DataLoader: ``python -m benchmark.dataloader IN OUT``.

One worker process for every core reads and converts; the main process predicts, recombines and saves, with one thread:
the workers keep the cores busy.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from benchmark import arithmetic, worklog


class Scans(Dataset):
    """Lightness and model input of each scan of a folder, or the reason why there is none."""

    def __init__(self, folder: str, side: int):
        self.paths, self.side = arithmetic.scans(folder), side

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Path, float, torch.Tensor | None, torch.Tensor | None, str]:
        path, began = self.paths[index], time.time()
        try:
            rgb = arithmetic.read(path)
            return path, began, torch.from_numpy(arithmetic.lightness(rgb)), arithmetic.shrink(rgb, self.side), ""
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            return path, began, None, None, str(error) or type(error).__name__


def main() -> None:
    source, output = arithmetic.in_and_out()
    output.mkdir(parents=True, exist_ok=True)
    network, side = arithmetic.load_network(1)
    log = []
    for path, began, lightness, small, problem in DataLoader(
        Scans(source, side), batch_size=None, num_workers=arithmetic.CORES
    ):
        key = path.relative_to(source).as_posix()
        entry = worklog.Entry(key, began)
        try:
            if problem:
                raise ValueError(problem)
            ab = arithmetic.predict(network, small)
            arithmetic.save(arithmetic.recombine(lightness.numpy(), ab), output / f"{key}.jpg")
            log.append(entry.end())
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            log.append(entry.end(error))
    worklog.write(output, log)


if __name__ == "__main__":
    main()

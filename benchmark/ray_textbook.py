"""Ray Data as its guides show it: ``python -m benchmark.ray_textbook IN OUT``.

``read_images`` in RGB, then a class that predicts, recombines and saves in a pool of actors, then a count. Ray has as
many CPUs as the machine has cores; an actor's model has one thread. A photo counts as taken up when its batch reaches
an actor: what was read before that costs nothing here. Pillow's RGB of a 16-bit picture is white.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmark import worklog
from jobs.workers import start_cluster

CORES = len(os.sched_getaffinity(0))
BATCH = 8


class Colorize:
    """Batches of pictures in, saved pictures and a log of them out."""

    def __init__(self, source: str, output: Path):
        from benchmark import arithmetic

        self.source, self.output, self.arithmetic = source, output, arithmetic
        self.network, self.side = arithmetic.load_network(1)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        log = []
        for path, rgb in zip(batch["path"], batch["image"], strict=True):
            key = Path(path).relative_to(self.source).as_posix()
            entry = worklog.Entry(key, time.time())
            try:
                rgb = self.arithmetic.img_as_float32(rgb)
                ab = self.arithmetic.predict(self.network, self.arithmetic.shrink(rgb, self.side))
                color = self.arithmetic.recombine(self.arithmetic.lightness(rgb), ab)
                self.arithmetic.save(color, self.output / f"{key}.jpg")
                log.append(entry.end())
            except (OSError, ValueError, RuntimeError, MemoryError) as error:
                log.append(entry.end(error))
        return {
            "key": [entry.key for entry in log],
            "began": [entry.began for entry in log],
            "ended": [entry.ended for entry in log],
            "error": [entry.error or "" for entry in log],
        }


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m benchmark.ray_textbook IN OUT")
    source, output = os.path.abspath(sys.argv[1]), Path(sys.argv[2]).absolute()
    output.mkdir(parents=True, exist_ok=True)
    start_cluster(max(2, CORES), 0, object_store=int(0.3 * psutil.virtual_memory().available))  # Ray's own share
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.read_images(source, include_paths=True, mode="RGB").map_batches(
        Colorize,
        fn_constructor_args=(source, output),
        batch_size=BATCH,
        compute=ActorPoolStrategy(min_size=1, max_size=CORES),
    )
    rows = dataset.take_all()
    worklog.write(output, [worklog.Entry(r["key"], r["began"], r["ended"], r["error"] or None) for r in rows])
    ray.shutdown()


if __name__ == "__main__":
    main()

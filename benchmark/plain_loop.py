"""A plain loop: ``python -m benchmark.plain_loop IN OUT``.

One process, one photo after the other; the model has a thread for every core, where that is faster than one.
"""

from __future__ import annotations

import time

from benchmark import arithmetic, worklog


def main() -> None:
    source, output = arithmetic.in_and_out()
    output.mkdir(parents=True, exist_ok=True)
    network, side = arithmetic.load_network(1, arithmetic.CORES)
    log = []
    for path in arithmetic.scans(source):
        key = path.relative_to(source).as_posix()
        entry = worklog.Entry(key, time.time())
        try:
            rgb = arithmetic.read(path)
            ab = arithmetic.predict(network, arithmetic.shrink(rgb, side))
            arithmetic.save(arithmetic.recombine(arithmetic.lightness(rgb), ab), output / f"{key}.jpg")
            log.append(entry.end())
        except (OSError, ValueError, RuntimeError, MemoryError) as error:
            log.append(entry.end(error))
    worklog.write(output, log)


if __name__ == "__main__":
    main()

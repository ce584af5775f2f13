"""From a gray photo and the model's ab to a written color JPEG, on one core: ``python -m benchmark.finish PHOTO``.

Prints JSON: CPU milliseconds of ``Darkroom.finish``, and of the same with the decoding before it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from colorize_core.colorizer import Colorizer
from colorize_core.darkroom import Darkroom
from colorize_core.derivative import Encoding
from colorize_core.ensemble import Ensemble
from colorize_core.photo import Limits
from colorize_core.provenance import Label
from colorize_core.weights import DEFAULT

REPEATS = 7


def main() -> None:
    path = Path(sys.argv[1])
    room, colorizer = Darkroom(Limits()), Colorizer(Ensemble.find(DEFAULT))
    finish, whole = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(REPEATS):
            room.close()
            began = time.process_time()
            negative = room.prepare(path, 0, colorizer.views)
            decoded = time.process_time()
            ab = colorizer.predict([negative.lightness])[0].ab
            predicted = time.process_time()
            room.finish(path, 0, ab, None, False, Encoding(), Label(), path.name, "0" * 64, Path(folder, "print"))
            ended = time.process_time()
            finish.append(1000 * (ended - predicted))
            whole.append(1000 * (ended - predicted + decoded - began))
    megapixels = negative.width * negative.height / 1e6
    print(json.dumps({"megapixels": megapixels, "finish_ms": finish, "finish_and_decode_ms": whole}))


if __name__ == "__main__":
    main()

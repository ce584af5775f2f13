"""The stages of a photo on one core, in one process, without Ray and without the sandbox: the floor of a job.

``python -m benchmark.stages IN OUT`` works through a folder with the very functions of the job, one thread, and writes
OUT/stages.json: for every photo the CPU and wall seconds of each stage.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmark.photos import FORMS
from benchmark.stopwatch import Stopwatch
from colorize_core import darkroom, photo
from colorize_core.color import Tone
from colorize_core.colorizer import Colorizer
from colorize_core.compose import Composition
from colorize_core.derivative import Encoding
from colorize_core.ensemble import Ensemble
from colorize_core.photo import Header, Limits, Rejected
from colorize_core.provenance import Label
from colorize_core.stages import output_key
from colorize_core.storage import Entry, Store
from colorize_core.weights import DEFAULT

STAGES = {  # each with what is in it
    "fetch": "copy the scan from storage, with its checksum",
    "header": "read and check the header",
    "decode": "decode at full size, as lightness",
    "prepare": "tell the tone, make the model's input",
    "predict": "the model",
    "compose": "full-size color from lightness and ab",
    "encode": "JPEG with its label and metadata, with its checksum",
    "put": "store the derivative",
}


class Bench:
    """The job's stages, timed, with the job's default settings."""

    def __init__(self, source: Store, output: Store):
        self.source, self.output = source, output
        model = Ensemble.find(DEFAULT)
        self.colorizer = Colorizer(model)  # on one thread
        self.label = Label(version=f"{model.name} sha256:{model.digest}")
        self.room = darkroom.Darkroom(Limits())

    def time(self, entry: Entry, folder: Path) -> dict[str, Any] | None:
        """Take a scan all the way; None for one that the job would not colorize."""
        watch, path, target = Stopwatch(), folder / "scan", folder / "print"
        self.room.close()
        try:
            with timed_parts(watch):
                with watch.timing("fetch"):
                    sha256 = self.source.fetch(entry, path)
                with watch.timing("header"):
                    header = self.room.inspect(path)
                with watch.timing("prepare"):
                    negative = self.room.prepare(path, 0, self.colorizer.views)
                if negative.tone is Tone.COLOR:
                    return None
                with watch.timing("predict"):
                    ab = self.colorizer.predict([negative.lightness])[0].ab
                with watch.timing("encode"):
                    made = self.room.finish(path, 0, ab, None, False, Encoding(), self.label, entry.key, sha256, target)
                with watch.timing("put"):
                    self.output.put(output_key(entry.key, 0, made.format), target, "image/jpeg")
        except Rejected:
            return None
        megapixels = negative.width * negative.height / 1e6
        return {
            "key": entry.key,
            "kind": kind(entry.key, header),
            "megapixels": megapixels,
            "cpu": dict(watch.cpu),
            "wall": dict(watch.wall),
        }


@contextmanager
def timed_parts(watch: Stopwatch) -> Iterator[None]:
    """Charge what the darkroom does inside its own steps to the stages it belongs to."""

    def wrapped(name: str, function: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with watch.timing(name):
                return function(*args, **kwargs)

        return timed

    class TimedComposition(Composition):
        def __init__(self, *args: Any):
            with watch.timing("compose"):
                super().__init__(*args)

        def __iter__(self) -> Iterator[np.ndarray]:
            strips = super().__iter__()
            while True:
                with watch.timing("compose"):
                    strip = next(strips, None)
                if strip is None:
                    return
                yield strip

    with ExitStack() as parts:
        parts.enter_context(patch.object(photo, "read_header", wrapped("header", photo.read_header)))
        parts.enter_context(patch.object(darkroom, "open_photo", wrapped("decode", darkroom.open_photo)))
        parts.enter_context(patch.object(darkroom, "Composition", TimedComposition))
        yield


def kind(key: str, header: Header) -> str:
    """What photos are summed up by: size and form of those made here, else format and depth."""
    form = re.sub(r"-\d+$", "", Path(key).stem)
    if form in FORMS:
        return f"{Path(key).parent.name.lstrip('0')} {form}"
    return f"{header.format} {header.mode} {header.bits} bit"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmark.stages", description=__doc__)
    parser.add_argument("source", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    args = parser.parse_args(arguments)
    output = Store(args.output)
    bench = Bench(Store(args.source), output)
    entries = sorted(bench.source.list(), key=lambda entry: entry.key)
    with tempfile.TemporaryDirectory() as folder:
        next((found for entry in entries if (found := bench.time(entry, Path(folder)))), None)  # warm up
        rows = [bench.time(entry, Path(folder)) for entry in entries]
    output.put("stages.json", json.dumps([row for row in rows if row]).encode())


if __name__ == "__main__":
    main()

"""The steps of a photo through a job: fetch, prepare, predict, finish, put.

Each is a plain callable over one photo in flight. On a single machine one worker takes all of them and decodes once;
on a cluster CPU workers and accelerators share them, and between them only a small lightness and a small ab travel.
Only prepare, predict and finish want the bench to themselves: other photos are fetched and put meanwhile.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from colorize_core import derivative, premis
from colorize_core.color import Tone
from colorize_core.derivative import Print
from colorize_core.ensemble import Ensemble
from colorize_core.header import Header, Limits, Rejected
from colorize_core.hints import Hints
from colorize_core.keys import readable, safe_key
from colorize_core.negative import Negative
from colorize_core.recipe import Recipe
from colorize_core.records import Record, Status
from colorize_core.sandbox import OutOfMemory, SandboxError
from colorize_core.storage import Entry, SourceChanged, Store
from colorize_core.weights import ModelError
from colorize_core.workbench import Workbench

PHOTOS, UNCERTAINTY = "photos", "uncertainty"
BYTES_PER_PIXEL = 6  # what a photo may cost at most; asking for more is the file's fault, or its depth's
OVERHEAD = 600 << 20
CONTENT_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "tiff": "image/tiff"}


@dataclass(frozen=True)
class Task:
    """What a job does to every photo, and within what bounds."""

    source: Store
    output: Store
    run: str
    recipe: Recipe
    limits: Limits
    seconds: float  # for one step on one photo, half a second per megapixel on top
    memory: int  # bytes that one photo may take; 0: a worker's share of its own machine
    charts: bool = False  # also store maps of where the model was unsure


@dataclass
class InFlight:
    """A photo between steps: its record so far and, unless it has reached its final state, what the next step needs."""

    record: Record
    hints: Hints | None = None  # for all pages until the photo is prepared, then for its own
    lightness: tuple[np.ndarray, ...] | None = None
    ab: np.ndarray | None = None
    uncertainty: np.ndarray | None = None  # (h, w), where the task asks for charts
    path: Path | None = field(default=None, repr=False)  # the local copy, when the next step runs in the same worker
    made: Print | None = field(default=None, repr=False)
    chart: bytes | None = field(default=None, repr=False)
    target: Path | None = field(default=None, repr=False)  # where what was made waits for being stored


def output_key(key: str, page: int, format: str) -> str:
    """Where the derivative of a page lies under the output root.

    Different photos get different names: the source's own extension stays, and a page is named when it is not the
    first, or when the name without it would read like one that names a page.
    """
    name = safe_key(key)
    stem, dot, last = name.rpartition(".page-")
    if page or (dot and stem and last.isdecimal()):
        name = f"{name}.page-{page + 1}"
    return f"{PHOTOS}/{name}.{derivative.extension(format)}"


def start(task: Task, entry: Entry, page: int, attempt: int, hints: str | None = None) -> Record:
    """The record of a photo whose work begins, with the text of its hints."""
    return Record(
        key=readable(entry.key),
        page=page,
        source_uri=readable(task.source.uri(entry.key)),
        source_size=entry.size,
        source_etag=entry.etag,
        recipe=task.recipe.digest_with(hints),
        status=Status.FAILED,
        run=task.run,
        model=task.recipe.model,
        model_digest=task.recipe.model_digest,
        attempt=attempt,
        host=socket.gethostname(),
    )


def settle(record: Record, status: Status, error: Exception | None = None) -> Record:
    """The record of a photo that has reached its final state."""
    record.status = status
    record.finished_at = datetime.now(UTC)
    if error is not None:
        record.error_class = getattr(error, "error_class", None) or type(error).__name__
        record.error_message = str(error)
    record.premis = premis.event(record)
    return record


def verdict(task: Task, record: Record, error: Exception) -> Record:
    """Whose fault it is: a bad photo is rejected for good, anything else failed and is retried by the next run."""
    if isinstance(error, OutOfMemory):
        pixels = (record.width or 0) * (record.height or 0)
        if pixels * BYTES_PER_PIXEL + OVERHEAD > task.memory:
            message = f"{error}; run with fewer --workers, or with more --memory"
            return settle(record, Status.FAILED, OutOfMemory(message))
        return settle(record, Status.REJECTED, error)
    if isinstance(error, Rejected | SandboxError):
        return settle(record, Status.REJECTED, error)
    return settle(record, Status.FAILED, error)


def milliseconds(since: float) -> float:
    return round((time.perf_counter() - since) * 1000, 3)


class Fetch:
    """A scan becomes its pages, each with the local copy and the facts of its header."""

    def __init__(self, task: Task, bench: Workbench):
        self.task, self.bench = task, bench

    def __call__(self, entry: Entry, attempt: int, hints: str | None = None) -> Iterator[InFlight]:
        """Yield every page of the scan; one that can go no further carries a settled record and no path.

        ``hints`` are the text of a hints file; what is wrong with it is its scan's fault. The local copy is there until
        the next page is asked for.
        """
        first = start(self.task, entry, 0, attempt, hints)
        if first.key != entry.key:
            problem = Rejected("bad_name", "the file's name is not valid UTF-8; rename it")
            yield InFlight(settle(first, Status.REJECTED, problem))
            return
        path = self.bench.new_path()
        with self.bench.room(entry.size):
            began = time.perf_counter()
            try:
                first.source_sha256 = self.bench.copy(entry, path)
                first.ms_fetch = milliseconds(began)
                with self.bench.turn:
                    began = time.perf_counter()
                    header: Header = self.bench.call("inspect", path)
                    first.ms_prepare = milliseconds(began)
                given = (
                    None if hints is None else Hints.parse(hints.encode())
                )  # else the one row is all there is to say
                describe(first, header)
                for page in range(header.pages):
                    yield InFlight(replace(first, page=page), given, path=path)
                    first.ms_fetch = first.ms_prepare = 0.0  # the first page has paid
            except Exception as error:
                yield InFlight(verdict(self.task, first, error))
            finally:
                path.unlink(missing_ok=True)


class Prepare:
    """A page becomes what the models want to see."""

    def __init__(self, task: Task, bench: Workbench):
        self.task, self.bench = task, bench

    def __call__(self, photo: InFlight) -> InFlight:
        """Fill in the lightness, unless the photo is settled or is now."""
        record = photo.record
        if photo.path is None:
            return photo
        pixels = (record.width or 0) * (record.height or 0)
        with self.bench.turn:
            began = time.perf_counter()
            try:
                negative: Negative = self.bench.call(
                    "prepare", photo.path, record.page, self.task.recipe.views, pixels=pixels
                )
                if photo.hints:
                    photo.hints.check(negative.header, record.page)
                    photo.hints = photo.hints.on_page(record.page)
            except Exception as error:
                return InFlight(verdict(self.task, record, error))
        describe(record, negative.header)
        record.width, record.height, record.tone = negative.width, negative.height, str(negative.tone)
        record.ms_prepare = round((record.ms_prepare or 0) + milliseconds(began), 3)
        if negative.tone is Tone.COLOR and not self.task.recipe.recolor:
            return InFlight(settle(record, Status.SKIPPED_COLOR))
        photo.lightness = negative.lightness
        record.hints = photo.hints.digest if photo.hints else None
        return photo


def describe(record: Record, header: Header) -> None:
    """Write a header's facts into a record."""
    record.source_format, record.source_mode, record.source_bits = header.format, header.mode, header.bits
    record.source_icc, record.source_pages = header.icc_name, header.pages
    record.source_dpi = header.dpi[0] if header.dpi else None
    record.width, record.height = header.size


class Predict:
    """Model inputs become ab."""

    def __init__(self, model: str, task: Task, device: str):
        """Load what ``weights.find_all`` finds. Raises ModelError when the weights here are not those of the recipe."""
        from colorize_core.colorizer import Colorizer  # and torch, which the other two steps never load

        ensemble = Ensemble.find(model, task.recipe.test_time)
        if (ensemble.digest, ensemble.inputs) != (task.recipe.model_digest, task.recipe.inputs):
            paths = ", ".join(str(model.path) for model in ensemble.models)
            raise ModelError(f"{paths} on {socket.gethostname()} differs from the job's; copy the same file there")
        self.colorizer, self.charts = Colorizer(ensemble, device, task.recipe.precision), task.charts

    def __call__(self, photos: Sequence[InFlight]) -> Sequence[InFlight]:
        """Fill in ``ab`` and the uncertainty of those photos that have a lightness."""
        waiting = [photo for photo in photos if photo.lightness is not None]
        began = time.perf_counter()
        predictions = self.colorizer.predict(
            [photo.lightness for photo in waiting if photo.lightness is not None], [photo.hints for photo in waiting]
        )
        share = milliseconds(began) / max(1, len(waiting))
        for photo, prediction in zip(waiting, predictions, strict=True):
            photo.ab, photo.lightness = prediction.ab, None
            if prediction.uncertainty is not None:
                photo.record.uncertainty = round(float(prediction.uncertainty.mean()), 6)
                photo.uncertainty = prediction.uncertainty if self.charts else None
            photo.record.ms_predict = round(share, 3)
        return photos


class Finish:
    """ab becomes a derivative on the bench."""

    def __init__(self, task: Task, bench: Workbench):
        self.task, self.bench = task, bench

    def __call__(self, photo: InFlight) -> InFlight:
        """Compose and encode, unless the photo is settled or is now."""
        record = photo.record
        if photo.ab is None:
            return photo
        path, target = photo.path or self.bench.new_path(), self.bench.new_path()
        with self.bench.room(record.source_size):
            try:
                if photo.path is None:
                    self._copy_again(record, path)
                with self.bench.turn:
                    began = time.perf_counter()
                    photo.made = self._print(photo, path, target)
                    if photo.uncertainty is not None:
                        photo.chart = self.bench.call("chart", photo.uncertainty, record.width, record.height)
                    record.ms_finish = milliseconds(began)
            except Exception as error:
                target.unlink(missing_ok=True)
                return InFlight(verdict(self.task, record, error))
            finally:
                if photo.path is None:
                    path.unlink(missing_ok=True)
        photo.target = target
        return photo

    def _print(self, photo: InFlight, path: Path, target: Path) -> Print:
        record, recipe = photo.record, self.task.recipe
        pixels = (record.width or 0) * (record.height or 0)
        how = photo.ab, photo.hints, recipe.spread, recipe.encoding, recipe.label
        return self.bench.call(
            "finish", path, record.page, *how, record.key, record.source_sha256, target, pixels=pixels
        )

    def _copy_again(self, record: Record, path: Path) -> None:
        """The scan that was prepared elsewhere; the store refuses another version of it."""
        sha256 = self.bench.copy(Entry(record.key, record.source_size, record.source_etag), path)
        if sha256 != record.source_sha256:
            raise SourceChanged(f"{record.source_uri} changed while it was being colorized; run the job again")


class Put:
    """A derivative on the bench becomes a stored one."""

    def __init__(self, task: Task):
        self.task = task

    def __call__(self, photo: InFlight) -> Record:
        """Store; the record is settled only after that."""
        record, made, target = photo.record, photo.made, photo.target
        if made is None or target is None:
            return record
        try:
            began = time.perf_counter()
            key = output_key(record.key, record.page, made.format)
            if photo.chart is not None:
                record.uncertainty_key = f"{UNCERTAINTY}/{key.removeprefix(PHOTOS + '/')}.png"
                self.task.output.put(record.uncertainty_key, photo.chart, "image/png")
            self.task.output.put(key, target, CONTENT_TYPES[made.format])
            record.ms_put = milliseconds(began)
        except Exception as error:
            return verdict(self.task, record, error)
        finally:
            target.unlink(missing_ok=True)
        record.output_key, record.output_uri = key, self.task.output.uri(key)
        record.output_size, record.output_sha256 = made.size, made.sha256
        record.colorfulness, record.gamut_mapped = round(made.colorfulness, 4), round(made.gamut_mapped, 6)
        return settle(record, Status.COLORIZED)


class Colorize:
    """All the steps in one worker: each scan is fetched and each page decoded once."""

    def __init__(self, task: Task, model: str, device: str):
        """Raises ModelError, as ``Predict`` does."""
        self.bench = bench = Workbench(task)
        self.predict = Predict(model, task, device)
        self.fetch, self.prepare, self.finish = Fetch(task, bench), Prepare(task, bench), Finish(task, bench)
        self.put = Put(task)

    def __call__(self, entry: Entry, attempt: int, hints: str | None = None) -> Iterator[Record]:
        """Yield the settled record of every page. Several threads may do so at a time, each with a scan of its own."""
        for photo in self.fetch(entry, attempt, hints):
            with self.bench.turn:
                photo = self.finish(self.predict([self.prepare(photo)])[0])
            yield self.put(photo)

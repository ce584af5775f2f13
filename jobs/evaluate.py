"""Measure how good colorizations are: ``python -m jobs.evaluate MODEL... DATASET``.

Every photograph of the dataset's test split is colored from its own lightness by each model and by baselines that any
model has to beat: no color, the training split's mean color, the mean color published for ImageNet, and the colors of
the training photograph whose lightness is nearest. One table is printed; --out keeps it, with every figure of every
photograph and sheets of pictures.

Exit codes: 0 the table is whole, but for measures it says it lacks; 1 the job itself failed; 2 asked for something
impossible, said before any photograph is colored; 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shlex
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import pyarrow.parquet as pq

from colorize_core.curation.dataset import CLUSTERS_JSON
from colorize_core.ensemble import TEST_TIME, Ensemble
from colorize_core.evaluation.baselines import NAMES, baselines, sample_ab
from colorize_core.evaluation.contest import Contest
from colorize_core.evaluation.perception import Inception, Lpips, Unavailable
from colorize_core.evaluation.predictor import model_rows
from colorize_core.evaluation.protocol import FRAMINGS, Protocol
from colorize_core.evaluation.rarity import Rarity
from colorize_core.evaluation.report import Report
from colorize_core.evaluation.row import TRUTH, Row
from colorize_core.evaluation.summary import summarize
from colorize_core.keys import safe_key
from colorize_core.storage import StorageError, Store
from colorize_core.training.data import DatasetError, Photographs, read_photographs
from colorize_core.weights import ModelError
from jobs.arguments import clusters, words
from jobs.interruption import stoppable
from jobs.progress import Progress

SMALLEST = 32  # pixels: side of a picture that is measured
PARTS = ("autochrome-archive", "torch", "numpy", "opencv-python-headless", "simplejpeg", "torchmetrics")


class Impossible(Exception):
    """What was asked for cannot be done; the message says why."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="+", metavar="MODEL", help="what --model of jobs.colorize takes: a "
        "name, a file, ARCHITECTURE=FILE, or several joined by +")  # fmt: skip
    add("dataset", metavar="DATASET", help="what python -m jobs.cluster wrote: a path, s3://...")
    add("--protocol", choices=sorted(FRAMINGS), default="center-crop", help="center-crop: the centered square of each "
        "photograph; direct-resize: the whole of it squeezed into a square (default %(default)s)")  # fmt: skip
    add("--side", type=int, default=256, metavar="PX", help="side of the square in pixels (default %(default)s)")
    add("--test-time", type=words(TEST_TIME), default=(), metavar="WORDS", help="flip, sizes or flip,sizes: also look "
        "at each photograph mirrored, or at three sizes, as jobs.colorize does")  # fmt: skip
    add("--split", choices=("test", "val"), default="test", help="photographs to color (default %(default)s)")
    add("--limit", type=int, metavar="N", help="only the first N photographs by their ids")
    add("--clusters", type=clusters, metavar="K,K", help="only photographs of these clusters, such as 0,3")
    add("--lpips", action="store_true", help="also measure LPIPS; its weights are downloaded once")
    add("--fid", action="store_true", help="also measure FID, on 5,000 photographs or more; its weights are "
        "downloaded once")  # fmt: skip
    add("--out", metavar="DIR", help="folder or bucket for evaluation.json, evaluation.md, photographs.parquet and a "
        "sheet-MODEL.jpg for each model")  # fmt: skip
    args = parser.parse_args(arguments)
    if args.side < SMALLEST:
        parser.error(f"--side starts at {SMALLEST}")
    if args.limit is not None and args.limit < 1:
        parser.error("--limit starts at 1")
    return args


@dataclass(frozen=True)
class Work:
    """What was asked for, found. ``chosen`` are the photographs of ``split`` that are colored."""

    args: argparse.Namespace
    dataset: Store
    out: Store | None
    models: list[Ensemble]
    train: Photographs
    split: Photographs
    chosen: Photographs


def find_work(args: argparse.Namespace) -> Work:
    """Raises Impossible."""
    try:
        found = [Ensemble.find(spec, args.test_time) for spec in args.models]
        models = list({(model.digest, model.inputs): model for model in found}.values())
        dataset, out = Store(args.dataset), Store(args.out) if args.out else None
        dataset.check()
        split = read_photographs(dataset, args.split)
        chosen = choose(split, args.clusters, args.limit)
        train = read_photographs(dataset, "train")
        if out:
            out.check(write=True)
    except (ModelError, DatasetError, StorageError, ValueError) as error:
        raise Impossible(str(error)) from error
    return Work(args, dataset, out, models, train, split, chosen)


def choose(split: Photographs, wanted: list[int] | None, limit: int | None) -> Photographs:
    """The photographs of some clusters, the first of them by id. Raises Impossible when a cluster is not there."""
    there = sorted(set(split.clusters.tolist()))
    if missing := sorted(set(wanted or ()) - set(there)):
        raise Impossible(
            f"the split has no photographs of cluster {', '.join(map(str, missing))}; it has clusters "
            f"{', '.join(map(str, there))}"
        )
    places = [i for i, cluster in enumerate(split.clusters.tolist()) if wanted is None or cluster in wanted][:limit]
    return split.at(places)


def open_contest(work: Work) -> tuple[Contest, list[str]]:
    """Everything loaded, and what a reader must know of it. Raises Impossible."""
    protocol, lacking = Protocol(work.args.protocol, work.args.side), []
    lpips = inception = None
    try:
        models = model_rows(work.models, {TRUTH, *NAMES})
    except (ModelError, ValueError, TypeError) as error:
        raise Impossible(str(error)) from error
    try:
        lpips = Lpips() if work.args.lpips else None
    except Unavailable as error:
        lacking.append(str(error))
    try:
        inception = Inception(len(work.chosen)) if work.args.fid else None
    except Unavailable as error:
        lacking.append(str(error))
    print(f"looking at {len(work.train):,} training photographs for the baselines", file=sys.stderr, flush=True)
    try:
        ab = sample_ab(work.train, protocol)
        rows = [*baselines(work.train, ab, protocol), *models]
        notes = [*lacking, *remarks(work, protocol, rows)]
    except DatasetError as error:
        raise Impossible(str(error)) from error
    return Contest(work.chosen, protocol, rows, Rarity(ab), lpips, inception), notes


def remarks(work: Work, protocol: Protocol, rows: list[Row]) -> list[str]:
    """What the rows are, and what the figures are not."""
    notes = [f"{row.name}: {row.about}" for row in rows]
    chosen = zip(work.chosen.thumbnails, work.chosen.sha256, strict=True)
    if enlarged := sum(protocol.enlarges(thumbnail, sha256) for thumbnail, sha256 in chosen):
        notes.append(
            f"{enlarged:,} of {len(work.chosen):,} photographs are stored with fewer than {protocol.side} pixels a "
            "side and were enlarged: such figures do not compare with those of sharp pictures"
        )
    for row in rows:
        if row.is_model and set(row.details["training_data_sha256"]) != {work.train.digest}:
            notes.append(
                f"the weights of {row.name} do not name the training split of this dataset as what they "
                "learned from: whether they have seen these photographs is not known"
            )
    return notes


def perform(work: Work, contest: Contest, notes: list[str]) -> Report:
    """Color and measure."""
    began = time.monotonic()
    figures, distances = contest.hold(Progress(len(work.chosen), "photographs measured", sys.stderr).add)
    summary = summarize(figures)
    for row in contest.rows:
        line = summary["overall"][row.name]
        line |= asdict(row.cost) if row.cost else {}
        line |= {"fid": distances[row.name]} if row.name in distances else {}
    about = describe(work, contest.protocol) | {"seconds": round(time.monotonic() - began, 1)}
    return Report(contest, figures, summary, heading(work, contest.protocol), notes, about)


def heading(work: Work, protocol: Protocol) -> list[str]:
    args = work.args
    of = "" if len(work.chosen) == len(work.split) else f" of the {len(work.split):,}"
    which = "" if args.clusters is None else f", clusters {', '.join(map(str, args.clusters))}"
    which += "" if args.limit is None else f", no more than the first {args.limit:,} by id"
    return [
        f"{len(work.chosen):,}{of} photographs of the {args.split} split of {work.dataset.root}{which}",
        f"{protocol.name} at {protocol.side} x {protocol.side}, lightness from the same pixels; list of photographs "
        f"sha256 {work.chosen.digest}",
    ]


def describe(work: Work, protocol: Protocol) -> dict:
    """What the figures are figures of, ready for JSON."""
    args, dataset = work.args, work.dataset
    clustering = json.loads(dataset.read(CLUSTERS_JSON)) if dataset.exists(CLUSTERS_JSON) else {}
    splits = {"train": work.train, args.split: work.split}
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "protocol": asdict(protocol),
        "dataset": {"root": dataset.root, "clustering_sha256": clustering.get("digest")}
        | {name: {"photographs": len(split), "sha256": split.digest} for name, split in splits.items()},
        "photographs": {"split": args.split, "clusters": args.clusters, "limit": args.limit}
        | {"count": len(work.chosen), "sha256": work.chosen.digest},
        "versions": {part: _version(part) for part in PARTS},
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
    }


def _version(part: str) -> str | None:
    try:
        return version(part)
    except PackageNotFoundError:
        return None


def keep(report: Report, out: Store) -> None:
    """Store all that --out promises."""
    sink = io.BytesIO()
    pq.write_table(report.figures, sink, compression="zstd")
    out.put("photographs.parquet", sink.getvalue(), "application/vnd.apache.parquet")
    out.put("evaluation.md", report.markdown().encode(), "text/markdown")
    for row in report.contest.rows:
        if row.is_model:
            out.put(safe_key(f"sheet-{row.name.replace('/', '_')}.jpg"), report.sheet(row), "image/jpeg")
    out.put("evaluation.json", report.json(), "application/json")


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    try:
        with stoppable():
            work = find_work(args)
            contest, notes = open_contest(work)
            report = perform(work, contest, notes)
            print(report.plain())
            if work.out:
                keep(report, work.out)
                print(f"\nkept in {work.out.root}: evaluation.json, evaluation.md, photographs.parquet and sheets")
    except Impossible as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "jobs.evaluate", *arguments])
        print(f"\ninterrupted; start again with: {again}", file=sys.stderr)
        return 130
    except Exception as error:
        print(f"the job failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

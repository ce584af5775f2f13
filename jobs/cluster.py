"""Make a training set of color photographs: ``python -m jobs.cluster INPUT OUTPUT``.

INPUT is what the crawler stored, a folder or bucket of color photographs (folders become categories), or a folder with
gray_scale.npy and ab*.npy; it is only ever read. OUTPUT receives dataset/ (Parquet to train on: thumbnails with cluster
and split), dropped/ (every other photograph, with the reason), examined/ (what was found, so that nothing is examined
twice), clusters.json and report/index.html. Run again, the command takes in what is new or changed; photographs stay in
their clusters and splits until --refit.

Exit codes: 0 every photograph is kept or dropped for a reason, and storage failures are within --max-failed; 1 the job
itself failed; 2 asked for something impossible, said before any work; 3 finished, with too many failures;
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version

import pyarrow as pa

from colorize_core.curation.assembly import NEAREST
from colorize_core.curation.clusters import Clusters, fit, read_clusters, write_clusters
from colorize_core.curation.dataset import CLUSTERS_JSON, CLUSTERS_TENSORS, DATASET, DROPPED, FAILED, prune
from colorize_core.curation.examine import Rules
from colorize_core.curation.features import FEATURES
from colorize_core.curation.selection import Selection, examined, select, unexamined
from colorize_core.curation.sources import SourceError, find_source
from colorize_core.curation.survey import Survey
from colorize_core.photo import Limits
from colorize_core.report.dataset import write_dataset_report
from colorize_core.storage import StorageError, Store, inside
from colorize_core.text import duration
from jobs import curation
from jobs.arguments import bound
from jobs.interruption import stoppable
from jobs.progress import Progress
from jobs.runlog import allowed_failures
from jobs.workers import Impossible, at_work, innermost, start_workers

SECONDS = 60  # for the examination of one photograph, half a second per megapixel on top
SAMPLE = 3000  # photographs that clusters are found on
PARTS = ("autochrome-archive", "ray", "numpy", "scikit-learn", "opencv-python-headless", "simplejpeg")


class TooFew(Exception):
    """Fewer photographs are fit than there should be clusters."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("input", metavar="INPUT", help="a crawl, a folder or bucket of photographs, or arrays: a path, s3://...")
    add("output", metavar="OUTPUT", help="folder or bucket for the dataset, outside INPUT")
    add("--clusters", type=int, default=5, metavar="K", help="how many (default %(default)s)")
    add("--feature", choices=sorted(FEATURES), default="color", help="what photographs are compared by: color, their "
        "leading color, or pixels, the first principal component of each channel "
        "(default %(default)s)")  # fmt: skip
    add("--refit", action="store_true", help="find clusters anew, though OUTPUT has some")
    add("--min-side", type=int, default=Rules().min_side, metavar="PX", help="drop photographs whose shorter side is "
        "less (default %(default)s)")  # fmt: skip
    add("--max-failed", type=bound, default="1%", metavar="N|P%", help="photographs that storage may fail to give and "
        "the job still exits with 0 (default 1%%)")  # fmt: skip
    add("--workers", type=int, metavar="N", help="CPU workers (default: every CPU of the cluster)")
    add("--memory", type=float, metavar="GB", help="memory that one photograph may take (default: a worker's share of "
        "80 %% of the machine's)")  # fmt: skip
    args = parser.parse_args(arguments)
    if args.clusters < 2:
        parser.error("--clusters starts at 2")
    if args.min_side < 1 or (args.workers is not None and args.workers < 1):
        parser.error("--min-side and --workers start at 1")
    return args


def open_stores(args: argparse.Namespace) -> tuple[Store, Store]:
    """Both ends, reached and allowed. Raises Impossible."""
    try:
        source, output = Store(args.input), Store(args.output)
        if inside(output.root, source.root) or inside(source.root, output.root):
            raise Impossible(f"{output.root} and {source.root} lie inside one another; choose another OUTPUT")
        source.check()
        output.check(write=True)
    except (StorageError, ValueError) as error:
        raise Impossible(str(error)) from error
    return source, output


def find_photographs(source: Store) -> pa.Table:
    """The source's listing with keys as text. Raises Impossible for a source without photographs."""
    try:
        listing = find_source(source).listing()
    except (StorageError, SourceError) as error:
        raise Impossible(str(error)) from error
    if not len(listing):
        raise Impossible(f"no photographs in {source.root}; is the path right?")
    return listing


def reuse(args: argparse.Namespace, output: Store) -> Clusters | None:
    """The clusters of an earlier run, unless they are to be found anew. Raises Impossible when they are others."""
    if args.refit or not output.exists(CLUSTERS_TENSORS):
        return None
    clusters = read_clusters(output)
    if (clusters.name, clusters.k) != (args.feature, args.clusters):
        raise Impossible(
            f"{output.root} has {clusters.k} clusters by {clusters.name}; add --refit to find {args.clusters} by "
            f"{args.feature}, or choose another OUTPUT"
        )
    return clusters


def find_clusters(args: argparse.Namespace, output: Store, selection: Selection, cpus: int) -> tuple[Clusters, dict]:
    """Fit the feature and the clusters to some of the photographs to train on; also what the page tells of the fit.

    Raises TooFew.
    """
    places = selection.sample(SAMPLE)
    if len(places) < args.clusters:
        why = ", ".join(f"{reason} {count:,}" for reason, count in selection.reasons().most_common())
        raise TooFew(
            f"{len(places)} photographs are left to find {args.clusters} clusters in (dropped: {why or 'none'}); "
            "add photographs, or ask for fewer --clusters"
        )
    print(f"finding {args.clusters} clusters by {args.feature} in {len(places):,} photographs", flush=True)
    clusters, silhouettes = fit(args.feature, curation.draw(output, places, cpus), args.clusters)
    write_clusters(output, clusters)
    return clusters, {"fitted_on": len(places), "silhouette": silhouettes}


def summarize(parts: list[dict], selection: Selection, clusters: Clusters) -> dict:
    """What the files of the dataset hold together."""
    k = clusters.k
    nearest = [sorted((n["distance"], n["sha256"]) for part in parts for n in part["nearest"][i]) for i in range(k)]
    sizes = [sum(part["sizes"][i] for part in parts) for i in range(k)]
    return {
        "feature": clusters.name,
        "k": k,
        "digest": clusters.digest,
        "photographs": sum(sizes),
        "looked_at": len(selection.table),
        "dropped": dict(selection.reasons().most_common()),
        "sizes": sizes,
        "splits": {name: sum(part["splits"][name] for part in parts) for name in ("train", "val", "test")},
        "nearest": [[sha256 for _, sha256 in found[:NEAREST]] for found in nearest],
    }


def work(args: argparse.Namespace, survey: Survey, listing: pa.Table, todo: pa.Table, cpus: int, about: dict) -> dict:
    """Examine, select, cluster, assemble; gives the summary as stored in clusters.json."""
    output, began, progress = survey.output, time.monotonic(), Progress(len(todo), "examined")
    for reasons in curation.examine(todo, survey, cpus):
        progress.add(len(reasons))
    selection = select(output, examined(output, listing, survey.digest))
    clusters = reuse(args, output)
    if clusters is None:
        clusters, fitted = find_clusters(args, output, selection, cpus)
    else:
        fitted = {name: earlier.get(name) for earlier in [read_summary(output)] for name in ("fitted_on", "silhouette")}
    parts, progress = [], Progress(len(selection.table), "sorted")
    for part in curation.assemble(output, selection, cpus):
        parts.append(part)
        progress.add(part["rows"])
    prune(output, (part["file"] for part in parts))
    seconds = round(time.monotonic() - began, 1)
    summary = summarize(parts, selection, clusters) | fitted | about | {"seconds": seconds}
    output.put(CLUSTERS_JSON, json.dumps(summary, indent=2).encode(), "application/json")
    return summary


def read_summary(output: Store) -> dict:
    return json.loads(output.read(CLUSTERS_JSON)) if output.exists(CLUSTERS_JSON) else {}


def close(summary: dict, page: str, output: Store, max_failed: str) -> int:
    """The last lines, and the exit code."""
    kept, dropped, failed = summary["photographs"], summary["dropped"], summary["dropped"].get(FAILED, 0)
    splits = ", ".join(f"{name} {count:,}" for name, count in summary["splits"].items())
    print(f"done: {kept:,} photographs in {summary['k']} clusters of {', '.join(f'{n:,}' for n in summary['sizes'])}")
    print(f"splits: {splits}; {sum(dropped.values()):,} dropped; {duration(summary['seconds'])}")
    if dropped:
        print("why dropped: " + ", ".join(f"{reason} {count:,}" for reason, count in dropped.items()))
        print(f"listed in {output.uri(DROPPED)}")
    print(f"train on {output.uri(DATASET)}; look at {page}")
    exceeded = failed > allowed_failures(max_failed, kept + sum(dropped.values()))
    if failed:
        print(f"examine the {failed:,} failed ones again: {summary['command']}")
    if exceeded:
        print(f"exit code 3: {failed:,} failures are more than --max-failed {max_failed} allows")
    return 3 if exceeded else 0


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    about = {
        "source": args.input,
        "command": shlex.join(["python", "-m", "jobs.cluster", *arguments]),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {part: version(part) for part in PARTS},
    }
    try:
        source, output = open_stores(args)
        reuse(args, output)
        listing = find_photographs(source)
        memory = int((args.memory or 0) * 1e9)
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        survey = Survey(source, output, run, Rules(min_side=args.min_side), Limits(), SECONDS, memory)
        todo = unexamined(listing, examined(output, listing, survey.digest))
        print(f"{len(listing):,} photographs found, {len(listing) - len(todo):,} examined before", flush=True)
        workers = start_workers(args.workers, "cpu", "fused")
    except (Impossible, StorageError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    try:
        with stoppable(), at_work():
            summary = work(args, survey, listing, todo, workers.cpus, about)
            page = write_dataset_report(output).uri
    except KeyboardInterrupt:
        print(f"\ninterrupted; what was examined stays so. Continue with: {about['command']}")
        return 130
    except Exception as error:
        print(f"the job failed: {innermost(error, (StorageError,)) or error}", file=sys.stderr)
        print(f"what was examined stays so; continue with: {about['command']}", file=sys.stderr)
        return 1
    return close(summary, page, output, args.max_failed)


if __name__ == "__main__":
    sys.exit(main())

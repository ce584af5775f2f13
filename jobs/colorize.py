"""Colorize an archive: ``python -m jobs.colorize INPUT OUTPUT``.

INPUT is a folder or bucket of scans and is only ever read. OUTPUT receives photos/ (the color derivatives), records/
(one Parquet row for every page) and runs/ (what was asked and how it ended). Run again, the command does what is
missing: scans that are new, changed or failed, or all of them when the model or a setting changed.

Exit codes: 0 every photo has a final state and failures are within --max-failed; 1 the job itself failed; 2 asked for
something impossible, said before any work; 3 finished, with too many failures; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from colorize_core.compaction import compact
from colorize_core.derivative import Encoding
from colorize_core.ensemble import TEST_TIME, Ensemble
from colorize_core.header import Limits
from colorize_core.hints import CollectionError, read_collection
from colorize_core.manifest import ManifestError, read_manifest
from colorize_core.plan import NO_PAST, Plan, history, make_plan, retry_plan
from colorize_core.provenance import SOURCE_TYPES, Label
from colorize_core.recipe import Recipe
from colorize_core.stages import Task
from colorize_core.storage import Entry, NotFound, StorageError, Store, inside
from colorize_core.weights import DEFAULT, ModelError
from jobs.arguments import address, bound, words
from jobs.gauges import Gauges
from jobs.interruption import stoppable
from jobs.runlog import RunLog
from jobs.trial import try_out
from jobs.workers import Impossible, at_work, innermost, memory_share, start_workers

SOURCE_TERMS = {uri.rpartition("/")[2]: uri for uri in SOURCE_TYPES}
FORMAT_HELP = (
    "file format (default jpeg, 8 bits a channel); tiff, png and same keep 16 bits; where a jpeg would lose "
    "an alpha channel a png is written, where a side is too long for it a tiff"
)
TIMEOUT_HELP = "seconds for one step on one scan, half a second per megapixel on top (default %(default)s)"
PRECISION_HELP = (
    "of the model's arithmetic (default float32); bfloat16 is faster on GPUs and CPUs made for it (AVX512-BF16, AMX) "
    "and moves colors by less than one can see"
)
MODEL_HELP = (
    "name of a shipped model, path or s3:// address of a .safetensors or .onnx file, or ARCHITECTURE=FILE for weights "
    "that others published (eccv16, siggraph17, ddcolor-tiny, ddcolor-large); @SIDE behind it: it looks at about SIDE "
    "x SIDE pixels; several joined by + have their colors averaged (default %(default)s)"
)
TEST_TIME_HELP = (
    "also look at each scan mirrored (flip) and at three quarters and five quarters of the size (sizes), and average: "
    "steadier colors, and an uncertainty for every model, for two, three or six times the work"
)
MANIFEST_HELP = (
    "Parquet or CSV inventory (key, size, etag) instead of a listing; hints files beside scans count if it lists them "
    "too"
)
HINTS_HELP = (
    "Parquet table of color hints (key, hints) instead of the files SCAN.hints.json beside the scans; give it to every "
    "run, or its scans are done again without"
)
STAGES_HELP = (
    "fused: a worker takes a scan all the way; split: prepare, predict and finish have workers of their own "
    "(default: split with a GPU)"
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.colorize", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("input", metavar="INPUT", help="folder or bucket of scans: a path, s3://bucket/prefix, gs://...")
    add("output", metavar="OUTPUT", help="folder or bucket for the results, outside INPUT")

    add = parser.add_argument_group("which scans").add_argument
    add("--manifest", metavar="FILE", help=MANIFEST_HELP)
    add("--include", metavar="GLOB", action="append", default=[], help="only keys that match; may be repeated")
    add("--exclude", metavar="GLOB", action="append", default=[], help="no keys that match; may be repeated")
    add("--limit", metavar="N", type=int, help="at most N scans in this run")
    add("--retry-failed", action="store_true", help="only scans last failed or rejected; lists nothing")
    add("--force", action="store_true", help="also scans that are done already")
    add("--dry-run", action="store_true", help="say what would be done and how long it may take; store nothing")

    add = parser.add_argument_group("what comes out").add_argument
    add("--model", default=DEFAULT, help=MODEL_HELP)
    add("--weights", metavar="FILE", help="the file of published weights: --model eccv16 --weights FILE is short for "
        "--model eccv16=FILE")  # fmt: skip
    add("--test-time", type=words(TEST_TIME), default=(), metavar="WORDS", help=TEST_TIME_HELP)
    add("--hints", metavar="FILE", help=HINTS_HELP)
    add("--format", choices=("jpeg", "tiff", "png", "same"), default="jpeg", help=FORMAT_HELP)
    add("--quality", type=int, default=92, metavar="1-100", help="JPEG quality (default %(default)s)")
    add("--subsampling", choices=("444", "422", "420"), default="444", help="JPEG chroma subsampling (default 444)")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help=PRECISION_HELP)
    add("--recolor", action="store_true", help="color photographs too, instead of leaving them alone")
    add("--uncertainty-maps", action="store_true", help="also store uncertainty/<photo>.png: where the model was "
        "unsure, white is no idea; for the scans done in this run")  # fmt: skip
    add("--digital-source-type", choices=sorted(SOURCE_TERMS), default=Label().digital_source_type.rpartition("/")[2],
        metavar="TERM", help="IPTC term on every result: %(choices)s (default %(default)s)")  # fmt: skip

    add = parser.add_argument_group("bounds").add_argument
    add("--max-failed", type=bound, default="1%", metavar="N|P%", help="failures that still exit with 0 (default 1%%)")
    add("--max-pixels", type=float, default=1e9, metavar="N", help="reject larger scans (default 1e9, 1 gigapixel)")
    add("--max-gigabytes", type=float, default=8, metavar="GB", help="reject larger files (default %(default)s)")
    add("--decode-timeout", type=float, default=60, metavar="S", help=TIMEOUT_HELP)
    add("--storage-timeout", type=float, default=60, metavar="S", help="a connection silent for so long is dead "
        "(default %(default)s)")  # fmt: skip
    add("--stall-timeout", type=float, default=1800, metavar="S", help="give up after so many seconds without progress "
        "(default %(default)s)")  # fmt: skip

    add = parser.add_argument_group("the machine").add_argument
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs (default cuda if any)")
    add("--workers", type=int, metavar="N", help="CPU workers (default: every CPU of the cluster)")
    add("--memory", type=float, metavar="GB", help="memory that one scan may take (default: a worker's "
        "share of 80 %% of the machine's)")  # fmt: skip
    add("--stages", choices=("auto", "fused", "split"), default="auto", help=STAGES_HELP)
    add("--gpus", type=int, metavar="N", help="GPUs to use (default: every GPU of the cluster)")
    add("--autoscaling", action="store_true", help="the cluster brings up nodes on demand: ask it for --workers and "
        "--gpus though it has fewer now")  # fmt: skip
    add("--run", metavar="NAME", help="name of this run (default: the time)")

    add = parser.add_argument_group("monitoring").add_argument
    add("--metrics", type=address, metavar="[HOST:]PORT", help="serve the run's gauges to Prometheus there, "
        "on loopback unless a host is given (default: nothing listens)")  # fmt: skip
    add("--price", type=float, metavar="PER_HOUR", help="of the whole cluster, in any currency: adds the cost of a "
        "thousand scans to the figures")  # fmt: skip
    args = parser.parse_args(arguments)
    if not 1 <= args.quality <= 100:
        parser.error("--quality goes from 1 to 100")
    if any(number is not None and number < 1 for number in (args.limit, args.workers, args.gpus)):
        parser.error("--limit, --workers and --gpus start at 1")
    if args.autoscaling and not args.workers:
        parser.error("--autoscaling needs --workers: how many CPUs to ask for")
    if args.retry_failed and (args.force or args.manifest):
        parser.error("--retry-failed chooses the scans by itself; leave out --force and --manifest")
    if args.weights:
        if set("+=@") & set(args.model):
            parser.error(
                "--weights goes with the name of one architecture in --model; write ARCHITECTURE=FILE for each"
            )
        args.model, args.weights = f"{args.model}={args.weights}", None
    if args.run and not args.run.replace("-", "").replace("_", "").isalnum():
        parser.error("--run takes letters, digits, - and _")
    return args


def open_stores(args: argparse.Namespace) -> tuple[Store, Store]:
    """Both ends, reached and allowed. Raises Impossible."""
    try:
        source, output = (Store(uri, timeout=args.storage_timeout) for uri in (args.input, args.output))
        if inside(output.root, source.root):
            raise Impossible(f"{output.root} lies inside the input; nothing is written there, choose another OUTPUT")
        for folder in ("photos", "records", "runs", "report", "uncertainty", "iiif", "signed", "signatures"):
            if inside(source.root, output.uri(folder)):
                raise Impossible(f"{source.root} is where results of OUTPUT go; choose another OUTPUT")
        source.check()
        if not args.dry_run:
            output.check(write=True)
    except (StorageError, ValueError) as error:
        raise Impossible(str(error)) from error
    return source, output


def find_models(args: argparse.Namespace) -> Ensemble:
    """Raises Impossible for a model that is not there, or not whole."""
    try:
        return Ensemble.find(args.model, args.test_time)
    except ModelError as error:
        raise Impossible(str(error)) from error


def make_recipe(args: argparse.Namespace, ensemble: Ensemble) -> Recipe:
    """The settings that can change a pixel. Raises Impossible for a precision that a model is not made for."""
    if args.precision != "float32" and (names := ensemble.full_precision_only):
        raise Impossible(
            f"nobody has looked at the colors of {', '.join(names)} in half precision; leave out --precision"
        )
    label = Label(SOURCE_TERMS[args.digital_source_type], version=f"{ensemble.name} sha256:{ensemble.digest}")
    encoding = Encoding(args.format, args.quality, args.subsampling)
    return Recipe.of(ensemble, encoding, args.recolor, label, args.precision)


def find_work(args: argparse.Namespace, source: Store, output: Store, recipe: Recipe) -> Plan:
    """List minus ledger. Raises Impossible for an input without scans."""
    try:
        try:
            past = history(output)
        except NotFound:
            if not args.dry_run:
                raise
            print(f"{output.root} is not there yet")
            past = NO_PAST
        hints = read_collection(args.hints) if args.hints else None
        if args.retry_failed:
            return retry_plan(source, past, recipe.digest_with, hints=hints)
        found: Iterator[Entry] = read_manifest(args.manifest, source) if args.manifest else source.list()
        plan = make_plan(
            source, found, past, recipe.digest_with, hints=hints,
            include=args.include, exclude=args.exclude, force=args.force, limit=args.limit,
        )  # fmt: skip
    except (StorageError, ManifestError, CollectionError) as error:
        raise Impossible(str(error)) from error
    if not plan.listed:
        raise Impossible(f"no scans in {args.manifest or source.root}; is the path right, and --include?")
    return plan


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    try:
        source, output = open_stores(args)
        ensemble = find_models(args)
        recipe = make_recipe(args, ensemble)
        plan = find_work(args, source, output, recipe)
        run = args.run or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        limits = Limits(int(args.max_pixels), int(args.max_gigabytes * 1e9))
        memory = int((args.memory or 0) * 1e9)
        task = Task(source, output, run, recipe, limits, args.decode_timeout, memory, args.uncertainty_maps)
        print(
            f"{plan.listed:,} scans found, {plan.already_done:,} done already, "
            f"{len(plan.todo):,} to do: {plan.bytes / 1e9:.3f} GB"
        )
        if plan.orphans:
            where = f"rows of {args.hints}" if args.hints else "hints files"
            print(f"warning: {plan.orphans:,} {where} belong to no scan that was found; correct their names",
                  file=sys.stderr)  # fmt: skip
        if not plan.todo:
            print("nothing to retry" if args.retry_failed else f"nothing to do: all {plan.listed:,} scans are done")
            if not args.dry_run:
                merge_records(output)
            return 0
        if args.dry_run:
            cpus = args.workers or os.cpu_count() or 1
            print(try_out(plan, replace(task, memory=task.memory or memory_share(cpus)), args.model, cpus))
            return 0
        workers = start_workers(
            args.workers, args.device, args.stages, wanted_gpus=args.gpus, autoscaling=args.autoscaling
        )
        log = RunLog(task, plan, arguments, args.max_failed, args.price, ensemble.provenance())
        gauges = Gauges(log, workers, args.metrics) if args.metrics else None
    except Impossible as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2

    from jobs import pipeline  # Ray, which the answers above do not wait for

    print(f"run {run}: {workers.cpus} CPU workers, model {recipe.model} on {workers.device}")
    for model in ensemble.models:
        if "origin" in model.about:
            print(f"{model.path.name}: {model.architecture}, {model.about['origin']}; license {model.about['license']}")
    print(f"whatever ends it, this goes on: {log.command}", flush=True)
    try:
        with stoppable(), at_work():
            log.write("running")
            for rows in pipeline.run(plan, task, args.model, workers, args.stall_timeout):
                log.add(rows)
        code = log.close()
    except KeyboardInterrupt:
        log.note("interrupted", 130)
        print(f"\ninterrupted after {log.scans:,} scans; nothing is lost. Continue with: {log.command}")
        return 130
    except Exception as error:
        log.note("failed", 1)
        why = innermost(error, (StorageError, ModelError)) or error
        print(f"the job failed after {log.scans:,} scans: {why}", file=sys.stderr)
        print(f"what is done stays done; continue with: {log.command}", file=sys.stderr)
        return 1
    finally:
        if gauges:
            gauges.close()
    merge_records(output)
    return code


def merge_records(output: Store) -> None:
    """Tidy up after the runs that are over. What keeps it from that is no failure of the job: the next one goes on."""
    try:
        with stoppable():
            compact(output)
    except KeyboardInterrupt:
        print("the records are not all merged into large files; the next run goes on with that")
    except Exception as error:
        print(f"warning: the small files of records were not merged: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

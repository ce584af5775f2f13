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
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime

from colorize_core import __version__
from colorize_core.derivative import Encoding
from colorize_core.photo import Limits
from colorize_core.plan import ManifestError, Plan, history, make_plan, read_manifest, retry_plan
from colorize_core.provenance import SOURCE_TYPES, Label
from colorize_core.recipe import Recipe
from colorize_core.records import Status
from colorize_core.runs import retry_command
from colorize_core.stages import Task
from colorize_core.storage import Entry, NotFound, StorageError, Store
from jobs.runlog import RunLog, command_line, duration

SAMPLE = 6  # scans that a dry run really works through
OBJECT_STORE = 256 << 20  # bytes; only keys, small pictures and records pass through it
SOURCE_TERMS = {uri.rpartition("/")[2]: uri for uri in SOURCE_TYPES}


class Impossible(Exception):
    """The job cannot be done as asked; the message says why and what to ask instead."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.colorize", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("input", metavar="INPUT", help="folder or bucket of scans: a path, s3://bucket/prefix, gs://...")
    add("output", metavar="OUTPUT", help="folder or bucket for the results, outside INPUT")
    which = parser.add_argument_group("which scans")
    add = which.add_argument
    add("--manifest", metavar="FILE", help="Parquet or CSV inventory (key, size, etag) to start from instead of listing")
    add("--include", metavar="GLOB", action="append", default=[], help="only keys that match; may be repeated")
    add("--exclude", metavar="GLOB", action="append", default=[], help="no keys that match; may be repeated")
    add("--limit", metavar="N", type=int, help="at most N scans in this run")
    add("--retry-failed", action="store_true", help="only scans whose last state is failed or rejected; lists nothing")
    add("--force", action="store_true", help="also scans that are done already")
    add("--dry-run", action="store_true", help="say what would be done and how long it may take; store nothing")
    result = parser.add_argument_group("what comes out")
    add = result.add_argument
    add("--model", default="autochrome-s", help="name of a shipped model or path to .safetensors (default %(default)s)")
    add("--format", choices=("jpeg", "tiff", "png", "same"), default="jpeg", help="file format (default jpeg, 8 bits; "
        "tiff, png and same keep 16 bits; a jpeg that would lose an alpha channel becomes a png)")  # fmt: skip
    add("--quality", type=int, default=92, metavar="1-100", help="JPEG quality (default %(default)s)")
    add("--subsampling", choices=("444", "422", "420"), default="444", help="JPEG chroma subsampling (default 444, none)")
    add("--recolor", action="store_true", help="color photographs too, instead of leaving them alone")
    add("--digital-source-type", choices=sorted(SOURCE_TERMS), default="compositeWithTrainedAlgorithmicMedia",
        metavar="TERM", help="IPTC term that labels every result (default %(default)s)")  # fmt: skip
    bounds = parser.add_argument_group("bounds")
    add = bounds.add_argument
    add("--max-failed", default="1%", metavar="N|P%", help="failures that still give exit code 0 (default %(default)s)")
    add("--max-pixels", type=float, default=1e9, metavar="N", help="reject larger scans (default 1e9, 1 gigapixel)")
    add("--max-gigabytes", type=float, default=8, metavar="GB", help="reject larger files (default %(default)s)")
    add("--decode-timeout", type=float, default=60, metavar="S", help="seconds for a step on one scan, and half a second "
        "per megapixel (default %(default)s)")  # fmt: skip
    add("--stall-timeout", type=float, default=1800, metavar="S", help="give up after so many seconds without any "
        "progress (default %(default)s)")  # fmt: skip
    machine = parser.add_argument_group("the machine")
    add = machine.add_argument
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the model runs (default: a GPU if the "
        "cluster has one)")  # fmt: skip
    add("--workers", type=int, metavar="N", help="CPU workers (default: every CPU of the cluster)")
    add("--memory", type=float, metavar="GB", help="memory that one scan may take (default: 80 %% of the machine's, "
        "shared by its workers)")  # fmt: skip
    add("--stages", choices=("auto", "fused", "split"), default="auto", help="one worker takes a scan all the way, or "
        "prepare, predict and finish have workers of their own (default: split with a GPU)")  # fmt: skip
    add("--run", metavar="NAME", help="name of this run (default: the time)")
    args = parser.parse_args(arguments)
    if not 1 <= args.quality <= 100:
        parser.error("--quality goes from 1 to 100")
    if (args.limit is not None and args.limit < 1) or (args.workers is not None and args.workers < 1):
        parser.error("--limit and --workers start at 1")
    if args.retry_failed and (args.force or args.manifest):
        parser.error("--retry-failed chooses the scans by itself; leave out --force and --manifest")
    if args.run and not args.run.replace("-", "").replace("_", "").isalnum():
        parser.error("--run takes letters, digits, - and _")
    try:
        allowed_failures(args.max_failed, 100)
    except ValueError:
        parser.error("--max-failed takes a count such as 20, or a share such as 1%")
    return args


def allowed_failures(bound: str, photos: int) -> int:
    """How many of so many photos may fail under a bound such as ``20`` or ``1%``."""
    if bound.endswith("%"):
        return int(photos * float(bound[:-1]) / 100)
    return int(bound)


def inside(uri: str, root: str) -> bool:
    return uri == root or uri.startswith(root.rstrip("/") + "/")


def open_stores(args: argparse.Namespace) -> tuple[Store, Store]:
    """Both ends, reached and allowed. Raises Impossible."""
    try:
        source, output = Store(args.input), Store(args.output)
        if inside(output.root, source.root):
            raise Impossible(f"{output.root} lies inside the input; nothing is written there, choose another OUTPUT")
        for folder in ("photos", "records", "runs", "report"):
            if inside(source.root, output.uri(folder)):
                raise Impossible(f"{source.root} is where results of OUTPUT go; choose another OUTPUT")
        source.check()
        if not args.dry_run:
            output.check(write=True)
    except (StorageError, ValueError) as error:
        raise Impossible(str(error)) from error
    return source, output


def make_recipe(args: argparse.Namespace) -> Recipe:
    """The settings that can change a pixel. Raises Impossible for a model that is not there."""
    from colorize_core.colorizer import ModelError, find

    try:
        model = find(args.model)
    except ModelError as error:
        raise Impossible(str(error)) from error
    return Recipe(
        model.name,
        model.digest,
        model.side,
        Encoding(args.format, args.quality, args.subsampling),
        args.recolor,
        Label(SOURCE_TERMS[args.digital_source_type], "Autochrome", f"{__version__} {model.name} {model.digest}"),
    )


def make_plan_of(args: argparse.Namespace, source: Store, output: Store, recipe: Recipe) -> Plan:
    """List minus ledger. Raises Impossible for an input without scans."""
    try:
        try:
            past = history(output, recipe.digest)
        except NotFound:
            if not args.dry_run:
                raise
            print(f"{output.root} is not there yet")
            past = {}
        if args.retry_failed:
            return retry_plan(source, past)
        found: Iterator[Entry] = read_manifest(args.manifest, source) if args.manifest else source.list()
        plan = make_plan(
            found, past, include=args.include, exclude=args.exclude, force=args.force, limit=args.limit
        )
    except (StorageError, ManifestError) as error:
        raise Impossible(str(error)) from error
    if not plan.listed:
        raise Impossible(f"no scans in {args.manifest or source.root}; is the path right, and --include?")
    return plan


def start_ray(args: argparse.Namespace) -> tuple[int, str, bool]:
    """Join the cluster that RAY_ADDRESS or a submitted job names, or start one on this machine.

    Gives the number of CPU workers, the device and whether the stages are split. Raises Impossible when the cluster
    can never run the plan: a pool that waits for CPUs that cannot come waits without a word.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    alone = "RAY_ADDRESS" not in os.environ
    if alone:
        # The name says otherwise, but on every system this makes Ray's own daemons listen on loopback only.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    if not alone:
        ray.init(logging_level="error", log_to_driver=False)
        resources = ray.cluster_resources()
        return choose_workers(args, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))
    import torch

    gpus = torch.cuda.device_count()
    cpus = args.workers or max(os.cpu_count() or 1, 2 if args.stages == "split" else 1)
    chosen = choose_workers(args, cpus, gpus)
    ray.init(
        num_cpus=cpus,
        num_gpus=gpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE,
        logging_level="error",
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    return chosen


def choose_workers(args: argparse.Namespace, cpus: int, gpus: int) -> tuple[int, str, bool]:
    """CPU workers, device and whether the stages are split, on a cluster of so many CPUs and GPUs. Raises Impossible."""
    device = args.device if args.device != "auto" else ("cuda" if gpus else "cpu")
    if device == "cuda" and not gpus:
        raise Impossible("there is no GPU here; add a GPU worker, or ask for --device cpu")
    split = args.stages == "split" or (args.stages == "auto" and device == "cuda")
    workers, least = args.workers or cpus, 2 if split else 1
    if workers > cpus:
        raise Impossible(f"{workers} workers need as many CPUs and the cluster has {cpus}; ask for fewer --workers")
    if workers < least:
        raise Impossible(f"these stages need {least} CPUs and may use {workers}; add CPUs, or ask for --stages fused")
    return workers, device, split


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container it is in, has."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max") as limit:
            return min(physical, int(limit.read()))
    except (OSError, ValueError):  # no container, or one without a limit
        return physical


def memory_per_scan(args: argparse.Namespace) -> int:
    """Bytes that one scan may take."""
    if args.memory:
        return int(args.memory * 1e9)
    return int(machine_memory() * 0.8 / min(args.workers or 1 << 30, os.cpu_count() or 1))


def dry_run(plan: Plan, task: Task, model: str, workers: int) -> None:
    """Work through a few scans without storing anything, and say what the whole plan would come to."""
    from colorize_core.stages import Finish, Predict, Prepare, Workbench

    print(f"{plan.listed:,} scans found, {plan.already_done:,} done already, {len(plan.todo):,} to do: {plan.bytes / 1e9:.3f} GB")
    if not plan.todo:
        return
    step = max(1, len(plan.todo) // SAMPLE)
    trial = replace(task, output=Store("memory://autochrome-dry-run"))
    bench = Workbench(trial)
    prepare, finish, predict = Prepare(trial, bench), Finish(trial, bench), Predict(model, "cpu")
    records, seconds = [], []
    for entry, attempt in plan.todo[::step][:SAMPLE]:
        began = time.perf_counter()
        records += [finish(predict([photo])[0]) for photo in prepare(entry, attempt)]
        seconds.append(time.perf_counter() - began)
    tried = len(seconds)
    pixels = sum((r.width or 0) * (r.height or 0) for r in records) / tried * len(plan.todo)
    bad = sum(r.status in (Status.REJECTED, Status.FAILED) for r in records)
    total = sum(seconds) / tried * len(plan.todo) / workers
    print(f"about {pixels / 1e6:,.0f} megapixels and {duration(total)} with {workers} CPU workers on machines like this one")
    print(f"from a trial on {tried} scans, {bad} of which could not be colorized; nothing was stored")


def finish_run(log: RunLog, args: argparse.Namespace, arguments: list[str]) -> int:
    """The last lines, and the exit code."""
    photos = sum(log.counts.values())
    exceeded = log.failures > allowed_failures(args.max_failed, photos)
    code = 3 if exceeded else 0
    log.write("too_many_failures" if exceeded else "finished", code)
    counts = log.counts
    print(
        f"done: {counts[Status.COLORIZED]:,} colorized, {counts[Status.SKIPPED_COLOR]:,} color photos left alone, "
        f"{counts[Status.REJECTED]:,} rejected, {counts[Status.FAILED]:,} failed; {log.plan.already_done:,} scans were done "
        f"before; {duration(log.seconds)}, {log.rate:.2f} scans/s, {log.pixels / 1e6 / max(log.seconds, 1e-9):.1f} MP/s"
    )
    if log.failures:
        print("why: " + ", ".join(f"{kind} {count:,}" for kind, count in log.errors.most_common()))
        print(f"listed in {log.task.output.uri('records')}/run={log.task.run}/ and by: python -m jobs.status {shlex.quote(args.output)}")
        print(f"retry them: {retry_command(command_line(arguments))}")
    if exceeded:
        print(f"exit code 3: {log.failures:,} failures are more than --max-failed {args.max_failed} allows")
    return code


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM stop the job as cleanly as Ctrl-C does."""

    def stop(*_) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    try:
        source, output = open_stores(args)
        recipe = make_recipe(args)
        plan = make_plan_of(args, source, output, recipe)
        run_name = args.run or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        limits = Limits(int(args.max_pixels), int(args.max_gigabytes * 1e9))
        task = Task(source, output, run_name, recipe, limits, args.decode_timeout, memory_per_scan(args))
        if args.dry_run:
            dry_run(plan, task, args.model, args.workers or os.cpu_count() or 1)
            return 0
        if not plan.todo:
            print(f"nothing to do: all {plan.listed:,} scans are done" if not args.retry_failed else "nothing to retry")
            return 0
        print(f"{plan.listed:,} scans found, {plan.already_done:,} done already, {len(plan.todo):,} to do: {plan.bytes / 1e9:.3f} GB")
        workers, device, split = start_ray(args)
    except Impossible as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2

    from jobs import pipeline

    log = RunLog(task, plan, arguments, asdict(recipe))
    print(f"run {run_name}: {workers} CPU workers, model {recipe.model} on {device}", flush=True)
    try:
        with stoppable():
            log.write("running")
            for rows in pipeline.run(plan, task, args.model, device, workers, split, args.stall_timeout):
                log.add(rows)
        return finish_run(log, args, arguments)
    except KeyboardInterrupt:
        log.write("interrupted", 130)
        print(f"\ninterrupted after {log.scans:,} scans; nothing is lost. Continue with: {command_line(arguments)}")
        return 130
    except Exception as error:
        log.write("failed", 1)
        print(f"the job failed after {log.scans:,} scans: {error}", file=sys.stderr)
        print(f"what is done stays done; continue with: {command_line(arguments)}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

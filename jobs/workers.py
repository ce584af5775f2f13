"""The workers a job may have: on the cluster it joins, or on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass

OBJECT_STORE = 256 << 20  # bytes, on this machine; only keys, small pictures and records pass through it
MEMORY_SHARE = 0.8  # of the machine, for all scans at work together


class Impossible(Exception):
    """The job cannot be done as asked; the message says why and what to ask instead."""


@dataclass(frozen=True)
class Workers:
    """CPU workers, GPUs, the device that models run on, and whether the three stages have workers of their own."""

    cpus: int
    gpus: int
    device: str
    split: bool


def start_workers(
    wanted: int | None, device: str, stages: str, *, wanted_gpus: int | None = None, autoscaling: bool = False
) -> Workers:
    """Join the cluster that RAY_ADDRESS or a submitted job names, or start one on this machine.

    autoscaling: the cluster brings up the nodes for what is wanted. Raises Impossible when the cluster can never run
    the plan: a pool that waits for CPUs that cannot come waits without a word.
    """
    if "RAY_ADDRESS" in os.environ:
        cpus, gpus = join_cluster()
        if autoscaling:
            cpus, gpus = max(cpus, wanted or 0), max(gpus, wanted_gpus or 0)
        return choose_workers(wanted, device, stages, cpus, gpus, wanted_gpus)
    if autoscaling:
        raise Impossible("only a cluster brings up nodes; submit the job to one, or leave out --autoscaling")
    gpus = local_gpus(device)
    cpus = wanted or max(os.cpu_count() or 1, 2 if stages == "split" else 1)
    workers = choose_workers(wanted, device, stages, cpus, gpus, wanted_gpus)
    start_cluster(cpus, gpus)
    return workers


def join_cluster() -> tuple[int, int]:
    """Join the cluster of RAY_ADDRESS; gives its CPUs and GPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    ray.init(logging_level=logging.ERROR, log_to_driver=False)
    resources = ray.cluster_resources()
    return int(resources.get("CPU", 0)), int(resources.get("GPU", 0))


def local_gpus(device: str) -> int:
    """GPUs of this machine, unless the device asked for is the CPU."""
    if device == "cpu":
        return 0
    try:
        CDLL("libcuda.so.1")  # part of the driver: without it there is no need to wait a second for torch
    except OSError:
        return 0
    import torch

    return torch.cuda.device_count()


def start_cluster(cpus: int, gpus: int, object_store: int = OBJECT_STORE) -> None:
    """Start Ray on this machine alone, as if it had so many CPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # The name says otherwise, but on every system this makes Ray's own daemons listen on loopback only.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    ray.init(
        "local",  # not some cluster that happens to run on this machine
        num_cpus=cpus,
        num_gpus=gpus,
        include_dashboard=False,
        object_store_memory=object_store,
        logging_level=logging.ERROR,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )


@contextmanager
def at_work() -> Iterator[None]:
    """Leaves Ray at the end: what it says of its nodes must not come after the job's own last words."""
    try:
        yield
    finally:
        import ray

        ray.shutdown()


def innermost(error: BaseException | None, kinds: tuple[type[Exception], ...]) -> BaseException | None:
    """The error of these kinds that lies deepest in one that Ray wrapped, without Ray's trace of it; None if none."""
    found = None
    while error is not None:
        found = error if isinstance(error, kinds) else found
        error = getattr(error, "cause", None) or error.__cause__
    return found


def choose_workers(
    wanted: int | None, device: str, stages: str, cpus: int, gpus: int, wanted_gpus: int | None = None
) -> Workers:
    """What to use of a cluster of so many CPUs and GPUs. Raises Impossible."""
    if not cpus:
        raise Impossible(
            "no node of the cluster has a CPU for work; add nodes, or say with --autoscaling that they will come"
        )
    device = device if device != "auto" else ("cuda" if gpus else "cpu")
    if device == "cuda" and not gpus:
        raise Impossible("there is no GPU here; add a GPU worker, or ask for --device cpu")
    if device == "cuda" and (wanted_gpus or 0) > gpus:
        raise Impossible(f"the cluster has {gpus} of {wanted_gpus} GPUs; ask for fewer --gpus")
    accelerators = (wanted_gpus or gpus) if device == "cuda" else 0
    split = stages == "split" or (stages == "auto" and device == "cuda")
    count, least = wanted or cpus, 2 if split else 1
    if count > cpus:
        raise Impossible(f"{count} workers need as many CPUs and the cluster has {cpus}; ask for fewer --workers")
    if device == "cuda" and not split:
        count = min(count, accelerators)
    if count < least:
        raise Impossible(f"these stages need {least} CPUs and may use {count}; add CPUs, or ask for --stages fused")
    return Workers(count, accelerators, device, split)


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container it is in, has."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max") as limit:
            return min(physical, int(limit.read()))
    except (OSError, ValueError):  # no container, or one without a limit
        return physical


def memory_share(workers: int) -> int:
    """Bytes that one scan may take when so many workers share this machine."""
    return int(machine_memory() * MEMORY_SHARE / workers)


def memory_here() -> int:
    """The share of a worker on the node that it runs on; called by the worker itself."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    (node,) = (node for node in ray.nodes() if node["NodeID"] == here)
    return memory_share(max(1, int(node["Resources"].get("CPU", 1))))

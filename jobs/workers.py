"""The workers a job may have: on the cluster it joins, or on this machine."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

OBJECT_STORE = 256 << 20  # bytes, on this machine; only keys, small pictures and records pass through it
MEMORY_SHARE = 0.8  # of the machine, for all scans at work together


class Impossible(Exception):
    """The job cannot be done as asked; the message says why and what to ask instead."""


@dataclass(frozen=True)
class Workers:
    """CPU workers, the device that models run on, and whether the three stages have workers of their own."""

    cpus: int
    device: str
    split: bool


def start_workers(wanted: int | None, device: str, stages: str) -> Workers:
    """Join the cluster that RAY_ADDRESS or a submitted job names, or start one on this machine.

    Raises Impossible when the cluster can never run the plan: a pool that waits for CPUs that cannot come waits
    without a word.
    """
    if "RAY_ADDRESS" in os.environ:
        return choose_workers(wanted, device, stages, *join_cluster())
    gpus = local_gpus(device)
    cpus = wanted or max(os.cpu_count() or 1, 2 if stages == "split" else 1)
    workers = choose_workers(wanted, device, stages, cpus, gpus)
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


def choose_workers(wanted: int | None, device: str, stages: str, cpus: int, gpus: int) -> Workers:
    """What to use of a cluster of so many CPUs and GPUs. Raises Impossible."""
    device = device if device != "auto" else ("cuda" if gpus else "cpu")
    if device == "cuda" and not gpus:
        raise Impossible("there is no GPU here; add a GPU worker, or ask for --device cpu")
    split = stages == "split" or (stages == "auto" and device == "cuda")
    count, least = wanted or cpus, 2 if split else 1
    if count > cpus:
        raise Impossible(f"{count} workers need as many CPUs and the cluster has {cpus}; ask for fewer --workers")
    if device == "cuda" and not split:
        count = min(count, gpus)
    if count < least:
        raise Impossible(f"these stages need {least} CPUs and may use {count}; add CPUs, or ask for --stages fused")
    return Workers(count, device, split)


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container it is in, has."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max") as limit:
            return min(physical, int(limit.read()))
    except (OSError, ValueError):  # no container, or one without a limit
        return physical


def memory_per_scan(gigabytes: float | None, workers: int | None) -> int:
    """Bytes that one scan may take: as asked, or a worker's share of the machine."""
    if gigabytes:
        return int(gigabytes * 1e9)
    cpus = os.cpu_count() or 1
    return int(machine_memory() * MEMORY_SHARE / min(workers or cpus, cpus))

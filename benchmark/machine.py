"""The machine a benchmark ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jobs.workers import machine_memory

PACKAGES = (
    "ray", "torch", "numpy", "opencv-python-headless", "simplejpeg", "imagecodecs", "tifffile", "pillow",
    "scikit-image", "pyarrow",
)  # fmt: skip


def describe() -> dict[str, Any]:
    """Cores, processor, memory and the versions of what does the work."""
    return {
        "cores": cores(),
        "processor": _processor(),
        "memory_gb": round(machine_memory() / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

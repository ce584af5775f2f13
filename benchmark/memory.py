"""The memory that a process and all it has started take together."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import psutil

INTERVAL = 0.5  # seconds


class Peak:
    """The largest sum of proportional set sizes seen, in bytes: memory that several share counts once."""

    def __init__(self) -> None:
        self.bytes = 0

    def follow(self, pid: int) -> None:
        """Look at a process, from a thread, until it ends."""
        threading.Thread(target=self._follow, args=(psutil.Process(pid),), daemon=True).start()

    def _follow(self, root: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess):
            while root.status() != psutil.STATUS_ZOMBIE:
                self.bytes = max(self.bytes, sum(map(_share, (root, *root.children(recursive=True)))))
                time.sleep(INTERVAL)


def _share(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return process.memory_full_info().pss
    return 0

"""A child process for work on untrusted bytes: what crashes, hangs or balloons in it costs one call, not the worker.

``Sandbox(Kind, *args)`` makes a ``Kind(*args)`` in a child process; ``call("method", ...)`` runs one of its methods
there. The child is started when first needed, and again after it died. Arguments and results travel as pickles
between the two halves of one program over a private socket pair; nothing from a photo's bytes is ever unpickled.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import socket
import subprocess
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

SECRETIVE = ("AWS_", "RAY_", "GOOGLE_", "AZURE_")  # variables that a decoder has no business with
START_SECONDS = 120  # importing the image libraries on a cold, busy disk


class SandboxError(Exception):
    """The child did not answer. ``error_class`` is crashed, timed_out or out_of_memory."""

    error_class = "crashed"


class Crashed(SandboxError):
    error_class = "crashed"


class TimedOut(SandboxError):
    error_class = "timed_out"


class OutOfMemory(SandboxError):
    error_class = "out_of_memory"


class Sandbox:
    """Runs methods of ``kind(*args)`` in a child process with ``memory`` bytes of address space beyond its start."""

    def __init__(self, kind: type | str, *args: Any, memory: int):
        """kind: a class, or ``module:name`` of one that only the child needs to import."""
        self.kind = kind if isinstance(kind, str) else f"{kind.__module__}:{kind.__qualname__}"
        self.args, self.memory = args, memory
        self._process: subprocess.Popen | None = None
        self._link: Connection | None = None

    def start(self) -> None:
        """Start the child if none is running; returns at once, the child's imports go on beside the caller."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRETIVE)} | {
            "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "colorize_core.sandbox", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        self._link = Connection(ours.detach())
        self._link.send((self.kind, self.args, self.memory))

    def call(self, method: str, *args: Any, seconds: float) -> Any:
        """The result of a method, or the exception that it raised; SandboxError when the child did not survive it."""
        self.start()
        assert self._link is not None
        try:
            if not self._link.poll(START_SECONDS):
                raise TimedOut("the image process did not start; is the machine out of memory or processes?")
            self._link.recv()  # the child says that it is ready for a call
            self._link.send((method, args))
            if not self._link.poll(seconds):
                raise TimedOut(f"gave no result within {seconds:.0f} s")
            outcome, value = self._link.recv()
        except (EOFError, OSError) as error:
            raise Crashed(f"the image process died: {self._cause_of_death()}") from error
        except SandboxError:
            self.close()
            raise
        if outcome == "out_of_memory":
            self.close()
            raise OutOfMemory(f"needed more than the {self.memory / 1e9:.1f} GB that one photo may use")
        if outcome == "raised":
            raise value
        return value

    def _cause_of_death(self) -> str:
        process = self._process
        assert process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        code = process.returncode
        self.close()
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    def close(self) -> None:
        """End the child, whatever it is doing."""
        if self._process is not None:  # before its link: it would complain of a broken one
            self._process.kill()
            self._process.wait()
        if self._link is not None:
            self._link.close()
        self._process = self._link = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def _address_space() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _confine(memory: int) -> None:
    """Limit address space, be the first to go when the machine runs out, and leave no core file."""
    if sys.platform == "linux":
        limit = _address_space() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _portable(error: Exception) -> Exception:
    """The error itself when it survives the journey, else a RuntimeError that quotes it."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the job; it closes this process
    link = Connection(int(sys.argv[1]))
    kind, args, memory = link.recv()
    module, name = kind.split(":")
    target = getattr(importlib.import_module(module), name)(*args)
    _confine(memory)
    while True:
        link.send("ready")
        try:
            method, args = link.recv()
        except EOFError:
            return
        try:
            answer = "done", getattr(target, method)(*args)
        except MemoryError:
            answer = "out_of_memory", None
        except Exception as error:
            answer = "raised", _portable(error)
        link.send(answer)


if __name__ == "__main__":
    main()

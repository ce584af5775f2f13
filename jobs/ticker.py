"""Lines said by workers, printed where the job was started, without those that Ray's own processes say."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

SECONDS = 1.0  # between two looks


@ray.remote(num_cpus=0)
class Ticker:
    """Keeps lines until they are asked for, and the first problem that no other try would mend."""

    def __init__(self):
        self.lines: list[str] = []
        self.first_problem: str | None = None

    def give_up(self, problem: str) -> None:
        self.first_problem = self.first_problem or problem

    def problem(self) -> str | None:
        return self.first_problem

    def say(self, line: str) -> None:
        self.lines.append(line)

    def heard(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


@contextlib.contextmanager
def ticking() -> Iterator[ActorHandle]:
    """Print whatever is said to the yielded actor, until the end of the block."""
    ticker, over = Ticker.remote(), threading.Event()  # type: ignore[attr-defined]

    def listen() -> None:
        last = False
        while not last:
            last = over.wait(SECONDS)
            try:
                for line in ray.get(ticker.heard.remote()):
                    print(line, flush=True)
            except RayError:  # its node is gone: the job goes on without these lines
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield ticker
    finally:
        over.set()
        thread.join()


class Spoken(io.TextIOBase):
    """A stdout whose lines are said to a ticker."""

    def __init__(self, ticker: ActorHandle):
        self.ticker, self.begun = ticker, ""

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            self.ticker.say.remote(line)
        return len(text)

from __future__ import annotations

import os
import time

import pytest

from colorize_core.sandbox import Crashed, OutOfMemory, Sandbox, TimedOut


class Worker:
    """What the sandbox runs in these tests."""

    def __init__(self, start: int):
        self.count = start

    def add(self, n: int) -> int:
        self.count += n
        return self.count

    def pid(self) -> int:
        return os.getpid()

    def secrets(self) -> list[str]:
        return [value for value in os.environ.values() if "hush" in value]

    def crash(self) -> None:
        os.kill(os.getpid(), 11)

    def hang(self) -> None:
        time.sleep(60)

    def balloon(self) -> int:
        return len(bytearray(1 << 30))

    def fail(self) -> None:
        raise ValueError("a sentence")

    def fail_unpicklable(self) -> None:
        class Local(Exception):
            pass

        raise Local("only here")


@pytest.fixture
def sandbox():
    box = Sandbox(Worker, 10, memory=300 << 20)
    yield box
    box.close()


def test_keeps_state_between_calls(sandbox):
    assert sandbox.call("add", 1, seconds=5) == 11
    assert sandbox.call("add", 2, seconds=5) == 13
    assert sandbox.call("pid", seconds=5) != os.getpid()


def test_an_exception_comes_back_and_the_child_lives(sandbox):
    before = sandbox.call("pid", seconds=5)
    with pytest.raises(ValueError, match="a sentence"):
        sandbox.call("fail", seconds=5)
    with pytest.raises(RuntimeError, match="only here"):
        sandbox.call("fail_unpicklable", seconds=5)
    assert sandbox.call("pid", seconds=5) == before


@pytest.mark.parametrize(("method", "error"), [("crash", Crashed), ("hang", TimedOut), ("balloon", OutOfMemory)])
def test_a_death_costs_one_call(sandbox, method, error):
    sandbox.call("add", 0, seconds=5)
    with pytest.raises(error):
        sandbox.call(method, seconds=1)
    assert sandbox.call("add", 1, seconds=5) == 11


def test_a_crash_names_its_signal(sandbox):
    with pytest.raises(Crashed, match="SIGSEGV"):
        sandbox.call("crash", seconds=5)


def test_the_child_ends_with_its_parent(sandbox):
    pid = sandbox.call("pid", seconds=5)
    sandbox.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_credentials_stay_outside(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    box = Sandbox(Worker, 0, memory=300 << 20)
    assert box.call("secrets", seconds=5) == []
    box.close()

from __future__ import annotations

import threading

import pytest

from colorize_core.storage import Store
from colorize_core.suspects import Suspects, WorkerDied


class Death(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


@pytest.fixture
def output(tmp_path):
    return Store(str(tmp_path))


def work_through(output: Store, deadly: str | None) -> list[str]:
    """A worker's pass over a block; dies where a worker would."""
    turn = threading.Lock()
    suspects = Suspects(output, "run", "block", alone=turn)

    def work(photo: str) -> list[str]:
        assert turn.locked() == suspects.careful
        if photo == deadly:
            raise Death
        return [photo]

    def give_up(photo: str, error: WorkerDied) -> str:
        return f"{photo}: {error.error_class}"

    results = suspects.work_through("abc", str, work, give_up)
    suspects.end()
    return results


def test_a_good_block_leaves_no_note(output):
    assert work_through(output, None) == ["a", "b", "c"]
    assert not list(output.list())


def test_the_photo_in_hand_at_two_noted_deaths_is_given_up(output):
    for _ in range(3):  # the first worker took no notes of photos
        with pytest.raises(Death):
            work_through(output, "b")
    assert work_through(output, "b") == ["a", "b: worker_died", "c"]
    assert not list(output.list())


def test_a_worker_killed_for_another_reason_condemns_nothing(output):
    for photo in "abc":
        with pytest.raises(Death):
            work_through(output, photo)
    assert work_through(output, None) == ["a", "b", "c"]

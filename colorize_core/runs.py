"""The runs of an output folder: what each was asked to do and how far it came."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

from colorize_core.storage import Damaged, Store

RUNS = "runs"
STALE = timedelta(minutes=2)  # a live run refreshes its file every ten seconds or so
STALLED = "died or stalled"


def read_runs(store: Store) -> list[dict]:
    """The JSON of every run, oldest first. Raises ``Damaged`` naming a file that is not a run."""
    runs = [_read(store, e.key) for e in store.list(f"{RUNS}/") if e.key.endswith(".json")]
    return sorted(runs, key=lambda run: (str(run.get("started_at") or ""), run["run"]))


def state(run: dict, now: datetime | None = None) -> str:
    """The run's own word for its state, unless it says ``running`` and has been silent for two minutes."""
    said = run.get("state") or "unknown"
    if said != "running":
        return said
    seen = moment(run.get("updated_at"))
    return said if seen and (now or datetime.now(UTC)) - seen <= STALE else STALLED


def next_command(command: str) -> str:
    """The command line that does what is left or has changed since a run of ``command``, and nothing else."""
    return shlex.join(word for word in shlex.split(command) if word not in ("--force", "--retry-failed"))


def retry_command(command: str) -> str:
    """The command line that tries again what a run of ``command`` failed or rejected, and nothing else."""
    words = iter(shlex.split(next_command(command)))
    kept = []
    for word in words:
        if word == "--manifest":
            next(words, None)
        elif not word.startswith("--manifest="):
            kept.append(word)
    return shlex.join([*kept, "--retry-failed"])


def moment(text: str | None) -> datetime | None:
    """An ISO 8601 time; UTC when it names no zone; None when there is none."""
    if not text:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _read(store: Store, key: str) -> dict:
    try:
        run = json.loads(store.read(key))
        if not isinstance(run, dict) or "run" not in run:
            raise ValueError("it does not name a run")
        for name in ("started_at", "updated_at", "finished_at"):
            moment(run.get(name))
    except (ValueError, TypeError) as e:
        raise Damaged(f"{store.uri(key)} is not the summary of a run ({e}); restore it, or delete it") from e
    return run

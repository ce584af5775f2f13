"""A crawl as a command, and what it leaves in its output root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from colorize_core.storage import Store
from crawler.items import SCHEMA

ROOT = Path(__file__).parent.parent.parent
QUICK = {"AUTOTHROTTLE_START_DELAY": 0.01, "AUTOTHROTTLE_MAX_DELAY": 0.02, "CONTACT": "test@example.org"}


def command(spider: str, *args: str, out: Path | str | None, settings: dict[str, Any] | None = None) -> list[str]:
    chosen = QUICK | ({} if out is None else {"OUT": out}) | (settings or {})
    options = [word for name, value in chosen.items() for word in ("-s", f"{name}={value}")]
    return [sys.executable, "-m", "scrapy", "crawl", spider, *options, *(word for arg in args for word in ("-a", arg))]


def crawl(
    spider: str,
    *args: str,
    out: Path | str | None,
    settings: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    seconds: float = 60,
) -> subprocess.CompletedProcess:
    """`scrapy crawl` in a process of its own; args are name=value. stdout holds all that it said."""
    return subprocess.run(
        command(spider, *args, out=out, settings=settings),
        cwd=ROOT, env=os.environ | (env or {}), text=True, timeout=seconds,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def start(spider: str, *args: str, out: Path | str, settings: dict[str, Any] | None = None) -> subprocess.Popen:
    return subprocess.Popen(
        command(spider, *args, out=out, settings=settings), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def records(out: Path | str) -> pa.Table:
    """Every row of every run, oldest run first."""
    store = Store(str(out))
    keys = sorted(entry.key for entry in store.list("records/"))
    return pa.concat_tables([SCHEMA.empty_table(), *(pq.read_table(pa.BufferReader(store.read(key))) for key in keys)])


def rows(out: Path | str) -> list[dict[str, Any]]:
    return records(out).to_pylist()

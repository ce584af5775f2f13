"""Planning and status at the size of a large archive; bounds are twice what two cores take."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import big_ledger
import pytest
from command import ROOT

from colorize_core.compaction import compact
from colorize_core.ledger import read_records
from colorize_core.manifest import read_manifest
from colorize_core.plan import history, make_plan
from colorize_core.storage import Store
from jobs.status import summarize

SCANS = 1_000_000
PLAN = f"""
import re, sys
from colorize_core.manifest import read_manifest
from colorize_core.plan import history, make_plan
from colorize_core.storage import Store
output, source = Store(sys.argv[1]), Store(sys.argv[2])
scans = read_manifest(sys.argv[1] + "/manifest.parquet", source)
plan = make_plan(source, scans, history(output), lambda hints: "{big_ledger.RECIPE}")
print(plan.listed, plan.already_done, len(plan.todo))
print(re.search("VmHWM: *(.*) kB", open("/proc/self/status").read())[1])  # ru_maxrss is the parent's where that is more
"""


def test_small_files_and_large_ones_say_the_same(tmp_path):
    out = tmp_path / "out"
    big_ledger.write(out, 2000, 2, 32)
    big_ledger.write_manifest(out / "manifest.parquet", 3000)
    store = Store(str(out))

    def told() -> tuple:
        scans = read_manifest(f"{out}/manifest.parquet", store)
        plan = make_plan(store, scans, history(store), lambda hints: big_ledger.RECIPE)
        summary = summarize(store, big_ledger.BEGAN)
        return plan.listed, plan.already_done, plan.todo.to_pylist(), summary["totals"], summary["runs"]

    before = told()
    assert before[:2] == (3000, 2000) and len(before[2]) == 1000
    assert before[3]["records"] == 2020 and before[3]["photos"] == 2000
    assert [run["recorded"] for run in before[4]] == [1020, 1000]
    assert compact(store) == 65 and len(list(store.list("records/"))) == 2
    after = told()
    for summary in (before[3], after[3], *before[4], *after[4]):
        for error in summary["errors"]:
            assert error.pop("example")["page"] == 0  # the first in the order of the files, which is another
    assert after == before
    assert read_records(store, ["key"]).num_rows == 2020


@pytest.mark.slow
def test_a_million_scans(tmp_path):
    out = tmp_path / "out"
    big_ledger.write(out, SCANS, 10, 100_000)
    big_ledger.write_manifest(out / "manifest.parquet", SCANS)
    listed, done, left, kilobytes = measure(60, "-c", PLAN, out, tmp_path)
    assert (listed, done, left) == (SCANS, SCANS, 0) and kilobytes < 1_500_000
    assert f"{SCANS:,} photos" in run(20, "-m", "jobs.status", out)


def measure(seconds: float, *arguments: str | Path) -> list[int]:
    return [int(number) for number in run(seconds, *arguments).split()]


def run(seconds: float, *arguments: str | Path) -> str:
    """What a Python of its own prints that uses no more processor time than that."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *map(str, arguments)]
    said = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=600, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < seconds
    return said.stdout

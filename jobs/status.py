"""Say how a colorization stands, from its output folder alone: while it runs, and after it died."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.fingerprint import fingerprints, pack, repeated, shared, unpack
from colorize_core.ledger import ROW, columns_of, gather, outdated
from colorize_core.records import Status
from colorize_core.runs import STALLED, moment, read_runs, retry_command, state
from colorize_core.storage import StorageError, Store
from colorize_core.text import visible

CODED = ("recipe", "run", "status", "error_class")  # few values, many rows
COLUMNS = (*ROW, "error_class", "error_message", "source_size", "width", "height")
FIGURES = ("run", "status", "error_class", "error_message", "key", "page", "source_size", "pixels")
SHOWN_RUNS = 5


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    pa.set_memory_pool(pa.system_memory_pool())  # the default one gives memory back and asks for it again, file by file
    try:
        store = Store(args.output)
        summary = summarize(store, datetime.now(UTC))
    except (StorageError, ValueError) as e:
        print(f"status: {e}", file=sys.stderr)
        return 2
    if not summary["runs"] and not summary["totals"]["records"]:
        print(
            f"status: {store.root} is not the output of a colorize job: it holds neither runs/*.json nor "
            "records/*.parquet; name the folder that was the job's second argument",
            file=sys.stderr,
        )
        return 2
    print(json.dumps(summary, indent=2) if args.json else describe(summary))
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.status", description=__doc__)
    parser.add_argument("output", metavar="OUT", help="output folder of a colorize job: a path, s3://… or gs://…")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, all runs included")
    return parser.parse_args(argv)


def summarize(store: Store, now: datetime) -> dict:
    """Runs, totals and the next command of an output folder, ready for JSON."""
    runs = read_runs(store)
    table, old = _compare(gather(store, columns_of(COLUMNS, CODED), _shrink).unify_dictionaries())
    by_run = _by_run(table)
    nothing = table.slice(0, 0)
    summaries = [summarize_run(run, by_run.get(run["run"], nothing), now) for run in runs]
    unsigned = sorted(by_run.keys() - {run["run"] for run in runs})
    summaries += [summarize_run({"run": run}, by_run[run], now) for run in unsigned]
    photos = table.filter(pa.array(~old))
    totals = {"records": table.num_rows, "photos": photos.num_rows, **figures(photos)}
    return {
        "output": store.root,
        "at": now.isoformat(timespec="seconds"),
        "runs": summaries,
        "totals": totals,
        **_next_step(summaries, totals),
    }


def summarize_run(run: dict, rows: pa.Table, now: datetime) -> dict:
    """How far a run came. ``rows`` are its records, one for each page; planned and done are scans.

    A live run is counted by its own summary, any other by the records that it left, since these are what the next run
    will not do again.
    """
    condition = state(run, now)
    done = run.get("done") if condition == "running" else None
    done = pc.sum(rows["scans"]).as_py() or 0 if done is None else done
    planned, rate = run.get("planned"), run.get("rate_per_s") or 0.0
    left = (planned - done) / rate if condition == "running" and planned is not None and rate > 0 else None
    updated = moment(run.get("updated_at"))
    return {
        "run": run["run"],
        "state": condition,
        "exit_code": run.get("exit_code"),
        "command": run.get("command"),
        "source": run.get("source"),
        "host": run.get("host"),
        "started_at": run.get("started_at"),
        "finished_at": run.get("finished_at"),
        "silent_s": round((now - updated).total_seconds(), 1) if updated else None,
        "listed": run.get("listed"),
        "already_done": run.get("already_done"),
        "planned": planned,
        "done": done,
        "recorded": rows.num_rows,
        "percent": round(100 * done / planned, 1) if planned else None,
        "rate_per_s": rate,
        "eta_s": round(max(left, 0.0), 1) if left is not None else None,
        "seconds": run.get("seconds"),
        "model": run.get("model"),
        **figures(rows),
    }


def figures(rows: pa.Table) -> dict:
    """Counts by status, bytes read, pixels and errors of a table of records."""
    counts = {status.value: 0 for status in Status}
    counts |= {pair["values"]: pair["counts"] for pair in pc.value_counts(rows["status"]).to_pylist()}
    return {
        "counts": counts,
        "bytes": pc.sum(rows["source_size"]).as_py() or 0,
        "pixels": pc.sum(rows["pixels"]).as_py() or 0,
        "errors": errors(rows),
    }


def errors(rows: pa.Table) -> list[dict]:
    """Each error class with its count and the first photo that met it; the most frequent first."""
    wanted = columns_of(["error_class", "status", "key", "page", "error_message"])
    bad = rows.select(wanted.names).filter(pc.is_valid(rows["error_class"]))
    bad = pa.table([bad[field.name].cast(field.type) for field in wanted], schema=wanted)
    kinds = sorted(pc.value_counts(bad["error_class"]).to_pylist(), key=lambda k: (-k["counts"], k["values"]))
    found = []
    for kind in kinds:
        row = bad.slice(pc.index(bad["error_class"], kind["values"]).as_py(), 1).to_pylist()[0]
        found.append(
            {
                "error_class": kind["values"],
                "status": row["status"],
                "count": kind["counts"],
                "example": {"key": row["key"], "page": row["page"], "message": row["error_message"]},
            }
        )
    return found


def describe(summary: dict) -> str:
    """The summary as plain text."""
    runs, totals = summary["runs"], summary["totals"]
    lines = [summary["output"]]
    if len(runs) > SHOWN_RUNS:
        lines += ["", f"{len(runs) - SHOWN_RUNS} earlier runs not shown (--json lists all)"]
    for run in runs[-SHOWN_RUNS:]:
        lines += ["", *describe_run(run)]
    lines += [
        "",
        f"in all     {totals['photos']:,} photos: {_counts(totals['counts'])}",
        f"           {_size(totals['bytes'])} read, {totals['pixels'] / 1e6:,.1f} megapixels, "
        f"{totals['records']:,} records",
        *(_errors(totals["errors"]) if len(runs) > 1 else []),
        "",
        summary["advice"],
    ]
    if summary["next_command"]:
        lines.append(f"  {summary['next_command']}")
    return "\n".join(lines)


def describe_run(run: dict) -> list[str]:
    started = moment(run["started_at"])
    head = f"run {run['run']}  {run['state']}"
    if run["exit_code"] is not None:
        head += f" (exit code {run['exit_code']})"
    if run["state"] == STALLED and run["silent_s"] is not None:
        head += f" (last sign of life {_duration(run['silent_s'])} ago)"
    if started:
        head += f", started {started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if run["host"]:
        head += f" on {visible(run['host'])}"
    lines = [head]
    progress = f"{run['done']:,}"
    if run["planned"] is not None:
        progress += f" of {run['planned']:,}"
        progress += f" ({run['percent']:.1f} %)" if run["percent"] is not None else ""
    if run["already_done"]:
        progress += f", {run['already_done']:,} were done before"
    if run["rate_per_s"]:
        progress += f", {run['rate_per_s']:,.2f} photos/s"
    if run["eta_s"] is not None:
        progress += f", {_duration(run['eta_s'])} to go"
    lines.append(f"  done     {progress}")
    lines.append(f"  recorded {run['recorded']:,}: {_counts(run['counts'])}")
    lines.append(f"           {_size(run['bytes'])} read, {run['pixels'] / 1e6:,.1f} megapixels")
    return lines + _errors(run["errors"])


def _shrink(rows: pa.Table) -> pa.Table:
    """What the figures need of records: names and messages only where there is an error, fingerprints for the rest.

    scan: half of the fingerprint of the key, uint64. photo, row: whole ones of the photo and of all of the row.
    """
    bad = pc.is_valid(rows["error_class"])
    scan = fingerprints(rows, ROW[:1])
    photo = scan + fingerprints(rows, ROW[1:2], 1)
    columns = {
        "scan": scan[:, 0],
        "photo": pack(photo),
        "row": pack(photo + fingerprints(rows, ROW[2:], 2)),
        "key": pc.if_else(bad, rows["key"], None),
        "error_message": pc.if_else(bad, rows["error_message"], None),
        "pixels": pc.multiply(rows["width"].cast(pa.int64()), rows["height"].cast(pa.int64())),
    }
    kept = ("page", "run", "status", "error_class", "source_size", "attempt", "finished_at")
    return pa.table(columns | {name: rows[name] for name in kept})


def _compare(table: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """What the figures are counted from, each row once, and which rows a later one of their photo outdates.

    The column ``scans`` is 1 in the first row that a run has of a scan. Only rows of scans that have several are
    looked at, which are few.
    """
    while True:
        among = shared(table["scan"].to_numpy())
        rivals = table.select(["run", "scan", "photo", "row", "attempt", "finished_at"]).take(pa.array(among))
        if not (copies := among[repeated(unpack(rivals["row"]))]).size:
            break
        kept = np.ones(table.num_rows, bool)
        kept[copies] = False
        table = table.filter(pa.array(kept))
    old, first = np.zeros(table.num_rows, bool), np.ones(table.num_rows, np.int8)
    old[among] = outdated(rivals, unpack(rivals["photo"]))
    first[among] -= repeated(fingerprints(rivals, ("run", "scan")))
    return table.select(FIGURES).append_column("scans", pa.array(first)), old


def _by_run(table: pa.Table) -> dict[str, pa.Table]:
    """The rows of each run, in their order."""
    if not table.num_rows:
        return {}
    runs = pa.concat_arrays(table["run"].chunks)
    codes = runs.indices.to_numpy()
    if (codes[1:] < codes[:-1]).any():  # files lie in the folder of their run, so that this is rare
        order = np.argsort(codes, kind="stable")
        table, codes = table.take(pa.array(order)), codes[order]
    found, starts, counts = np.unique(codes, return_index=True, return_counts=True)
    names = runs.dictionary.take(pa.array(found)).to_pylist()
    return {name: table.slice(start, count) for name, start, count in zip(names, starts, counts, strict=True)}


def _next_step(runs: list[dict], totals: dict) -> dict:
    last = next((run for run in reversed(runs) if run["command"]), None)
    if last is None:
        return {"advice": "no run left its command; run the job again as before to continue", "next_command": None}
    command = last["command"]
    failed, rejected = totals["counts"][Status.FAILED], totals["counts"][Status.REJECTED]
    if last["state"] == "running":
        return {"advice": "a run is at work; should it die, this continues it:", "next_command": command}
    if last["state"] in (STALLED, "interrupted", "failed") or last["done"] < (last["planned"] or 0):
        return {"advice": "the last run did not come to its end; this continues it:", "next_command": command}
    if failed or rejected:
        left = " and ".join(f"{n:,} {word}" for n, word in ((failed, "failed"), (rejected, "rejected")) if n)
        return {"advice": f"this tries the {left} again:", "next_command": retry_command(command)}
    return {"advice": "nothing is left to do", "next_command": None}


def _errors(found: list[dict]) -> list[str]:
    lines = []
    for kind in found:
        example = kind["example"]
        name = visible(example["key"]) + (f" (page {example['page']})" if example["page"] else "")
        lines.append(f"    {kind['count']:>7,} × {visible(kind['error_class'])} ({kind['status']}), such as {name}")
        if example["message"]:
            lines.append(f"              {visible(example['message'])[:300]}")
    return lines


def _counts(counts: dict) -> str:
    return ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{timedelta(minutes=minutes).days} days"


if __name__ == "__main__":
    sys.exit(main())

"""The campaign: ``PYTHONPATH=.:tests python -m faults.campaign``.

One job over one archive, first undisturbed, then again and again while things are killed, frozen, slowed, refused and
damaged. The operator runs the same command again until it ends well. In the end every photograph must be there once,
in its state and with its bytes. Exit code 0 when that is so for every run. A run that is finished is not repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import servers
from command import ROOT
from servers import ACCESS_KEY, SECRET_KEY, S3Server

from faults import archive
from faults.judge import Result, judge, look, versions
from faults.scene import SECOND_KEY, Scene, write_credentials
from faults.themes import SHORT, THEMES, Theme

USUAL = ("--device", "cpu", "--max-failed", "0", "--storage-timeout", "5", "--stall-timeout", "75")
RERUNS = 8  # beyond those after a kill of the driver or of its cluster's head
HUNG_SECONDS = 240
BUCKET = "campaign"
ZEROS = "lost", "doubled", "differing", "extra", "input_changed", "hung", "speechless", "given_up"


@contextmanager
def moto() -> Iterator[S3Server]:
    """An emulated S3 in a process of its own."""
    (port,) = servers.free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        servers.wait_for_port(port, process)
        yield S3Server(f"http://127.0.0.1:{port}", verifies_bodies=False)
    finally:
        process.kill()
        process.wait()


@contextmanager
def radosgw() -> Iterator[S3Server]:
    """A Ceph gateway that knows a second access key."""
    with servers.radosgw() as server:
        running = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
        (gateway,) = (line.split() for line in running.stdout.splitlines() if line.startswith("radosgw "))
        subprocess.run(
            ["radosgw-admin", "-c", gateway[gateway.index("-c") + 1], "key", "create", "--uid=test",
             f"--access-key={SECOND_KEY}", f"--secret-key={SECRET_KEY}"],
            check=True, capture_output=True,
        )  # fmt: skip
        yield server


def usable_radosgw() -> bool:
    return all(map(servers.shutil.which, servers.CEPH_TOOLS))


class Campaign:
    """Runs over one archive in one bucket; results are kept in a folder, a JSON for each run."""

    def __init__(self, server: S3Server, folder: Path, photos: int, seed: int, nodes: int):
        self.server, self.folder, self.photos, self.seed, self.nodes = server, folder, photos, seed, nodes
        self.code = code_digest(photos, seed, nodes)
        self.client = server.client()
        folder.mkdir(parents=True, exist_ok=True)
        # for our own look at the bucket, past the proxy; no key is in the environment that nodes inherit
        write_credentials(folder / "own-credentials", ACCESS_KEY)
        os.environ |= {name: value for name, value in server.env.items() if "KEY" not in name}
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(folder / "own-credentials")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            os.environ.pop(name, None)
        server.make_bucket(BUCKET)
        archive.store(self.client, BUCKET, "scans/", photos, seed)
        self.scans = versions(self.client, BUCKET, "scans/")
        self.reference: Result | None = None

    def run(self, theme: Theme) -> dict:
        """One run from its first command to its last, and the verdict."""
        file = self.folder / f"{theme.name}.json"
        with suppress(FileNotFoundError):
            before = json.loads(file.read_text())
            if before["code"] == self.code:
                if theme.name == "calm":
                    self.reference = Result(**before["result"])
                return before
        rng = random.Random(f"{self.seed} {theme.name}")
        arguments = [*USUAL, *theme.arguments]
        with Scene(
            self.server, BUCKET, f"out-{theme.name}", self.folder / theme.name, arguments, rng, self.nodes
        ) as scene:
            told = self._play(scene, theme)
        found = look(self.client, BUCKET, f"{scene.output}/")
        if theme.name == "calm":
            self.reference = found
        assert self.reference is not None, "the calm run comes first"
        verdict = judge(found, self.reference)
        verdict.input_changed = len(self.scans.items() ^ versions(self.client, BUCKET, "scans/").items())
        row = {
            "run": theme.name,
            "code": self.code,
            "seed": f"{self.seed} {theme.name}",
            "arguments": arguments,
            "photos": len(self.reference.rows),
            **told,
            "bad_answers": {name: n for name, n in scene.injected.items() if name != "requests"},
            "requests": scene.injected["requests"],
            "ends": [driver.exit_code for driver in scene.drivers],
            "speechless": sum(driver.speechless for driver in scene.drivers),
            **asdict(verdict),
        }
        if theme.name == "calm":
            row["result"] = found.save()
        file.write_text(json.dumps(row, indent=1, default=str))
        return row

    def _play(self, scene: Scene, theme: Theme) -> dict:
        """Run the job to its good end, and strike at its moments."""
        total = len(self.reference.objects) if self.reference else 0
        faults = theme.draw(scene.rng, self.photos) if total else []
        moments = [total * theme.by * (i + scene.rng.uniform(0.1, 0.9)) / len(faults) for i in range(len(faults))]
        coming = list(zip(moments, faults, strict=True))
        hung = given_up = 0
        scene.began = time.monotonic()
        scene.start_driver()
        failed = False  # whether a command that ended since the last start did not end well
        while True:
            failed |= any(driver.exit_code for driver in scene.tick())
            if not scene.running:
                if not failed:
                    break
                if len(scene.drivers) > RERUNS + len(scene.done):
                    given_up = 1
                    break
                scene.heal()
                scene.start_driver()
                failed = False
            if coming and len(scene.traffic.stored) >= coming[0][0] and (what := coming[0][1](scene)):
                scene.note(coming[0][1].__name__, what)
                del coming[0]
            if time.monotonic() - scene.traffic.progress > HUNG_SECONDS:
                hung += 1
                for driver in scene.running:
                    driver.kill()
            time.sleep(0.02)
        wall = round(scene.seconds, 1)
        return {
            "wall": wall,
            "faults": scene.story(),
            "remarks": scene.remarks,
            "missed": [fault.__name__ for _, fault in coming],
            "hung": hung,
            "given_up": given_up,
        }


def code_digest(*settings: object) -> str:
    """Of the product, the campaign and the settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for folder in ("colorize_core", "jobs", "tests/faults"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def table(rows: list[dict]) -> str:
    """The results in Markdown."""
    walls = {row["run"]: row["wall"] for row in rows}
    lines = [
        "| run | faults | bad answers | commands | lost | doubled | differing | extra | hung | speechless | rows again "
        "| notes left | wall s | s a fault |",
        "|---|" + "--:|" * 13,
    ]
    for row in rows:
        calm = walls.get("calm-split" if "split" in row["run"] else "calm", row["wall"])
        count = len(row["faults"])
        each = f"{(row['wall'] - calm) / count:.1f}" if count else ""
        cells = [
            row["run"], count, sum(row["bad_answers"].values()), len(row["ends"]), row["lost"], row["doubled"],
            row["differing"], row["extra"], row["hung"] + row["given_up"], row["speechless"], row["repeated_rows"],
            row["notes_left"], f"{row['wall']:.0f}", each,
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    troubled = [row for row in rows if row["faults"]]
    faults, bad = (sum(counts) for counts in ([len(r["faults"]) for r in troubled], [trouble(r) for r in rows]))
    lines.append(f"\n{len(troubled)} runs of {rows[0]['photos']:,} pages with {faults} faults; troubles found: {bad}")
    return "\n".join(lines)


def trouble(row: dict) -> int:
    return sum(row[name] for name in ZEROS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.campaign", description=__doc__)
    themes = {theme.name: theme for theme in (*THEMES, SHORT)}
    parser.add_argument("--photos", type=int, default=1000, metavar="N", help="(default %(default)s)")
    parser.add_argument("--runs", default="all", metavar="NAMES", help=f"all, or some of {', '.join(themes)}")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="(default %(default)s)")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="of one CPU each (default %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/faults"), metavar="DIR", help="(default %(default)s)")
    parser.add_argument("--server", choices=("radosgw", "moto"), default="radosgw" if usable_radosgw() else "moto")
    args = parser.parse_args()
    names = [theme.name for theme in THEMES] if args.runs == "all" else ["calm", *args.runs.split(",")]
    if unknown := set(names) - themes.keys():
        parser.error(f"no such run: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything we started is ended
    with {"radosgw": radosgw, "moto": moto}[args.server]() as server:
        campaign = Campaign(server, args.out.resolve(), args.photos, args.seed, args.nodes)
        print(f"{args.photos:,} photographs on {args.server}, seed {args.seed}", flush=True)
        rows = []
        for name in dict.fromkeys(names):
            rows.append(campaign.run(themes[name]))
            print(f"{name}: {trouble(rows[-1])} troubles, {rows[-1]['wall']:.0f} s", flush=True)
    (args.out / "table.md").write_text(table(rows) + "\n")
    (args.out / "campaign.json").write_text(
        json.dumps([{k: v for k, v in row.items() if k != "result"} for row in rows], indent=1, default=str)
    )
    print(table(rows))
    return 1 if any(map(trouble, rows)) else 0


if __name__ == "__main__":
    sys.exit(main())

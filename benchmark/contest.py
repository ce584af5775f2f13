"""A contest: the job beside its floor and beside the alternatives, in rounds, so that all meet the same weather."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.contender import JOB, Outcome, command, link, run
from benchmark.sameness import difference

COMPARED = 8  # photos whose results are compared


@dataclass
class Round:
    """One measurement of everything.

    stages: a row for every photo (see ``benchmark.stages``). whole: the job over all photos. pairs: for each
    alternative its outcome over the sample, and the job's over the photos that it has done. trouble: why an
    alternative has no outcome.
    """

    stages: list[dict[str, Any]]
    whole: Outcome
    pairs: dict[str, tuple[Outcome, Outcome]] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)


class Contest:
    """Rounds over ``paths`` below ``source``, the alternatives over ``sample``; ``folder`` is for what comes out."""

    def __init__(self, source: Path, sample: Sequence[Path], alternatives: Sequence[str], folder: Path):
        self.source, self.sample, self.alternatives, self.folder = source, sample, alternatives, folder
        self.likeness: dict[str, dict[str, dict[str, Any]]] = {}

    def round(self, number: int) -> Round:
        """Measure everything once, the alternatives in an order that turns from round to round."""
        stages = self.folder / "stages"
        shutil.rmtree(stages, ignore_errors=True)
        command("benchmark.stages", self.source, stages, OMP_NUM_THREADS="1")
        rows = json.loads((stages / "stages.json").read_text())
        shutil.rmtree(stages)
        say("the stages alone", sum(sum(row["cpu"].values()) for row in rows), len(rows))
        result = Round(rows, self._run(JOB, self.source, "whole"))
        shutil.rmtree(self.folder / "whole")
        if self.alternatives:
            chosen = link(self.sample, self.source, self.folder / "sample")
            ours = self._run(JOB, chosen, "ours")
            turn = number % len(self.alternatives)
            for name in (*self.alternatives[turn:], *self.alternatives[:turn]):
                try:
                    theirs = self._run(name, chosen, "theirs")
                    result.pairs[name] = theirs, self._over_the_same(ours, theirs)
                    if name not in self.likeness:
                        self.likeness[name] = self._compare(ours, theirs)
                except (subprocess.SubprocessError, RuntimeError) as error:
                    result.trouble[name] = reason(error)
                    print(f"  {name} ended badly: {result.trouble[name]}", flush=True)
                shutil.rmtree(self.folder / "theirs", ignore_errors=True)
            shutil.rmtree(self.folder / "ours")
        return result

    def _run(self, name: str, source: Path, folder: str) -> Outcome:
        outcome = run(name, source, self.folder / folder)
        say(name, outcome.working, outcome.photos)
        return outcome

    def _over_the_same(self, ours: Outcome, theirs: Outcome) -> Outcome:
        """The job over the photos that an alternative could do."""
        if ours.pictures.keys() <= theirs.pictures.keys():
            return ours
        done = [path for path in self.sample if path.relative_to(self.source).as_posix() in theirs.pictures]
        subset = self._run(JOB, link(done, self.source, self.folder / "subset"), "ours-again")
        shutil.rmtree(self.folder / "ours-again")
        return subset

    def _compare(self, ours: Outcome, theirs: Outcome) -> dict[str, dict[str, Any]]:
        """Mean and 99th percentile of the difference of some results, one of each kind of photo."""
        both = sorted(ours.pictures.keys() & theirs.pictures.keys())
        kinds = {re.sub(r"[-_ ]?\d+$", "", Path(key).stem): key for key in reversed(both)}
        rows: dict[str, dict[str, Any]] = {}
        for key in sorted(kinds.values())[:COMPARED]:
            try:
                mean, most = difference(
                    self.folder / "ours" / ours.pictures[key], self.folder / "theirs" / theirs.pictures[key]
                )
                rows[key] = {"mean": mean, "p99": most}
            except ValueError as error:
                rows[key] = {"error": str(error)}
        return rows


def say(name: str, seconds: float, photos: int) -> None:
    print(f"  {name}: {photos} photos in {seconds:.1f} s", flush=True)


def reason(error: Exception) -> str:
    """The last thing that a command said."""
    said = str(getattr(error, "stderr", "") or error).strip()
    return (said.splitlines() or [type(error).__name__])[-1][:200]

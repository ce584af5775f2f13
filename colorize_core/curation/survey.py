"""The survey: every photograph of a source examined, a row each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from colorize_core.curation.dataset import EXAMINED, EXAMINED_SCHEMA, FAILED, block_name, write_block
from colorize_core.curation.examine import GENERATION, Examiner, Findings, Rules
from colorize_core.curation.sources import find_source
from colorize_core.photo import Limits, Rejected
from colorize_core.sandbox import SandboxError
from colorize_core.storage import Store
from colorize_core.suspects import Suspects, WorkerDied
from colorize_core.workbench import Workbench


@dataclass(frozen=True)
class Survey:
    """What is done to every photograph, and within what bounds."""

    source: Store
    output: Store
    run: str
    rules: Rules
    limits: Limits
    seconds: float  # for one photograph, half a second per megapixel on top
    memory: int  # bytes that one photograph may take; 0: a worker's share of its own machine

    @property
    def digest(self) -> str:
        """Of everything that can change what an examination finds."""
        return hashlib.sha1(repr((GENERATION, self.rules, self.limits)).encode()).hexdigest()[:12]


class Examine:
    """Examines blocks of a source's listing and stores each as a file of ``examined/``."""

    def __init__(self, survey: Survey):
        self.survey, self.origin = survey, find_source(survey.source)
        self.bench = Workbench(survey, Examiner, survey.rules)

    def __call__(self, rows: Sequence[dict]) -> list[str | None]:
        """The reason of each photograph of a block, None for those that are fit, once the block is stored."""
        name = block_name([(row["key"], row["etag"]) for row in rows], self.survey.digest)
        suspects = Suspects(self.survey.output, self.survey.run, name)
        known = zip(rows, self.origin.about(list(rows)), strict=True)
        found = suspects.work_through(known, lambda work: work[0]["key"], self._examine, self._give_up)
        write_block(self.survey.output, EXAMINED, name, pa.Table.from_pylist(found, EXAMINED_SCHEMA))
        suspects.end()
        return [row["reason"] for row in found]

    def _examine(self, work: tuple[dict, dict]) -> Iterator[dict]:
        row, about = work
        path = self.bench.new_path()
        sha256 = None
        try:
            sha256 = self.origin.copy(row, self.bench, path)
            findings: Findings = self.bench.call("examine", path)
            yield self._row(row, about, sha256=sha256) | vars(findings)
        except Exception as error:
            yield self._trouble(row, about, error) | {"sha256": sha256}
        finally:
            path.unlink(missing_ok=True)

    def _give_up(self, work: tuple[dict, dict], error: WorkerDied) -> dict:
        return self._trouble(*work, error)

    def _trouble(self, row: dict, about: dict, error: Exception) -> dict:
        """A bad photograph is dropped for good; anything else failed and is examined again by the next run."""
        bad = isinstance(error, Rejected | SandboxError | WorkerDied)
        reason = error.error_class if bad else FAILED  # type: ignore[attr-defined]
        return self._row(row, about, reason=reason, message=str(error))

    def _row(self, row: dict, about: dict, **facts: object) -> dict:
        return {
            **about,
            **facts,
            "key": row["key"],
            "etag": row["etag"],
            "rules": self.survey.digest,
            "examined_at": datetime.now(UTC),
        }

"""An evaluation as it is printed and as it is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.evaluation.contest import Contest
from colorize_core.evaluation.row import Row
from colorize_core.evaluation.sheet import Strip, make_sheet, pick
from colorize_core.evaluation.table import BY_CLUSTER, LEGEND, Table, cluster_table, figures_table


@dataclass(frozen=True)
class Report:
    """``figures`` are those of every photograph, ``summary`` what ``summarize`` made of them with the costs and FIDs,
    ``head`` and ``notes`` lines of text, ``about`` what else the record says.
    """

    contest: Contest
    figures: pa.Table
    summary: dict
    head: list[str]
    notes: list[str]
    about: dict

    def tables(self) -> list[Table]:
        """Everything over all photographs, then a few measures by cluster."""
        summary = self.summary
        by_cluster = [cluster_table(key, summary) for key in BY_CLUSTER] if len(summary["clusters"]) > 1 else []
        return [figures_table("all photographs", summary["overall"]), *by_cluster]

    def plain(self) -> str:
        tables = "\n\n".join(table.plain() for table in self.tables())
        return "\n\n".join("\n".join(lines) for lines in (self.head, [tables], LEGEND, self.notes))

    def markdown(self) -> str:
        """As printed, and a table of everything for each cluster where there are several."""
        clusters = self.summary["clusters"].items()
        each = [figures_table(f"cluster {number}", lines) for number, lines in clusters] if len(clusters) > 1 else []
        tables = [table.markdown() for table in (*self.tables(), *each)]
        lists = ["\n".join(f"- {line}" for line in lines) for lines in (LEGEND, self.notes)]
        return "\n\n".join(["# Evaluation", *self.head, *tables, *lists]) + "\n"

    def json(self) -> bytes:
        """All but the figures of single photographs; a measure that was not taken is not there."""
        rows = {row.name: {"about": row.about} | row.details for row in self.contest.rows}
        return json.dumps(self.about | {"rows": rows} | self.summary | {"notes": self.notes}, indent=2).encode()

    def sheet(self, row: Row) -> bytes:
        """A JPEG of a model's best, median and worst photographs by dE2000."""
        own = self.figures.filter(pc.equal(self.figures["row"], row.name))
        errors, psnr = own["delta_e2000"].to_pylist(), own["psnr"].to_pylist()
        groups = {
            name: [self._strip(row, i, f"dE2000 {errors[i]:.1f}   PSNR {psnr[i]:.1f} dB") for i in places]
            for name, places in pick(errors).items()
        }
        title = f"{row.name}: colors made by a machine, from best to worst of {len(errors):,} photographs by dE2000"
        return make_sheet(title, groups, row.name, row.details["sha256"])

    def _strip(self, row: Row, i: int, figures: str) -> Strip:
        contest, photographs = self.contest, self.contest.photographs
        truth = contest.truth(i)
        caption = f"{figures}   cluster {photographs.clusters[i]}   {photographs.sha256[i][:12]}"
        gray, _ = contest.colorize(contest.rows[0], truth, i)
        colored, _ = contest.colorize(row, truth, i)
        return Strip(gray, colored, truth.rgb, caption)

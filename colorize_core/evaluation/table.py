"""A table of figures, as plain text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NOTHING = "-"  # in place of a figure that there is not


@dataclass(frozen=True)
class Column:
    """``key`` in a line, the words above it, decimals, and what the figure is multiplied by to be shown."""

    key: str
    title: str
    decimals: int
    factor: float = 1

    def show(self, line: dict[str, float]) -> str:
        return NOTHING if (value := line.get(self.key)) is None else f"{value * self.factor:,.{self.decimals}f}"


COLUMNS = (
    Column("psnr", "PSNR dB", 2),
    Column("psnr_ab", "ab dB", 2),
    Column("ssim", "SSIM", 3),
    Column("delta_e2000", "dE2000", 2),
    Column("edge_delta_e2000", "edges dE", 2),
    Column("colorfulness", "CF", 2),
    Column("colorfulness_ratio", "CF/truth", 2),
    Column("auc", "AuC %", 1, 100),
    Column("auc_rebalanced", "AuC reb %", 1, 100),
    Column("accuracy", "acc %", 1, 100),
    Column("doubt_rank", "doubt rank", 2),
    Column("lpips", "LPIPS", 3),
    Column("fid", "FID", 2),
    Column("parameters_m", "param M", 2),
    Column("gflops", "GFLOPs", 2),
    Column("ms", "ms", 1),
)
LEGEND = (
    "higher is better: PSNR (of sRGB; ab: of Lab a and b), SSIM, AuC (share of pixels near the true ab; reb: rare "
    "colors count as much as common ones), acc",
    "lower is better: dE2000 (mean CIEDE2000; edges: beside the strongest 5 % of edges), LPIPS, FID",
    "CF is colorfulness, best when CF/truth is 1. acc is 1 - MSE/7500 over 8-bit Lab, high for gray too: all rows keep "
    "the true lightness",
    "doubt rank: rank correlation of a row's uncertainty with its dE2000 over the photographs, 1 where the unsurest "
    "are the worst",
    "GFLOPs at 256 x 256, multiply and add counted as two; ms a photograph, the network alone on one thread of this "
    "machine",
)
BY_CLUSTER = ("delta_e2000", "psnr", "colorfulness_ratio")  # what is told of each cluster beside the table of all


@dataclass(frozen=True)
class Table:
    """Cells of text; the first column is aligned left, the others right."""

    title: str
    head: list[str]
    body: list[list[str]]

    def plain(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.body, strict=True)]
        lines = [self.head, ["-" * width for width in widths], *self.body]
        return "\n".join([self.title, *("  ".join(_align(line, widths)).rstrip() for line in lines)])

    def markdown(self) -> str:
        rule = ["---", *["---:"] * (len(self.head) - 1)]
        rows = ("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in self.body)
        return "\n".join([f"**{self.title}**", "", f"| {' | '.join(self.head)} |", f"| {' | '.join(rule)} |", *rows])


def _align(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]


def figures_table(title: str, lines: dict[str, dict[str, float]]) -> Table:
    """One line for each row; a column that is empty in every row is left out."""
    columns = [column for column in COLUMNS if any(column.key in line for line in lines.values())]
    body = [[name, *(column.show(line) for column in columns)] for name, line in lines.items()]
    return Table(title, ["", *(column.title for column in columns)], body)


def cluster_table(key: str, summary: dict[str, dict]) -> Table:
    """One measure, a line for each row and a column for each cluster and for all."""
    column = next(column for column in COLUMNS if column.key == key)
    groups = {"all": summary["overall"]} | summary["clusters"]
    head = ["", "all", *(f"{number} ({summary['sizes'][number]:,})" for number in summary["clusters"])]
    names = [name for name, line in summary["overall"].items() if key in line]
    body = [[name, *(column.show(lines[name]) for lines in groups.values())] for name in names]
    return Table(f"{column.title} by cluster (photographs)", head, body)

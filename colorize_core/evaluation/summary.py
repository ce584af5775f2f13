"""The figures of many photographs as one line for each row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr

from colorize_core.evaluation.row import TRUTH
from colorize_core.evaluation.score import FIGURES

CEILING = 60.0  # dB: a photograph told from the truth by less than rounding counts as this much in a mean
MEASURES = (*(figure for figure in FIGURES if figure != "rarity"), "lpips")

Line = dict[str, float]  # a measure and its value; what was not measured is not there


def lines(figures: pa.Table) -> dict[str, Line]:
    """Each row's means over the photographs of ``figures`` (``contest.SCHEMA``), in the order of first appearance.

    PSNR counts at most 60 dB a photograph. ``auc_rebalanced`` is that of all pixels together. ``colorfulness_ratio``
    is the mean colorfulness of the row over that of the truth, absent where the truth has none. ``doubt_rank`` is
    Spearman's rank correlation of a row's uncertainty with its dE2000, absent where it tells none or always the same.
    """
    names = figures["row"].to_numpy(zero_copy_only=False)
    columns = {measure: figures[measure].to_numpy() for measure in (*MEASURES, "rarity", "uncertainty")}
    found: dict[str, Line] = {}
    for name in dict.fromkeys(names.tolist()):
        chosen = {measure: values[names == name] for measure, values in columns.items()}
        line = {measure: _mean(measure, chosen) for measure in MEASURES if not np.isnan(chosen[measure]).all()}
        doubt = chosen["uncertainty"]
        if len(doubt) > 1 and np.isfinite(doubt).all() and np.ptp(doubt) > 0:
            line["doubt_rank"] = float(spearmanr(doubt, chosen["delta_e2000"]).statistic)
        found[name] = line
    full = found[TRUTH]["colorfulness"]
    if full > 0:
        for line in found.values():
            line["colorfulness_ratio"] = line["colorfulness"] / full
    return found


def _mean(measure: str, chosen: dict[str, np.ndarray]) -> float:
    values = chosen[measure]
    if measure.startswith("psnr"):
        values = np.minimum(values, CEILING)
    return float(np.average(values, weights=chosen["rarity"] if measure == "auc_rebalanced" else None))


def summarize(figures: pa.Table) -> dict[str, dict]:
    """The lines of all photographs under ``overall``, and those of each cluster by its number under ``clusters``.

    Under ``sizes`` is the number of photographs of each cluster.
    """
    clusters = figures["cluster"].to_numpy()
    numbers = [int(number) for number in np.unique(clusters)]
    sizes = {number: len(set(figures.filter(clusters == number)["sha256"].to_pylist())) for number in numbers}
    return {
        "overall": lines(figures),
        "clusters": {number: lines(figures.filter(clusters == number)) for number in numbers},
        "sizes": sizes,
    }

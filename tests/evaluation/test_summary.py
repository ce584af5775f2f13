from __future__ import annotations

import pyarrow as pa
import pytest

from colorize_core.evaluation.contest import SCHEMA
from colorize_core.evaluation.summary import lines, summarize

ENTRIES = [
    {"row": "truth", "sha256": "a", "cluster": 0, "colorfulness": 40.0},
    {"row": "gray", "sha256": "a", "cluster": 0, "colorfulness": 10.0, "psnr": 20.0, "auc_rebalanced": 0.9,
     "rarity": 1.0},
    {"row": "truth", "sha256": "b", "cluster": 3, "colorfulness": 20.0},
    {"row": "gray", "sha256": "b", "cluster": 3, "colorfulness": 20.0, "psnr": float("inf"), "auc_rebalanced": 0.5,
     "rarity": 3.0},
]  # fmt: skip


def test_means_over_the_photographs():
    found = lines(pa.Table.from_pylist(ENTRIES, SCHEMA))
    assert list(found) == ["truth", "gray"]
    assert found["truth"] == {"colorfulness": 30, "colorfulness_ratio": 1}
    gray = found["gray"]
    assert gray["psnr"] == 40  # equal pictures count as 60 dB
    assert gray["colorfulness_ratio"] == pytest.approx(0.5)
    assert gray["auc_rebalanced"] == pytest.approx((0.9 + 3 * 0.5) / 4)
    assert "ssim" not in gray and "lpips" not in gray and "rarity" not in gray


def test_each_cluster_by_its_number():
    found = summarize(pa.Table.from_pylist(ENTRIES, SCHEMA))
    assert found["sizes"] == {0: 1, 3: 1} and list(found["clusters"]) == [0, 3]
    assert found["clusters"][0]["gray"]["colorfulness_ratio"] == pytest.approx(0.25)
    assert found["clusters"][3]["gray"]["psnr"] == 60


@pytest.mark.parametrize(
    ("doubts", "rank"), [([0.1, 0.2, 0.3], 1), ([0.3, 0.2, 0.1], -1), ([0.1, 0.3, 0.2], 0.5), ([0.2, 0.2, 0.2], None),
                         ([None, 0.1, 0.2], None)]
)  # fmt: skip
def test_doubt_is_ranked_beside_the_error(doubts, rank):
    rows = [
        {
            "row": "model",
            "sha256": str(i),
            "cluster": 0,
            "colorfulness": 9.0,
            "delta_e2000": 5.0 + i,
            "uncertainty": doubt,
        }
        for i, doubt in enumerate(doubts)
    ]
    truth = [{"row": "truth", "sha256": "0", "cluster": 0, "colorfulness": 9.0}]
    found = lines(pa.Table.from_pylist(truth + rows, SCHEMA))["model"].get("doubt_rank")
    assert found == (None if rank is None else pytest.approx(rank))


def test_without_colors_in_the_truth_there_is_no_ratio():
    entries = [entry | {"colorfulness": 0.0} for entry in ENTRIES]
    assert "colorfulness_ratio" not in lines(pa.Table.from_pylist(entries, SCHEMA))["gray"]

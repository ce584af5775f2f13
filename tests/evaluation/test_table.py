from __future__ import annotations

from colorize_core.evaluation.table import cluster_table, figures_table

LINES = {"truth": {"colorfulness": 37.5}, "a|b": {"psnr": 22.184, "colorfulness": 3.0, "auc": 0.8846}}
SUMMARY = {"overall": LINES, "clusters": {0: LINES, 3: LINES}, "sizes": {0: 1200, 3: 7}}


def test_columns_line_up_and_what_there_is_not_is_a_dash():
    lines = figures_table("all", LINES).plain().splitlines()
    assert lines == [
        "all",
        "       PSNR dB     CF  AuC %",
        "-----  -------  -----  -----",
        "truth        -  37.50      -",
        "a|b      22.18   3.00   88.5",
    ]


def test_markdown_keeps_a_bar_in_a_name():
    lines = figures_table("all", LINES).markdown().splitlines()
    assert lines[2:4] == ["|  | PSNR dB | CF | AuC % |", "| --- | ---: | ---: | ---: |"]
    assert lines[5].startswith("| a\\|b | 22.18 | 3.00 |")


def test_clusters_are_columns_with_their_sizes():
    table = cluster_table("psnr", SUMMARY)
    assert table.head == ["", "all", "0 (1,200)", "3 (7)"]
    assert table.body == [["a|b", "22.18", "22.18", "22.18"]]

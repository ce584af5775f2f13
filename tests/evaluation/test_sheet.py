from __future__ import annotations

import io

import numpy as np
from PIL import Image

from colorize_core.evaluation.sheet import CELL, HEAD, Strip, make_sheet, pick


def test_the_best_the_median_and_the_worst():
    errors = np.random.default_rng(0).permutation(101).astype(float)
    picked = {name: [errors[i] for i in places] for name, places in pick(errors).items()}
    assert picked == {
        "best": [0, 1, 2, 3, 4, 5],
        "median": [47, 48, 49, 50, 51, 52],
        "worst": [95, 96, 97, 98, 99, 100],
    }


def test_few_photographs_are_shared_out():
    assert pick([3.0, 1.0, 2.0]) == {"best": [1], "median": [2], "worst": [0]}
    assert pick([3.0]) == {"best": [0], "median": [0], "worst": [0]}
    assert [len(places) for places in pick(range(10)).values()] == [3, 3, 3]


def test_a_sheet_shows_gray_model_and_truth_and_says_who_colored_it():
    plain = [np.full((64, 64, 3), color, np.uint8) for color in ([128] * 3, [200, 40, 40], [40, 40, 200])]
    strip = Strip(*plain, caption="dE2000 9.1")
    jpeg = make_sheet("a model", {"best": [strip, strip], "worst": [strip]}, "m", "ab12")
    sheet = Image.open(io.BytesIO(jpeg))
    assert sheet.format == "JPEG"
    assert b"compositeWithTrainedAlgorithmicMedia" in sheet.info["xmp"] and b"sha256:ab12" in sheet.info["xmp"]
    pixels = np.asarray(sheet.convert("RGB")).astype(int)
    row = pixels[HEAD + CELL // 2]
    for color in plain:
        close = np.abs(row - color[0, 0]).max(-1) < 12
        assert close.sum() >= 2 * (CELL - 8)

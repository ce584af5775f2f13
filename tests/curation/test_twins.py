from __future__ import annotations

import io

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
from PIL import Image

from colorize_core.curation import twins
from colorize_core.curation.examine import difference_hash
from colorize_core.curation.twins import find_twins


def facts(pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and signatures."""
    signatures = [cv2.resize(p, (8, 8), interpolation=cv2.INTER_AREA).ravel() for p in pictures]
    return np.array([difference_hash(p) for p in pictures], np.uint64), np.stack(signatures)


def scatter(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**64, count, dtype=np.uint64), rng.integers(0, 256, (count, 192)).astype(np.uint8)


def flip(dhash: np.uint64, bits: list[int]) -> np.uint64:
    return np.uint64(int(dhash) ^ sum(1 << bit for bit in bits))


def test_strangers_are_kept():
    dhash, signature = scatter(3000)
    assert (find_twins(dhash, signature, np.arange(3000)) == -1).all()
    assert find_twins(dhash[:0], signature[:0], np.arange(0)).shape == (0,)


def test_a_hash_is_found_wherever_its_bits_differ():
    rng = np.random.default_rng(1)
    dhash, signature = scatter(200)
    near = np.array([flip(h, rng.choice(64, 1 + i % twins.NEAR, replace=False).tolist()) for i, h in enumerate(dhash)])
    found = find_twins(np.concatenate([dhash, near]), np.concatenate([signature] * 2), np.arange(400))
    assert (found == [-1] * 200 + list(range(200))).all()
    far = np.array([flip(h, rng.choice(64, twins.NEAR + 1, replace=False).tolist()) for h in dhash])
    assert (find_twins(np.concatenate([dhash, far]), np.concatenate([signature] * 2), np.arange(400)) == -1).all()


def test_a_hash_alone_proves_nothing():
    dhash, signature = scatter(2)
    assert (find_twins(dhash[[0, 0]], signature, np.arange(2)) == -1).all()


def test_the_lowest_rank_is_kept_and_twins_of_dropped_ones_are_not():
    dhash, signature = scatter(1)
    a = dhash[0]
    b, c = flip(a, [1, 9, 17, 25, 33, 41]), flip(a, [1, 9, 17, 25, 33, 41, 2, 10, 18, 26])  # a ~ b ~ c, not a ~ c
    chain, same = np.array([a, b, c]), np.repeat(signature, 3, 0)
    assert find_twins(chain, same, np.array([0, 1, 2])).tolist() == [-1, 0, -1]
    assert find_twins(chain, same, np.array([1, 0, 2])).tolist() == [1, -1, 1]
    assert find_twins(chain, same, np.array([2, 1, 0])).tolist() == [-1, 2, -1]


@pytest.mark.parametrize("block, candidates", [(1 << 12, 1 << 21), (16, 64)])
def test_order_plays_no_part(monkeypatch, block, candidates):
    monkeypatch.setattr(twins, "BLOCK", block)
    monkeypatch.setattr(twins, "CANDIDATES", candidates)
    rng = np.random.default_rng(2)
    base, signature = scatter(40)
    of = rng.integers(0, 40, 600)
    dhash = np.array([flip(base[i], rng.choice(64, 4, replace=False).tolist()) for i in of])
    rank = rng.permutation(600)
    found = find_twins(dhash, signature[of], rank)

    expected = np.full(600, -1)
    for i in np.argsort(rank):
        for j in np.argsort(rank)[: rank[i]]:
            if expected[j] < 0 and of[i] == of[j] and int(dhash[i] ^ dhash[j]).bit_count() <= twins.NEAR:
                expected[i] = j
                break
    assert (expected >= 0).sum() > 100
    assert (found == expected).all()

    shuffled = rng.permutation(600)
    again = find_twins(dhash[shuffled], signature[of][shuffled], rank[shuffled])
    assert (np.where(again >= 0, shuffled[again], -1) == found[shuffled]).all()


def photographs(data, count: int) -> list[np.ndarray]:
    table = next(pq.ParquetFile(data / "photos" / "photos-0.parquet").iter_batches(count, columns=["image"]))
    return [np.asarray(Image.open(io.BytesIO(row)).convert("RGB")) for row in table["image"].to_pylist()]


def copies(picture: np.ndarray) -> dict[str, np.ndarray]:
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), 30, "RGB", "420")
    half = picture.shape[1] // 2, picture.shape[0] // 2
    return {
        "recompressed": simplejpeg.decode_jpeg(jpeg, "RGB"),
        "smaller": cv2.resize(picture, half, interpolation=cv2.INTER_AREA),
        "lighter": cv2.convertScaleAbs(picture, beta=20),
        "darker": cv2.convertScaleAbs(picture, alpha=0.8),
        "trimmed": np.ascontiguousarray(picture[4:-4, 5:-5]),
    }


def test_real_copies_are_found_and_other_photographs_are_not(data):
    pictures = [cv2.resize(p, (512, 400), interpolation=cv2.INTER_CUBIC) for p in photographs(data, 300)]
    dhash, signature = facts(pictures)
    alone = find_twins(dhash, signature, np.arange(300))
    assert (alone >= 0).sum() <= 2
    for kind in copies(pictures[0]):
        more_hash, more_signature = facts([copies(p)[kind] for p in pictures])
        found = find_twins(np.concatenate([dhash, more_hash]), np.concatenate([signature, more_signature]),
            np.arange(600))[300:]  # fmt: skip
        hits = (found == np.where(alone >= 0, alone, np.arange(300))).mean()
        assert hits >= (0.93 if kind == "trimmed" else 0.97), kind

from __future__ import annotations

import numpy as np
import pytest
import simplejpeg
from color_dataset import write_dataset

from colorize_core.storage import Store
from colorize_core.training.data import DatasetError, decode, identity, read_photographs, shuffled, survey


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Store:
    return write_dataset(str(tmp_path_factory.mktemp("set")), train=30, val=4, test=4, per_file=7)


def test_splits_and_clusters_are_kept_apart(dataset):
    train, test = read_photographs(dataset, "train"), read_photographs(dataset, "test")
    assert len(train) == 30 and len(test) == 4 and not set(train.sha256) & set(test.sha256)
    assert list(train.ids) == sorted(train.ids) == [identity(s) for s in train.sha256]
    first = read_photographs(dataset, "train", {1})
    assert set(first.clusters) == {1} and 0 < len(first) < 30
    assert train.licenses == {"CC0 1.0": 30}


def test_the_survey_agrees_with_what_is_read(dataset):
    found = survey(dataset)
    assert found.clusters == (0, 1) and found.splits == {"train": 30, "val": 4, "test": 4}
    assert found.digest == read_photographs(dataset, "train").digest
    assert survey(dataset, {1}).digest == read_photographs(dataset, "train", {1}).digest != found.digest
    with pytest.raises(DatasetError, match="no cluster 7; it has 0, 1"):
        survey(dataset, {0, 7})


def test_an_epoch_shows_every_photograph_once_wherever_it_is_taken_up(dataset):
    photographs = read_photographs(dataset, "train")
    whole = [batch.ids for batch in shuffled(photographs, 8, 64, "crop", 0, 0, np.empty(0, np.int64))]
    assert [len(ids) for ids in whole] == [8, 8, 8, 6]
    assert sorted(np.concatenate(whole)) == list(photographs.ids)
    seen = np.concatenate(whole[:2])
    rest = np.concatenate([batch.ids for batch in shuffled(photographs, 8, 64, "crop", 0, 0, seen)])
    assert sorted([*seen, *rest]) == list(photographs.ids)
    other = np.concatenate([batch.ids for batch in shuffled(photographs, 8, 64, "crop", 0, 1, np.empty(0, np.int64))])
    assert list(other) != list(np.concatenate(whole))


def wide() -> bytes:
    """A 40 x 20 picture, red left of the middle and blue right of it."""
    rgb = np.zeros((20, 40, 3), np.uint8)
    rgb[:, :20, 0] = rgb[:, 20:, 2] = 255
    return simplejpeg.encode_jpeg(rgb, 95, "RGB", "444")


@pytest.mark.parametrize(("framing", "red", "black"), [("squash", 0.5, 0), ("crop", 0.5, 0), ("letterbox", 0.25, 0.5)])
def test_framing(framing, red, black):
    rgb = decode(wide(), 32, framing)
    assert rgb.shape == (32, 32, 3)
    assert (rgb[..., 0] > 128).mean() == pytest.approx(red, abs=0.05)
    assert (rgb.max(-1) < 64).mean() == pytest.approx(black, abs=0.05)


def test_a_photograph_that_cannot_be_read_is_named():
    with pytest.raises(DatasetError, match="photograph abc123 cannot be decoded"):
        decode(wide()[:200], 32, "crop", "abc123")


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="jobs.cluster"):
        read_photographs(Store(str(tmp_path)), "train")
    with pytest.raises(DatasetError, match="no photographs of the split 'val'"):
        read_photographs(write_dataset(str(tmp_path), train=4, val=0, test=0), "val")

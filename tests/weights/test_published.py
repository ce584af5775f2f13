"""The table of published weights."""

from __future__ import annotations

import pytest

from colorize_core.inputs import MULTIPLE
from colorize_core.models import ARCHITECTURES
from colorize_core.weights import HALVED
from colorize_core.weights.published import ORIGINS, PUBLISHED

DIGESTS = {name: digest for one in PUBLISHED.values() for name, digest in one.files.items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_network_can_be_built_and_its_files_found(name):
    one = PUBLISHED[name]
    assert name in ARCHITECTURES and name in HALVED
    assert one.side % MULTIPLE == 0 and one.files and one.where and one.license and one.citation
    assert not set("+@=/") & set(name)


def test_digests_begin_as_the_authors_names_say():
    """PyTorch's hub ends names with the first eight digits of the SHA-256."""
    known = {name: digest for name, digest in DIGESTS.items() if digest}
    assert len(known) == 2
    for name, digest in known.items():
        assert len(digest) == 64 and digest.startswith(name.removesuffix(".pth").rpartition("-")[2])


def test_a_published_file_is_known_by_its_content():
    for one in (PUBLISHED["eccv16"], PUBLISHED["siggraph17"]):
        ((name, digest),) = one.files.items()
        assert one.is_official(name, digest) is True and one.is_official("renamed.pth", digest) is True
        assert one.is_official("mine.pth", "0" * 64) is False
    assert set(ORIGINS) == {True, False, None}


def test_a_file_whose_digest_nobody_noted_is_neither_official_nor_not():
    for name in ("ddcolor-tiny", "ddcolor-large"):
        assert PUBLISHED[name].is_official("pytorch_model.bin", "0" * 64) is None


def test_other_content_under_an_official_name_is_an_error():
    with pytest.raises(ValueError, match="its SHA-256 is 0{64}, theirs is df00044c"):
        PUBLISHED["siggraph17"].is_official("siggraph17-df00044c.pth", "0" * 64)

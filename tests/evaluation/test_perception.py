from __future__ import annotations

import urllib.request

import pytest
import torch

from colorize_core.evaluation.perception import Fid, Inception, Lpips, Unavailable


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No weights kept from earlier, and a proxy that nobody answers at."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    yield
    urllib.request.install_opener(None)


def test_lpips_without_its_weights_says_so(no_network):
    with pytest.raises(Unavailable, match=r"LPIPS is left out: its weights cannot be had \(.+\)"):
        Lpips()


def test_fid_without_its_weights_says_so(no_network):
    with pytest.raises(Unavailable, match=r"FID is left out: its weights cannot be had \(.+\)"):
        Inception(5000)


def test_fid_is_refused_for_few_photographs():
    with pytest.raises(Unavailable, match="FID is left out: on 4,999 photographs it would say nothing, it takes 5,000"):
        Inception(4999)


def test_fid_tells_the_rows_apart():
    true = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    fid = Fid(["same", "shifted", "duller"], 4)
    for part in true.split(100):
        fid.add(part, {"same": part, "shifted": part + 2, "duller": part * 0.5})
    distances = fid.distances()
    assert distances["same"] == pytest.approx(0, abs=1e-3)
    assert distances["shifted"] == pytest.approx(4 * 2**2, rel=1e-3)
    assert 0.5 < distances["duller"] < 2  # a quarter of the sum of the variances, which are one

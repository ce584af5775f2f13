"""What a network costs to run."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def gflops(network: nn.Module, side: int) -> float:
    """Billions of operations, two for each multiply-add, of one forward pass over one picture of side x side pixels.

    Convolutions and matrix products are counted, all else is small. Nothing is computed: the pass runs on a copy that
    has shapes and no numbers.
    """
    shapes = copy.deepcopy(network).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shapes(torch.empty(1, 1, side, side, device="meta"))
    return counter.get_total_flops() / 1e9

"""What a colorizer is punished for: the wrong ab bin, rare bins more, and the distance to the true ab."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class RebalancedColor:
    """Soft-encoded, class-rebalanced cross entropy plus a rebalanced smooth L1.

    A target is spread over its five nearest bins by a Gaussian; rare colors weigh ``1 / ((1 - mixing) * prior +
    mixing / bins)``, normalized so that the expected weight is one (Zhang, Isola and Efros 2016, section 2.2).
    """

    def __init__(self, bins: Tensor, prior: Tensor, mixing: float = 0.5, sigma: float = 6.0, regression: float = 20.0):
        self.bins, self.sigma, self.regression = bins, sigma, regression
        weights = 1 / ((1 - mixing) * prior + mixing / len(bins))
        self.weights = weights / (weights * prior).sum()

    def __call__(self, logits: Tensor, regressed: Tensor, ab: Tensor) -> Tensor:
        """``logits`` (B, bins, h, w), ``regressed`` (B, 2, h, w), ``ab`` (B, 2, H, W); H, W multiples of h, w."""
        target = F.adaptive_avg_pool2d(ab, (logits.shape[-2], logits.shape[-1])).permute(0, 2, 3, 1).reshape(-1, 2)
        near, index = torch.cdist(target, self.bins).topk(5, largest=False)
        soft = F.softmax(-(near**2) / (2 * self.sigma**2), 1)
        weight = self.weights[index[:, 0]]
        log_p = F.log_softmax(logits.float().permute(0, 2, 3, 1).reshape(len(target), -1), 1)
        cross_entropy = -(soft * log_p.gather(1, index)).sum(1)
        guess = regressed.float().permute(0, 2, 3, 1).reshape(-1, 2)
        distance = F.smooth_l1_loss(guess / 110, target / 110, beta=0.05, reduction="none").sum(1)
        return (weight * cross_entropy).mean() + self.regression * (weight.sqrt() * distance).mean()


def prior(ab: Tensor, bins: Tensor) -> Tensor:
    """Share of each bin among the pixels of ``ab`` (N, 2)."""
    counts = torch.zeros(len(bins))
    for part in ab.split(1 << 16):
        counts += torch.bincount(torch.cdist(part, bins).argmin(1), minlength=len(bins))
    return counts / counts.sum()

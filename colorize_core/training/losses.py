"""What a colorizer is punished for. Each loss takes a network and a lesson and gives one number."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UNIT = 110.0  # ab is divided by this in every loss


class MeanSquaredError(nn.Module):
    """Of ab: the loss whose best answer is the mean of everything plausible."""

    def forward(self, network: nn.Module, lightness: Tensor, ab: Tensor) -> Tensor:
        answer = network(lightness)
        guess = answer[0] if isinstance(answer, tuple) else answer
        return F.mse_loss(guess.float() / UNIT, ab / UNIT)


class LabMeanSquaredError(nn.Module):
    """Of all three channels, for networks that answer with lightness as well (a method ``lab``)."""

    def forward(self, network: nn.Module, lightness: Tensor, ab: Tensor) -> Tensor:
        lab = network.lab(lightness)  # type: ignore[operator]
        return F.mse_loss(lab.float() / UNIT, torch.cat([lightness, ab], 1) / UNIT)


class RebalancedColor(nn.Module):
    """Soft-encoded, class-rebalanced cross entropy over ab bins plus a smooth L1 of ab, for networks with both heads.

    A target is spread over its five nearest bins by a Gaussian of ``sigma`` Lab units; rare colors weigh ``1 / ((1 -
    mixing) * prior + mixing / bins)``, normalized so that the expected weight is one (Zhang, Isola and Efros 2016,
    section 2.2). The regression is not rebalanced: it is to be the best single guess, and the bins bring the color.
    """

    bins: Tensor
    weights: Tensor

    def __init__(
        self, bins: Tensor, prior: Tensor, mixing: float = 0.5, sigma: float = 6.0, regression: float = 30.0,
        beta: float = 0.15,
    ):  # fmt: skip
        super().__init__()
        self.sigma, self.regression, self.beta = sigma, regression, beta
        weights = 1 / ((1 - mixing) * prior + mixing / len(bins))
        self.register_buffer("bins", bins)
        self.register_buffer("weights", weights / (weights * prior).sum())

    def forward(self, network: nn.Module, lightness: Tensor, ab: Tensor) -> Tensor:
        logits, regressed = network.heads(lightness)  # type: ignore[operator]
        target = F.adaptive_avg_pool2d(ab, logits.shape[-2:]).permute(0, 2, 3, 1).reshape(-1, 2)
        near, index = torch.cdist(target, self.bins).topk(5, largest=False)
        soft = F.softmax(-(near**2) / (2 * self.sigma**2), 1)
        log_p = F.log_softmax(logits.float().permute(0, 2, 3, 1).reshape(len(target), -1), 1)
        cross_entropy = -(soft * log_p.gather(1, index)).sum(1)
        guess = regressed.float().permute(0, 2, 3, 1).reshape(-1, 2)
        distance = F.smooth_l1_loss(guess / UNIT, target / UNIT, beta=self.beta, reduction="none").sum(1)
        return (self.weights[index[:, 0]] * cross_entropy).mean() + self.regression * distance.mean()


def prior(ab: Tensor, bins: Tensor) -> Tensor:
    """Share of each bin among the pixels of ``ab`` (N, 2)."""
    counts = torch.zeros(len(bins))
    for part in ab.split(1 << 16):
        counts += torch.bincount(torch.cdist(part, bins).argmin(1), minlength=len(bins))
    return counts / counts.sum()


LOSSES = ("mse", "lab-mse", "rebalanced")


def make_loss(name: str, network: nn.Module, sample: Callable[[], Tensor]) -> nn.Module:
    """The loss of a recipe; ``sample`` gives ab (N, 2) of the photographs, where color is rebalanced by it."""
    if name == "rebalanced":
        bins = network.get_buffer("bins").cpu()
        return RebalancedColor(bins, prior(sample(), bins))
    return {"mse": MeanSquaredError, "lab-mse": LabMeanSquaredError}[name]()

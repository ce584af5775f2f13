"""Let torchvision be imported beside a torch without CUDA.

The torchvision wheel on PyPI is built for CUDA: beside a CPU-only torch its extension does not load, and importing it
stops at two operators that nothing here calls. They are declared, without an implementation, before that import.
"""

from __future__ import annotations

import torch

_declared: list[torch.library.Library] = []  # a declaration lives as long as its library


def declare() -> None:
    """Declare ``torchvision::nms`` and ``torchvision::qnms`` where torch has no CUDA; call before the first import."""
    if _declared or torch.version.cuda is not None:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        try:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:  # a torchvision whose extension does load has declared it already
            continue
    _declared.append(library)

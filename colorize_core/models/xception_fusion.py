"""Local features fused with what Xception sees in the whole picture."""

from __future__ import annotations

from torch import nn

from colorize_core.models.fusion import Fusion
from colorize_core.models.layers import ab_head, stack, up


class XceptionFusion(Fusion):
    """Lightness to ab; ``classifier`` names the frozen one.

    Layers after bluejurand/Photos-colorization. The last doubling comes after the output convolution, so the answer is
    color at half size with every pixel repeated. Mended here:

    * the classifier sees the very picture that is colored; two shuffled readers gave it another one each time;
    * the classifier gets the -1..1 that it was trained on, where it got lightness in 0..100;
    * lightness enters as L / 50 - 1, where it entered as 0..100.
    """

    architecture = "xception-fusion"

    def __init__(self, classifier: str = "xception"):
        super().__init__(classifier)
        self.decoder = stack(256, (3, 256, 1), (3, 128, 1), None, (3, 64, 1), (3, 64, 1), None, (3, 32, 1))
        self.head = nn.Sequential(ab_head(32), up())

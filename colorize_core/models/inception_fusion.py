"""Local features fused with what Inception-ResNet-v2 sees in the whole picture."""

from __future__ import annotations

from torch import nn

from colorize_core.models.fusion import Fusion
from colorize_core.models.layers import ab_head, stack, up


class InceptionFusion(Fusion):
    """Lightness to ab; ``classifier`` names the frozen one.

    Layers after "colornet_final" of JJHAirylin/Auto-colorization-for-greyscale-images. The last doubling comes after
    the output convolution, so the answer is color at half size with every pixel repeated. Mended here:

    * the classifier gets gray in -1..1, where 0..1 was scaled as if it were 0..255, which left all pictures near -1;
    * the classifier runs once for a picture, where it ran twice;
    * lightness enters as L / 50 - 1, where it entered as 0..100.
    """

    architecture = "inception-fusion"

    def __init__(self, classifier: str = "inception-resnet-v2"):
        super().__init__(classifier)
        self.decoder = stack(256, (3, 128, 1), None, (3, 64, 1), None, (3, 32, 1), (3, 16, 1))
        self.head = nn.Sequential(ab_head(16), up())

"""What models want to see of a photo. Loads no image library."""

from __future__ import annotations

import math
from dataclasses import dataclass

MULTIPLE = 32  # sides are multiples of this, which networks need and which lets photos of like shape share a batch
LARGEST_SIDE = 2048  # that may be asked for
LONGEST = 4  # a side is at most this many times the nominal one


@dataclass(frozen=True)
class Input:
    """What a model wants to see: about ``side`` squared pixels in the photo's own shape, or all of it squashed."""

    side: int
    squash: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the model's input for a photo.

        Both are multiples of 32; a panorama's long side stops at four times ``side``. Squashed, both are ``side``.
        """
        if self.squash:
            return self.side, self.side
        shape = math.sqrt(width / height)
        sides = (
            min(max(round(self.side * s / MULTIPLE), 1) * MULTIPLE, LONGEST * self.side) for s in (shape, 1 / shape)
        )
        width, height = sides
        return width, height

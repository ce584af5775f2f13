"""A loupe: one look at a file that shows whether it is a whole photograph. It is used inside a sandbox."""

from __future__ import annotations

from pathlib import Path

import cv2

from colorize_core.photo import Limits, open_photo


class Loupe:
    def __init__(self, limits: Limits):
        cv2.setNumThreads(1)
        self.limits = limits

    def look(self, path: Path) -> tuple[int, int, str]:
        """Width and height in upright pixels, and the format. Decodes everything. Raises Rejected."""
        photo = open_photo(path, self.limits)
        return photo.width, photo.height, photo.header.format

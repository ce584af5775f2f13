"""The models shipped here, and what any file of weights says of itself. Importing it loads no torch."""

from colorize_core.weights.catalog import FOLDER, find, find_all, load
from colorize_core.weights.model import Model, ModelError

DEFAULT = "autochrome"
# architectures whose colors are known to stay when computed in half precision
HALVED = frozenset({"autochrome", "eccv16", "siggraph17", "ddcolor-tiny", "ddcolor-large"})
TAKES_HINTS = frozenset({"siggraph17"})  # architectures that are given color hints

__all__ = ["DEFAULT", "FOLDER", "HALVED", "TAKES_HINTS", "Model", "ModelError", "find", "find_all", "load"]

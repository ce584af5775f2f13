"""The models shipped here, and what any weights file says of itself. Loads no torch."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from colorize_core.storage import StorageError, Store

FOLDER = Path(__file__).parent
DEFAULT = "autochrome"
HALVED = frozenset({"autochrome"})  # architectures whose colors are known to stay when computed in half precision


class ModelError(Exception):
    """The weights cannot be used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Model:
    """What a weights file says of itself, read without loading it."""

    path: Path
    name: str
    architecture: str
    config: dict
    side: int
    digest: str
    about: dict


def fetch(address: str) -> Path:
    """A copy of the file at ``address`` in this user's temporary folder, named by its digest. Raises ModelError."""
    root, _, key = address.rpartition("/")
    try:
        content = Store(root).read(key)
    except (StorageError, ValueError) as error:
        raise ModelError(f"no weights at {address}: {error}") from error
    folder = Path(tempfile.gettempdir()) / f"autochrome-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
    if not path.is_file():
        part = folder / f"{path.stem}.{os.getpid()}.part"
        part.write_bytes(content)
        part.replace(path)
    return path


def find(name: str) -> Model:
    """The model of a name shipped with the package, or of a path or s3:// address of a safetensors file.

    Raises ModelError.
    """
    path = Path(name) if name.endswith(".safetensors") else FOLDER / f"{name}.safetensors"
    if "://" in name:
        path = fetch(name)
    elif not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.safetensors")))
        raise ModelError(f"no weights at {path}; give a path to a .safetensors file or one of: {known}")
    try:
        with safe_open(path, framework="np") as file:
            about = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file ({error}); was it downloaded whole?") from error
    try:
        architecture, config, side = about["architecture"], json.loads(about["config"]), int(about["side"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} lacks metadata of ours ({error}); convert it, or use another file") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Model(path, about.get("name", path.stem), architecture, config, side, digest, about)

"""Models by what a person calls them.

A spec names one model, in one of these forms, or several, joined by ``+``:

    autochrome                        a name: weights that come with the package
    FILE                              weights of ours (.safetensors), an ONNX graph (.onnx), or weights that others
                                      published, where their keys tell the network
    ARCHITECTURE=FILE                 weights that others published, for one of weights.published.PUBLISHED

FILE is a path or the address of an object, such as s3://bucket/model.pth. Each may end in ``@SIDE``: the model sees
about SIDE x SIDE pixels instead of what it was made for. A FILE that is there is one file, whatever is in its name.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from colorize_core.inputs import LARGEST_SIDE, MULTIPLE, Input
from colorize_core.storage import Entry, NotFound, StorageError, Store
from colorize_core.weights import checkpoint
from colorize_core.weights.model import Model, ModelError
from colorize_core.weights.published import ORIGINS, PUBLISHED

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
SMALLEST_SIDE = 64
USER = re.compile(r"://([^/@]*|[^/@:]*:[^@]*)@")  # user and password; a password may hold slashes


def find_all(spec: str) -> tuple[Model, ...]:
    """The models of a spec, in its order. Raises ModelError, before any value of theirs is loaded."""
    _refuse_secrets(spec)
    parts = [spec] if os.path.isfile(_split_architecture(spec)[1]) else spec.split("+")
    return tuple(find(part) for part in parts)


def find(spec: str) -> Model:
    """The one model of a spec. Raises ModelError."""
    _refuse_secrets(spec)
    architecture, file = _split_architecture(spec)
    file, side = (file, None) if os.path.isfile(file) else _split_side(file)
    if not file:
        raise ModelError(f"{spec!r} names no file; write {architecture or 'ARCHITECTURE'}=FILE")
    path = _local(file, architecture)
    checkpoint.check_download(path)
    if path.suffix == ".onnx":
        if architecture:
            raise ModelError(f"{path} is a graph with a network of its own; leave out {architecture}=")
        return _graph(path, side)
    about = _metadata(path) if path.suffix == ".safetensors" else {}
    if not architecture and "architecture" in about:
        return _ours(path, about, side)
    return _published(path, architecture, side)


def load(model: Model) -> dict[str, Tensor]:
    """What ``build(model.architecture, model.config)`` loads strictly; nothing for a graph. Raises ModelError."""
    if model.architecture == "onnx":
        return {}
    import torch

    state = checkpoint.read(model.path)
    if model.architecture in PUBLISHED:
        for key in _layout(model.architecture):
            if key.endswith(checkpoint.UNUSED):
                state.setdefault(key, torch.zeros((), dtype=torch.int64))
    return state


def _refuse_secrets(spec: str) -> None:
    """Raise ModelError, without the secret, for an address that holds credentials or a signature."""
    shown = USER.sub("://", spec.partition("?")[0])
    if "://" in spec and shown != spec:
        raise ModelError(
            f"{shown} was given with credentials or a query, which do not belong in an address; give s3://bucket/key, "
            "and set AWS_ACCESS_KEY_ID and its kin"
        )


def _split_architecture(spec: str) -> tuple[str, str]:
    architecture, equals, file = spec.partition("=")
    return (architecture, file) if equals and architecture in PUBLISHED and not os.path.isfile(spec) else ("", spec)


def _split_side(file: str) -> tuple[str, int | None]:
    rest, at, digits = file.rpartition("@")
    if not at or not digits.isdecimal():
        return file, None
    side = int(digits)
    if side % MULTIPLE or not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise ModelError(f"{file}: a side is a multiple of {MULTIPLE} from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    return rest, side


def _local(file: str, architecture: str) -> Path:
    """Where the weights lie, after they have been fetched if need be."""
    if "://" in file:
        return _fetch(file)
    path = Path(os.path.expanduser(file))  # a shell leaves the ~ of ARCHITECTURE=~/FILE
    if os.path.isfile(path):
        return path
    name, equals, _ = file.partition("=")
    if equals and "/" not in name:
        raise ModelError(f"no weights at {file}: there is no such file, and {name!r} is none of {', '.join(PUBLISHED)}")
    if architecture or path.suffix in (".safetensors", ".onnx", ".pth", ".pt", ".bin"):
        raise ModelError(f"no weights at {path}; is the path right?")
    if file in PUBLISHED:
        known = PUBLISHED[file]
        raise ModelError(
            f"the weights of {file} do not come with Autochrome ({known.license}); get {' or '.join(known.files)} from "
            f"{known.where}, then: --model {file} --weights FILE"
        )
    shipped = FOLDER / f"{file}.safetensors"
    if "/" in file or not os.path.isfile(shipped):
        names = ", ".join(
            [*sorted(p.stem for p in FOLDER.glob("*.safetensors")), *(f"{name}=FILE" for name in PUBLISHED)]
        )
        raise ModelError(f"no weights at {path}; give a path to a .safetensors file or one of: {names}")
    return shipped


def _ours(path: Path, about: dict[str, str], side: int | None) -> Model:
    try:
        architecture, config = about["architecture"], json.loads(about["config"])
        wanted = Input(side or int(about["side"]), about.get("squash") == "true")
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} lacks metadata of ours ({error}); convert it, or use another file") from error
    return Model(path, about.get("name", path.stem), architecture, config, wanted, _sha256(path), about)


def _graph(path: Path, side: int | None) -> Model:
    from colorize_core.models.onnx_graph import describe

    name, config, wanted, about = describe(path, side)
    return Model(path, name, "onnx", config, wanted, about["digest"], about)


def _published(path: Path, architecture: str, side: int | None) -> Model:
    """Weights of one of the published networks, whose names and shapes are all as they should be."""
    found = checkpoint.shapes(path)
    candidates = sorted(PUBLISHED, key=lambda name: name != architecture)  # the one named first, often the only one
    holds = next((name for name in candidates if not checkpoint.differences(found, _layout(name))), "")
    if not holds or architecture not in ("", holds):
        likest = architecture or max(PUBLISHED, key=lambda name: len(found.keys() & _layout(name).keys()))
        if holds:
            what = f"holds {holds}, not {architecture}"
        elif architecture:
            what = f"does not hold {architecture}"
        else:
            what = f"lacks metadata of ours and fits none of {', '.join(PUBLISHED)}; it is most like {likest}, but"
        raise ModelError(f"{path} {what}: {'; '.join(checkpoint.differences(found, _layout(likest)))}")
    one, digest = PUBLISHED[holds], _sha256(path)
    try:
        is_official = one.is_official(path.name, digest)
    except ValueError as error:
        raise ModelError(f"{path} {error}") from error
    about = {"license": one.license, "citation": one.citation, "official": is_official}
    about["origin"] = ORIGINS[is_official].format(digest=digest)
    return Model(path, holds, holds, {}, Input(side or one.side, squash=True), digest, about)


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a safetensors file ({error}); was it downloaded whole?") from error


@functools.cache
def _layout(architecture: str) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a network's weights."""
    import torch

    from colorize_core.models import build

    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build(architecture).state_dict().items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(address: str) -> Path:
    """A copy of an object in this user's temporary folder, fetched once for each version of it. Raises ModelError.

    It keeps its name, in a folder of its own; the YAML that describes a graph comes along.
    """
    root, _, key = address.rpartition("/")
    if root.endswith(":/") or not key:
        raise ModelError(f"no weights at {address}: it names no object; write s3://bucket/key")
    try:
        store = Store(root)
        entry = store.stat(key)
        version = hashlib.sha256(f"{address}\n{entry.size}\n{entry.etag}".encode()).hexdigest()[:32]
        path = _private_folder() / version / key
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.with_name(".lock").open("w") as lock:  # of the workers on a machine, one fetches
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.is_file():
                _copy(store, entry, path)
            if path.suffix == ".onnx":
                for beside in (f"{key}.yaml", f"{key.removesuffix('.onnx')}.yaml"):
                    copy = path.with_name(beside)
                    try:
                        _copy(store, store.stat(beside), copy)
                    except NotFound:
                        copy.unlink(missing_ok=True)
    except NotFound as error:
        raise ModelError(f"no weights at {address}; is the path right?") from error
    except (StorageError, ValueError, OSError) as error:
        raise ModelError(f"no weights at {address}: {error}") from error
    return path


def _copy(store: Store, entry: Entry, path: Path) -> None:
    """Fetch an object, so that the file is there whole or not at all."""
    part = path.with_name(".part")
    try:
        store.fetch(entry, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _private_folder() -> Path:
    """A folder in the temporary one that is this user's and closed to others. Raises ModelError, and OSError."""
    folder = Path(tempfile.gettempdir()) / f"autochrome-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ModelError(f"{folder} is not a folder closed to others; remove it, or set TMPDIR to a folder of your own")
    return folder

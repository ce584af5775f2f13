"""Weights in the files that others publish: PyTorch's own formats, and safetensors. Nothing in them runs."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from colorize_core.weights.model import ModelError

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("params", "state_dict", "model")  # names under which a file may hold its weights
LEFT_OVER = re.compile(r"encoder\.arch\.head_cls\.(weight|bias)")  # of the encoder's training; no program loads them
UNUSED = "num_batches_tracked"  # counts of batch norms in training, which some files lack
SHOWN = 3  # keys of each kind that a message names
SAFE_DTYPES = ("F16", "BF16", "F32", "F64")


def check_download(path: Path) -> None:
    """Raise ModelError for a file that is missing, empty, or what a server sends instead, whatever the format."""
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise ModelError(f"no weights at {path} ({error.strerror}); is the path right?") from error
    if not start:
        raise ModelError(f"{path} is empty; download it again")
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} only points to a file kept by Git LFS; get the file itself, such as by git lfs pull")
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|!--|html|head|\?xml)", start, re.IGNORECASE):
        raise ModelError(f"{path} is a web page; download the file that the page is about")


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the weights in a file, without their values. Raises ModelError for what is no such file.

    A file in the zip format is read to its end for its checksums, which torch does not look at.
    """
    check_download(path)
    if _is_safetensors(path):
        try:
            with safe_open(path, framework="np") as file:
                slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
                _expect_floats(path, {key: s.get_dtype() in SAFE_DTYPES for key, s in slices.items()})
                return {key: tuple(s.get_shape()) for key, s in slices.items() if not LEFT_OVER.fullmatch(key)}
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is not a whole safetensors file ({error}); download it again") from error
    if _is_zip(path):
        _check_zip(path)
    return {key: tuple(tensor.shape) for key, tensor in _unpickle(path, "meta").items()}


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, float32 on the CPU. Raises ModelError, also for values that are no finite numbers."""
    import torch
    from safetensors.torch import load_file

    check_download(path)
    if _is_safetensors(path):
        try:
            tensors = {key: t for key, t in load_file(path).items() if not LEFT_OVER.fullmatch(key)}
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is not a whole safetensors file ({error}); download it again") from error
    else:
        tensors = _unpickle(path, "cpu")
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{path}: {key} holds values that are not finite numbers; get the file again")
    return {key: t.float() if t.is_floating_point() else t for key, t in tensors.items()}


def differences(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """In what the weights of a file are not those that a network has: a phrase for each kind, none where they fit."""
    kinds = {
        "missing": [key for key in wanted if key not in found and not key.endswith(UNUSED)],
        "unexpected": [key for key in found if key not in wanted],
        "of another shape": [key for key in wanted if key in found and tuple(found[key]) != tuple(wanted[key])],
    }
    return [
        f"{len(keys)} {kind} ({', '.join(keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''})"
        for kind, keys in kinds.items()
        if keys
    ]


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _is_zip(path: Path) -> bool:
    """Whether a file is in the format that torch.save writes by default. Raises ModelError for none of PyTorch's."""
    with path.open("rb") as file:
        start = file.read(4)
    if not b"PK\3\4".startswith(start) and not start.startswith(b"\x80"):
        raise ModelError(f"{path} is no file of weights (.pth, .pt, .bin or .safetensors); is it the right one?")
    return not start.startswith(b"\x80")


def _check_zip(path: Path) -> None:
    """Raise ModelError for what torch would misread or say nothing useful of."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename.endswith("/constants.pkl") for member in members):
                raise ModelError(f"{path} is a TorchScript program; only weights are read here, and no code: get those")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):  # a few bytes can unpack to many
                raise ModelError(
                    f"{path} was packed anew by another program than PyTorch; get the file as it was published"
                )
            if damaged := archive.testzip():
                raise ModelError(f"{path} is damaged: the checksum of {damaged} is wrong; download it again")
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} is cut off or damaged ({error}); download it again") from error


def _unpickle(path: Path, device: str) -> dict[str, Tensor]:
    """The tensors of a file of PyTorch's, on a device; ``meta`` has shapes and no values.

    For shapes a zip is mapped, so that its records are looked for; values are never taken from a mapping, which a
    record shorter than its tensor would lead beyond.
    """
    import torch

    mapped = _is_zip(path) and device == "meta"
    try:
        content: Any = torch.load(path, "cpu" if mapped else device, weights_only=True, mmap=mapped)
    except Exception as error:  # damaged bytes lead torch to errors of any kind
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise ModelError(
                f"{path} holds code beside its weights ({named[1]}), which is never run here; get a file of weights "
                "alone, such as a .safetensors"
            ) from None
        raise ModelError(
            f"{path} is cut off, damaged or of an uncommon kind ({_reason(error)}); download it again"
        ) from error
    for name in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    ):
        raise ModelError(f"{path} holds something other than the weights of one network; get those alone")
    floats = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    _expect_floats(path, {key: t.dtype in floats and t.layout == torch.strided for key, t in content.items()})
    return {key: tensor for key, tensor in content.items() if not LEFT_OVER.fullmatch(key)}


def _expect_floats(path: Path, kinds: Mapping[str, bool]) -> None:
    for key, is_float in kinds.items():
        if not is_float and not key.endswith(UNUSED):
            raise ModelError(f"{path}: {key} is no plain tensor of 16 to 64-bit floats; get weights never quantized")


def _reason(error: Exception) -> str:
    """The first sentence of an error, without the advice that torch puts before it."""
    reason = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return re.split(r"\n|\. ", reason)[0][:200] or type(error).__name__

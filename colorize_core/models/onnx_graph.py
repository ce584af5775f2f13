"""A colorizer in an ONNX file, run by ONNX Runtime.

A graph does not say what its numbers mean. A file called FILE.onnx.yaml (or FILE.yaml) beside FILE.onnx does:

    input: rgb          # L: lightness in 0..100; gray: the sRGB code of that gray; rgb: the same code in three channels
    input_range: 255    # of codes, 1 or 255; lightness has no other
    output: rgb         # ab: Lab units; lab: the same behind a lightness; rgb: sRGB codes
    output_range: 255   # of codes, 1 or 255; ab and lab have no other
    side: 256           # pixels: the model sees about side x side of them
    squash: true        # whether the photo is squashed into a square; without it, it keeps its shape
    name: my-colorizer  # this and the rest may be left out
    license: MIT
    citation: A. Author, "My Colorizer", 2024

Of the common exports in ``KNOWN`` the same is known by their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from colorize_core import color
from colorize_core.inputs import LARGEST_SIDE, MULTIPLE, Input
from colorize_core.models.layers import check, gray
from colorize_core.weights import ModelError
from colorize_core.weights.published import PUBLISHED

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg

REMEDY = "pip install 'autochrome-archive[onnx]'"
EXAMPLE = "{input: rgb, input_range: 255, output: ab, side: 256, squash: true}"
CHOICES: dict[str, tuple] = {
    "input": ("L", "gray", "rgb"),
    "input_range": (1, 255),
    "output": ("ab", "lab", "rgb"),
    "output_range": (1, 255),
    "squash": (True, False),
}
TEXTS = ("name", "license", "citation")
UNCERTAINTY = "uncertainty"  # an output of this name, (B, 1, H, W) in 0..1
CHANNELS = {"L": 1, "gray": 1, "ab": 2, "lab": 3, "rgb": 3, UNCERTAINTY: 1}
CODES = ("gray", "rgb")  # what has a range of 1 or 255
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PROBE = 128  # pixels: side of the gray square that a graph of any size is tried on


def terms(name: str) -> dict[str, str]:
    """License and citation of the published weights that an export holds."""
    return {"license": PUBLISHED[name].license, "citation": PUBLISHED[name].citation}


DDCOLOR = {"input": "rgb", "input_range": 1, "output": "ab", "side": 512, "squash": True} | terms("ddcolor-large")
DEOLDIFY = {"input": "rgb", "input_range": 255, "output": "rgb", "output_range": 255, "side": 256, "squash": True,
            "license": "MIT", "citation": 'J. Antic, "DeOldify", 2019'}  # fmt: skip
ZHANG = {"input": "L", "output": "ab", "side": 256, "squash": True}
KNOWN: dict[str, dict] = {  # exports by the names they are shared under, in lower case
    "ddcolor*": DDCOLOR,
    "deoldify*": DEOLDIFY,
    "colorizeartistic*": DEOLDIFY,
    "colorizestable*": DEOLDIFY,
    "colorization_release_v2*": ZHANG | terms("eccv16"),
    "eccv16*": ZHANG | terms("eccv16"),
    "siggraph17*": ZHANG | terms("siggraph17"),
}


def describe(path: Path, side: int | None = None) -> tuple[str, dict, Input, dict]:
    """The name of the model in an ONNX file, the configuration of its ``OnnxGraph``, its input, what else is known.

    The last holds license and citation where they are known; ``fixed``, whether it takes pictures of one size only; and
    ``digest``, the SHA-256 of all that decides a color: the file, then the files its weights lie in, then its YAML's
    meaning. So of a lone file it is the file's.

    side: instead of the one described. Raises ModelError for a file that cannot be used as described. The whole graph
    is opened once, unoptimized, and one that answers in sRGB is tried: 3 s and 2 GB for a file of 900 MB.
    """
    sidecar = find_sidecar(path)
    said = read_sidecar(sidecar) if sidecar else by_name(path)
    parts = external_data(path)
    session = open_session(path, torch.device("cpu"), optimized=False)
    source = check_ports(path, session, said)
    fixed = [size for size in source.shape[2:] if isinstance(size, int)]
    if fixed and not sidecar:
        said = said | {"side": fixed[0]}
    wanted = Input(side or said["side"], said.get("squash", False))
    usable = len(set(fixed)) == 1 and fixed[0] % MULTIPLE == 0
    if fixed and not (usable and wanted == Input(fixed[0], squash=True)):
        size = " x ".join(map(str, source.shape[2:]))
        remedy = f"it goes with side: {fixed[0]} and squash: true" if usable else "export it with free sides"
        raise ModelError(f"{path} takes pictures of {size} (height x width) only; {remedy}")
    conventions = {key: said[key] for key in ("input", "input_range", "output", "output_range") if key in said}
    if said["output"] == "rgb":
        probe(path, session, conventions, fixed[0] if fixed else PROBE)
    about = {key: said[key] for key in TEXTS[1:] if key in said}
    about |= {"digest": digest([path, *parts], conventions if sidecar else None), "fixed": bool(fixed)}
    return said.get("name", path.stem), {"path": str(path)} | conventions, wanted, about


def find_sidecar(path: Path) -> Path | None:
    """The YAML file that describes an ONNX file, where there is one."""
    places = path.with_name(path.name + ".yaml"), path.with_suffix(".yaml")
    return next((place for place in places if place.is_file()), None)


def read_sidecar(sidecar: Path) -> dict:
    """What a description says, checked. Raises ModelError with its name and the key."""
    import yaml

    try:
        said = yaml.safe_load(sidecar.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise ModelError(f"{sidecar} is not YAML: {brief(error)}") from error
    if not isinstance(said, dict):
        raise ModelError(f"{sidecar} holds no keys; it should look like {EXAMPLE}")
    needed = {"input", "output", "side"} | {f"{port}_range" for port in ("input", "output") if said.get(port) in CODES}
    for key in sorted(needed - set(said)):
        raise ModelError(f"{sidecar} lacks the key {key}; it should look like {EXAMPLE}")
    for key, value in said.items():
        if key in CHOICES:
            if not any(value == choice and type(value) is type(choice) for choice in CHOICES[key]):
                known = ", ".join(json.dumps(choice).strip('"') for choice in CHOICES[key])
                raise ModelError(f"{sidecar}: {key} is {value!r}; it is one of: {known}")
            if key.endswith("_range") and key not in needed:
                port = key.removesuffix("_range")
                raise ModelError(f"{sidecar}: {key} is for gray and rgb; leave it out beside {port}: {said.get(port)}")
        elif key == "side":
            if type(value) is not int or value % MULTIPLE or not MULTIPLE <= value <= LARGEST_SIDE:
                raise ModelError(f"{sidecar}: side is {value!r}; it is a multiple of {MULTIPLE} up to {LARGEST_SIDE}")
        elif key not in TEXTS:
            known = ", ".join([*CHOICES, "side", *TEXTS])
            raise ModelError(f"{sidecar}: {key} is not known; known: {known}")
        elif not isinstance(value, str):
            raise ModelError(f"{sidecar}: {key} is {value!r}; it is a text, in quotes where need be")
    return said


def by_name(path: Path) -> dict:
    """What is known of a common export. Raises ModelError for any other."""
    for pattern, said in KNOWN.items():
        if fnmatchcase(path.name.lower(), pattern + ".onnx"):
            return said
    raise ModelError(f"{path} does not say what its numbers mean; write {path.name}.yaml beside it, such as {EXAMPLE}")


def external_data(path: Path) -> list[Path]:
    """The files beside an ONNX file that hold weights of its graph.

    Raises ModelError for a file that is not ONNX, and for data that is missing or not in its folder.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx.external_data_helper import ExternalDataInfo, _get_all_tensors, uses_external_data
    except ImportError as error:
        raise ModelError(f"{path} needs the onnx extra: {REMEDY}") from error
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise ModelError(f"no weights at {path} ({error.strerror})") from error
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX file; was it downloaded whole?") from error
    if not model.graph.node:
        raise ModelError(f"{path} holds no graph; was it downloaded whole?")
    tensors = filter(uses_external_data, _get_all_tensors(model))
    folder = path.parent.resolve()
    places = {name: folder / name for name in sorted({ExternalDataInfo(tensor).location for tensor in tensors})}
    for name, place in places.items():
        if not place.resolve().is_relative_to(folder):
            raise ModelError(f"{path} keeps weights outside its folder, in {name!r}; that is not read")
        if not place.is_file():
            raise ModelError(f"{path} keeps weights in {name!r}, which is missing; put it into the same folder")
    return list(places.values())


def open_session(path: Path, device: torch.device, optimized: bool = True) -> InferenceSession:
    """The graph, ready to run; on a CPU with one thread, so that a color does not depend on how many there are.

    Operators that ONNX Runtime lacks are never loaded from elsewhere. Raises ModelError, also where the device is one
    that the installed ONNX Runtime cannot use.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"{path} needs the onnx extra: {REMEDY}") from error
    provider = PROVIDERS.get(device.type)
    if provider not in onnxruntime.get_available_providers():
        raise ModelError(f"{path} cannot run on {device.type} with the installed onnxruntime (for CUDA: pip uninstall "
                         "onnxruntime, pip install onnxruntime-gpu); or run it on the CPU")  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings = {"device_id": device.index or 0} if device.type == "cuda" else {}
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
    except Exception as error:  # its exceptions have no base of their own
        version = onnxruntime.__version__
        raise ModelError(f"ONNX Runtime {version} refuses {path} (a newer one may not): {brief(error)}") from error
    if session.get_providers()[0] != provider:  # it falls back by itself
        raise ModelError(f"{path} cannot run on {device.type}: ONNX Runtime found no usable device or libraries")
    return session


def brief(error: Exception) -> str:
    """What an error says, in one line of moderate length; ONNX Runtime comes to the point at the end."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else "..." + text[-300:]


def ports(path: Path, session: InferenceSession) -> tuple[NodeArg, NodeArg, NodeArg | None]:
    """Input, output and, where it has one, uncertainty of a graph. Raises ModelError."""
    inputs, outputs = session.get_inputs(), {port.name: port for port in session.get_outputs()}
    doubt = outputs.pop(UNCERTAINTY, None)
    if len(inputs) != 1 or len(outputs) != 1:
        names = ", ".join(port.name for port in inputs), ", ".join(outputs)
        raise ModelError(f"{path} takes {names[0]} and gives {names[1]}; a colorizer takes one input and gives one "
                         f"output, and {UNCERTAINTY} if it likes")  # fmt: skip
    return inputs[0], *outputs.values(), doubt


def check_ports(path: Path, session: InferenceSession, said: dict) -> NodeArg:
    """The input of a graph whose inputs and outputs can be what was said of them. Raises ModelError."""
    source, answer, doubt = ports(path, session)
    for port, what in ((source, said["input"]), (answer, said["output"]), (doubt, UNCERTAINTY)):
        if port is None:
            continue
        if port.type not in TYPES:
            raise ModelError(f"{path}: {port.name} is a {port.type}; only float and float16 are understood")
        wanted, shape = CHANNELS[what], port.shape
        known = bool(shape) or port is source
        if known and (len(shape) != 4 or isinstance(shape[1], int) and shape[1] != wanted):
            raise ModelError(f"{path}: {port.name} has the shape {shape}; {what} has (batch, {wanted}, height, "
                             "width): say in a YAML file beside it what it is")  # fmt: skip
    if source.shape[0] != 1 and isinstance(source.shape[0], int):
        raise ModelError(f"{path} takes {source.shape[0]} pictures at once; export it for one, or for any number")
    return source


def run(path: Path, session: InferenceSession, pictures: np.ndarray) -> list[np.ndarray]:
    """The answer, and the uncertainty where there is one, to pictures (B, channels, H, W): (B, channels, H, W) float32.

    A graph for one picture is given one at a time. Raises ModelError where it fails or answers no picture.
    """
    source, answer, doubt = ports(path, session)
    names = [port.name for port in (answer, doubt) if port]
    step = 1 if source.shape[0] == 1 else len(pictures)
    pictures = np.ascontiguousarray(pictures, TYPES[source.type])
    answers = []
    try:
        for i in range(0, len(pictures), step):
            answers.append(session.run(names, {source.name: pictures[i : i + step]}))
    except Exception as error:  # see open_session
        raise ModelError(f"{path} fails on a picture of the shape {pictures.shape}: {brief(error)}") from error
    whole = [np.concatenate(parts).astype(np.float32) for parts in zip(*answers, strict=True)]
    for name, values in zip(names, whole, strict=True):
        if values.shape[:1] + values.shape[2:] != pictures.shape[:1] + pictures.shape[2:]:
            raise ModelError(f"{path} answers {name} of the shape {values.shape} to {pictures.shape}, no picture of it")
        if not np.isfinite(values).all():
            raise ModelError(f"{path} answers with values that are not finite numbers")
    return whole


def probe(path: Path, session: InferenceSession, conventions: dict, side: int) -> None:
    """Raise ModelError where the answer to a gray square contradicts the range that was declared for sRGB codes.

    Copies of one network are shared with and without a factor of 255 inside; the wrong one gives black or nonsense.
    """
    middle = 50 if conventions["input"] == "L" else conventions["input_range"] / 2
    answer = run(path, session, np.full((1, CHANNELS[conventions["input"]], side, side), middle))[0]
    peak, top = float(answer.max()), conventions["output_range"]
    if (top == 255) != (peak > 2):
        raise ModelError(f"{path} answers up to {peak:.2f} to a gray square, which does not fit a range of {top}; "
                         "correct output_range in its YAML, or input_range")  # fmt: skip


def digest(files: list[Path], conventions: dict | None) -> str:
    """SHA-256 in hexadecimal digits of files one after the other, and of the conventions where they are given."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                whole.update(part)
    if conventions:
        whole.update(json.dumps(conventions, sort_keys=True).encode())
    return whole.hexdigest()


class OnnxGraph(nn.Module):
    """Lightness to ab by the graph in an ONNX file; no parameters, for they are the graph's own.

    Of an answer in Lab or sRGB the chroma is kept and the lightness is not. ``path`` and the conventions are those
    that ``describe`` gives. Moved to another device, the module opens the graph there at once.
    """

    stride = 1  # what the graph wants is between its file and the side it is described with
    place: Tensor  # an empty tensor that knows where the module is

    def __init__(self, path: str, input: str, output: str, input_range: int = 1, output_range: int = 1):
        super().__init__()
        self.path = Path(path)
        self.input, self.input_range = input, input_range
        self.output, self.output_range = output, output_range
        self.register_buffer("place", torch.empty(0), persistent=False)
        self.opened: tuple[torch.device, InferenceSession] | None = None

    def session(self) -> InferenceSession:
        """The graph on the module's device. Raises ModelError where that cannot run it."""
        if self.opened is None or self.opened[0] != self.place.device:
            self.opened = self.place.device, open_session(self.path, self.place.device)
        return self.opened[1]

    def _apply(self, fn: Callable, recurse: bool = True) -> OnnxGraph:
        super()._apply(fn, recurse)
        self.session()
        return self

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """ab (B, 2, H, W) in Lab units of lightness (B, 1, H, W) in 0..100, and uncertainty (B, 1, H, W) in 0..1 where
        the graph has an output of that name.

        Raises ValueError for hints, and ModelError where the graph fails.
        """
        check("onnx", self.stride, lightness, hints)
        pictures = lightness if self.input == "L" else gray(lightness) * self.input_range
        if self.input == "rgb":
            pictures = pictures.expand(-1, 3, -1, -1)
        answers = run(self.path, self.session(), pictures.cpu().numpy())
        answer, *doubt = [torch.from_numpy(values).to(lightness.device) for values in answers]
        if self.output == "rgb":
            answer = color.srgb_to_lab((answer / self.output_range).clamp(0, 1), axis=1)
        ab = answer[:, -2:]
        return (ab, doubt[0]) if doubt else ab

"""Write a model as ONNX: ``python -m jobs.export MODEL OUT.onnx``.

The graph takes ``lightness`` (batch, 1, height, width) in 0..100; height and width are any multiples of 32. It gives
``ab`` (batch, 2, height, width) in Lab units and, where the model says how sure it is, ``uncertainty`` of the input's
shape in 0..1. OUT.onnx.yaml, written beside it, says the rest, so that OUT.onnx can be named wherever a model can.
Nothing is written unless ONNX Runtime's colors are the model's.

Exit codes: 0 both files are written; 1 the export failed, or its colors are not the model's; 2 asked for something
impossible; 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from colorize_core import __version__
from colorize_core.colorizer import fold, open_network
from colorize_core.inputs import MULTIPLE
from colorize_core.models.onnx_graph import REMEDY, UNCERTAINTY, OnnxGraph, describe
from colorize_core.weights import Model, ModelError, find
from jobs.interruption import stoppable

OPSET = 18  # the first with resizing that averages, which the classifiers inside some models ask for
NEAR = 0.1  # Lab units that ONNX Runtime's ab may differ from torch's


class Impossible(Exception):
    """What was asked for cannot be done; the message says why."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="name of a model, or where its weights are, as python -m jobs.colorize takes it")
    add("out", metavar="OUT.onnx", help="file to write; its description goes beside it, to OUT.onnx.yaml")
    add("--side", type=int, metavar="PX", help=f"what the model will see of a photo is about PX x PX pixels, a "
        f"multiple of {MULTIPLE} (default: the model's own)")  # fmt: skip
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Work:
    """What was asked for, found."""

    model: Model
    network: nn.Module
    out: Path


def find_work(args: argparse.Namespace) -> Work:
    """Raises Impossible."""
    out = Path(args.out)
    if out.suffix != ".onnx" or "://" in args.out:
        raise Impossible(f"{args.out} is not the path of an .onnx file on this machine")
    if not os.access(out.parent, os.W_OK):
        raise Impossible(f"nothing can be written to {out.parent}; make the folder first, or choose another")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise Impossible(f"exporting needs the onnx extra: {REMEDY}") from error
    try:
        model = find(args.model if args.side is None else f"{args.model}@{args.side}")
        if model.architecture == "onnx":
            raise Impossible(f"{model.path} is ONNX already")
        network = open_network(model)
    except ModelError as error:
        raise Impossible(str(error)) from error
    fold(network)
    return Work(model, Asked(network), out)


class Asked(nn.Module):
    """A network that always says how sure it is, if it can."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.answer = getattr(network, "with_uncertainty", network.forward)

    def forward(self, lightness: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.answer(lightness)


def picture(width: int, height: int) -> Tensor:
    """Clouds to color, the same every time: lightness (1, 1, H, W) in 0..100."""
    noise = torch.rand(1, 1, height // 16, width // 16, generator=torch.Generator().manual_seed(0))
    return 100 * nn.functional.interpolate(noise, (height, width), mode="bilinear")


def write_graph(network: nn.Module, path: Path) -> None:
    """Raises whatever torch's exporter does where it cannot follow the network."""
    import onnx

    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it talks to its developers
    example = picture(3 * MULTIPLE, 2 * MULTIPLE).repeat(2, 1, 1, 1)  # sizes of 1 would be taken for fixed
    height, width = (MULTIPLE * torch.export.Dim(name) for name in ("height", "width"))
    shapes = {"lightness": {0: torch.export.Dim("batch"), 2: height, 3: width}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        program = torch.export.export(network, (example,), dynamic_shapes=shapes, strict=False)
        outputs = ["ab", UNCERTAINTY][: len(program.graph_signature.user_outputs)]
        torch.onnx.export(program, (), path, dynamo=True, input_names=["lightness"], output_names=outputs,
                          opset_version=OPSET, external_data=False, verbose=False)  # fmt: skip
    graph = onnx.load(path)
    for node in graph.graph.node:
        node.ClearField("metadata_props")  # paths on this machine
    onnx.save(graph, path)


def description(model: Model) -> str:
    """What OUT.onnx.yaml says."""
    said = {"input": "L", "output": "ab", "side": model.input.side, "squash": model.input.squash, "name": model.name}
    said |= {key: model.about[key] for key in ("license", "citation") if model.about.get(key)}
    note = f"# from the weights {model.digest} by Autochrome {__version__}\n"
    return note + yaml.safe_dump(said, sort_keys=False, allow_unicode=True)


def distance(work: Work, path: Path) -> float:
    """How far the graph at ``path`` is at most from torch, on two pictures: in Lab units, or uncertainty if more."""
    _, config, wanted, _ = describe(path)
    graph, far = OnnxGraph(**config), 0.0
    for size in (wanted.size(3, 2), (2 * MULTIPLE, 4 * MULTIPLE)):
        with torch.inference_mode():
            theirs, ours = (network(picture(*size)) for network in (graph, work.network))
        pairs = zip(theirs, ours, strict=True) if isinstance(ours, tuple) else [(theirs, ours)]
        far = max(far, *(float((one - other).abs().max()) for one, other in pairs))
    return far


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        with stoppable():
            work = find_work(args)
            with tempfile.TemporaryDirectory(prefix=".export-", dir=work.out.parent) as folder:
                graph, sidecar = Path(folder, work.out.name), Path(folder, work.out.name + ".yaml")
                write_graph(work.network, graph)
                sidecar.write_text(description(work.model), "utf-8")
                far = distance(work, graph)
                if far > NEAR:
                    raise RuntimeError(
                        f"ONNX Runtime's colors are {far:.2g} Lab units from torch's; nothing is written"
                    )
                sidecar.replace(work.out.with_name(sidecar.name))
                graph.replace(work.out)
    except Impossible as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is written", file=sys.stderr)
        return 130
    except Exception as error:
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]  # torch goes on for a page
        print(f"the job failed: {first}", file=sys.stderr)
        return 1
    print(f"{work.out}: {work.model.name}, within {far:.1g} Lab units of torch; described in {work.out.name}.yaml")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Graphs made by hand: what their numbers mean is known, so every color that comes out is too."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from skimage import color

from colorize_core.inputs import Input
from colorize_core.models.onnx_graph import EXAMPLE, OnnxGraph, describe, open_session
from colorize_core.weights import ModelError

FREE = ("batch", None, "height", "width")
PLAIN = {"input": "L", "output": "ab", "side": 64}
CPU = torch.device("cpu")


def codes(kind: str, top: int) -> dict:
    return {"input": kind, "input_range": top}


INPUTS = [{"input": "L"}, *(codes(kind, top) for kind in ("gray", "rgb") for top in (1, 255))]
OUTPUTS = [{"output": "ab"}, {"output": "lab"}, *({"output": "rgb", "output_range": top} for top in (1, 255))]
CHANNELS = {"L": 1, "gray": 1, "ab": 2, "lab": 3, "rgb": 3}


def save(path: Path, nodes, tensors, inputs, outputs, opset=17, domain="") -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def write(path: Path, said: dict, shape=FREE, type=np.float32, beside=True, **changes) -> Path:
    """A colorizer of one convolution, described by ``said``, in a YAML file if it lies ``beside``.

    With v in 0..1 as its input over the range, it answers ab (100 v - 50, 20), Lab (77, 100 v - 50, 20) or sRGB
    (v, 0.5, 0.2) times the range. ``changes`` are other arguments for ``save``; "answer" changes the answer.
    """
    into, out = CHANNELS[said["input"]], CHANNELS[said["output"]]
    rows, top = {
        "ab": ([(100, -50), (0, 20)], 1),
        "lab": ([(0, 77), (100, -50), (0, 20)], 1),
        "rgb": ([(1, 0), (0, 0.5), (0, 0.2)], said.get("output_range")),
    }[said["output"]]
    slope, bias = np.array(rows).T * top * changes.pop("answer", 1.0)
    scale = said.get("input_range", 100)
    kernel = slope[:, None] / scale * ([1.0] if into == 1 else [0.2, 0.3, 0.5])
    tensors = [numpy_helper.from_array(kernel[..., None, None].astype(type), "kernel"),
               numpy_helper.from_array(bias.astype(type), "bias")]  # fmt: skip
    element = helper.np_dtype_to_tensor_dtype(np.dtype(type))
    ports = [helper.make_tensor_value_info(name, element, (shape[0], channels, *shape[2:]))
             for name, channels in (("picture in", into), ("picture out", out))]  # fmt: skip
    node = helper.make_node("Conv", ["picture in", "kernel", "bias"], ["picture out"])
    arguments = {"nodes": [node], "tensors": tensors, "inputs": ports[:1], "outputs": ports[1:]}
    if beside:
        path.with_name(path.name + ".yaml").write_text(yaml.safe_dump(said))
    return save(path, **(arguments | changes))


def expected(said: dict, lightness: np.ndarray) -> np.ndarray:
    """ab (H, W, 2) of the graph that ``write`` makes, by scikit-image."""
    neutral = color.lab2rgb(np.dstack([lightness, *np.zeros((2, *lightness.shape))]))[..., 0]
    v = lightness / 100 if said["input"] == "L" else neutral
    if said["output"] == "rgb":
        return color.rgb2lab(np.dstack([v, np.full_like(v, 0.5), np.full_like(v, 0.2)]))[..., 1:]
    return np.dstack([100 * v - 50, np.full_like(v, 20)])


@pytest.fixture(scope="module")
def lightness() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 100, (32, 64)).astype(np.float32)


def colored(path: Path, *photos: np.ndarray) -> np.ndarray:
    """ab (B, H, W, 2) from lightness (H, W)."""
    with torch.inference_mode():
        ab = OnnxGraph(**describe(path)[1])(torch.from_numpy(np.stack(photos))[:, None])
    assert isinstance(ab, torch.Tensor) and ab.dtype == torch.float32
    return ab.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda said: "".join(map(str, said.values())))
@pytest.mark.parametrize("input", INPUTS, ids=lambda said: "".join(map(str, said.values())))
def test_every_convention_gives_the_colors_it_means(input, output, lightness, tmp_path):
    said = input | output | {"side": 64}
    path = write(tmp_path / "x.onnx", said)
    np.testing.assert_allclose(colored(path, lightness)[0], expected(said, lightness), atol=0.05)


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda said: "".join(map(str, said.values())))
def test_half_precision_graphs_are_fed_their_own(output, lightness, tmp_path):
    said = codes("rgb", 255) | output | {"side": 64}
    path = write(tmp_path / "x.onnx", said, type=np.float16)
    np.testing.assert_allclose(colored(path, lightness)[0], expected(said, lightness), atol=0.5)


@pytest.mark.parametrize("shape", [FREE, (1, None, "height", "width"), (1, None, 64, 64)])
def test_batches_are_fed_as_the_graph_can_take_them(shape, tmp_path):
    path = write(tmp_path / "x.onnx", PLAIN | {"squash": True}, shape=shape)
    photos = np.random.default_rng(1).uniform(0, 100, (3, 64, 64)).astype(np.float32)
    ab = colored(path, *photos)
    for answer, photo in zip(ab, photos, strict=True):
        np.testing.assert_allclose(answer, expected(PLAIN, photo), atol=1e-3)


def test_an_output_called_uncertainty_is_one(lightness, tmp_path):
    ports = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("uncertainty", "out")}
    taken = [helper.make_tensor_value_info("in", TensorProto.FLOAT, FREE)]
    tensors = [numpy_helper.from_array(np.float32(100), "top")]
    nodes = [helper.make_node("Div", ["in", "top"], ["uncertainty"]),
             helper.make_node("Concat", ["in", "in"], ["out"], axis=1)]  # fmt: skip
    path = write(tmp_path / "x.onnx", PLAIN, nodes=nodes, tensors=tensors, inputs=taken, outputs=list(ports.values()))
    with torch.inference_mode():
        ab, doubt = OnnxGraph(**describe(path)[1])(torch.from_numpy(lightness)[None, None])
    np.testing.assert_allclose(doubt[0, 0], lightness / 100, rtol=1e-6)
    np.testing.assert_array_equal(ab[0], np.stack([lightness, lightness]))


def test_a_description_says_what_it_says(tmp_path):
    said = codes("rgb", 255) | {"output": "lab", "side": 128, "squash": True, "name": "mine", "license": "MIT"}
    name, config, wanted, about = describe(write(tmp_path / "x.onnx", said))
    assert (name, wanted) == ("mine", Input(128, squash=True))
    assert config == codes("rgb", 255) | {"path": str(tmp_path / "x.onnx"), "output": "lab"}
    assert about["license"] == "MIT" and not about["fixed"]
    assert describe(tmp_path / "x.onnx", side=96)[2] == Input(96, squash=True)
    (tmp_path / "x.onnx.yaml").rename(tmp_path / "x.yaml")
    assert describe(tmp_path / "x.onnx")[2] == wanted


def test_the_example_in_messages_is_a_description(tmp_path):
    path = write(tmp_path / "x.onnx", yaml.safe_load(EXAMPLE), beside=False)
    (tmp_path / "x.onnx.yaml").write_text(EXAMPLE)
    assert describe(path)[2] == Input(256, squash=True)


RGB, ROUND = codes("rgb", 255), {"output": "rgb", "output_range": 255}


@pytest.mark.parametrize(
    ("name", "said", "shape", "type", "wanted", "terms"),
    [
        ("ddcolor.onnx", codes("rgb", 1) | {"output": "ab"}, (1, None, 512, 512), np.float32, 512, "Apache-2.0"),
        (
            "DDColor-tiny_256.onnx",
            codes("rgb", 1) | {"output": "ab"},
            (1, None, 256, 256),
            np.float32,
            256,
            "Apache-2.0",
        ),
        ("ddcolor-dynamic.onnx", codes("rgb", 1) | {"output": "ab"}, FREE, np.float32, 512, "Apache-2.0"),
        ("deoldify.onnx", RGB | ROUND, (1, None, 256, 256), np.float32, 256, "MIT"),
        ("ColorizeArtistic_dyn_fp16.onnx", RGB | ROUND, (1, None, "h", "w"), np.float16, 256, "MIT"),
        ("ColorizeStable_dyn.onnx", RGB | ROUND, (1, None, "h", "w"), np.float32, 256, "MIT"),
        ("DeoldifyVideo_dyn.onnx", RGB | ROUND, (1, None, "h", "w"), np.float32, 256, "MIT"),
        ("colorization_release_v2-9b330a0b.onnx", PLAIN, (1, None, 256, 256), np.float32, 256, "BSD-2-Clause"),
        ("siggraph17-df00044c.onnx", PLAIN, (1, None, 256, 256), np.float32, 256, "BSD-2-Clause"),
    ],
)
def test_common_exports_are_known_by_name(name, said, shape, type, wanted, terms, tmp_path):
    path = write(tmp_path / name, said, shape=shape, type=type, beside=False)
    found, config, input, about = describe(path)
    assert (found, input, about["license"]) == (path.stem, Input(wanted, squash=True), terms)
    assert about["fixed"] == isinstance(shape[2], int) and about["citation"]
    assert about["digest"] == hashlib.sha256(path.read_bytes()).hexdigest()
    gray = np.full((wanted, wanted), 60, np.float32)
    np.testing.assert_allclose(colored(path, gray)[0, 0, 0], expected(said, gray)[0, 0], atol=0.5)


def test_a_name_alone_is_not_believed(tmp_path):
    with pytest.raises(ModelError, match=r"picture in has the shape .*; rgb has \(batch, 3, height, width\)"):
        describe(write(tmp_path / "ddcolor.onnx", PLAIN, beside=False))
    with pytest.raises(ModelError, match="answers up to 0.50 to a gray square, which does not fit a range of 255"):
        describe(write(tmp_path / "deoldify.onnx", RGB | ROUND, beside=False, answer=1 / 255))
    with pytest.raises(ModelError, match="does not fit a range of 1"):
        describe(write(tmp_path / "x.onnx", RGB | {"output": "rgb", "output_range": 1, "side": 64}, answer=255))
    with pytest.raises(ModelError, match=r"write other.onnx.yaml beside it, such as \{input: rgb"):
        describe(write(tmp_path / "other.onnx", PLAIN, beside=False))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("input: rgb\ninput_range: 255\noutput: ab\n", "lacks the key side"),
        ("input: rgb\noutput: ab\nside: 64\n", "lacks the key input_range"),
        ("input: L\noutput: rgb\nside: 64\n", "lacks the key output_range"),
        ("input: lightness\noutput: ab\nside: 64\n", "input is 'lightness'; it is one of: L, gray, rgb"),
        ("input: gray\ninput_range: true\noutput: ab\nside: 64\n", "input_range is True; it is one of: 1, 255"),
        ("input: L\ninput_range: 1\noutput: ab\nside: 64\n", "input_range is for gray and rgb"),
        ("input: L\noutput: [ab]\nside: 64\n", r"output is \['ab'\]; it is one of: ab, lab, rgb"),
        ("input: L\noutput: ab\nside: 100\n", "side is 100; it is a multiple of 32 up to"),
        ("input: L\noutput: ab\nside: 64.0\n", "side is 64.0"),
        ("input: L\noutput: ab\nside: 64\nsquash: 1\n", "squash is 1; it is one of: true, false"),
        ("input: L\noutput: ab\nside: 64\nname: 7\n", "name is 7; it is a text"),
        ("input: L\noutput: ab\nside: 64\nscale: 2\n", "scale is not known; known: input, "),
        ("- L\n", "holds no keys"),
        ("", "holds no keys"),
        ("input: {", "is not YAML"),
        ("input: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_descriptions_are_refused_by_name_and_key(text, sentence, tmp_path):
    path = write(tmp_path / "x.onnx", PLAIN)
    (tmp_path / "x.onnx.yaml").write_text(text)
    with pytest.raises(ModelError, match=f"x.onnx.yaml.*{sentence}"):
        describe(path)


@pytest.mark.parametrize(
    ("said", "shape", "side", "sentence"),
    [
        ({"side": 64}, (1, None, 64, 64), None, "pictures of 64 x 64 .* only; it goes with side: 64 and squash: true"),
        ({"side": 96, "squash": True}, (1, None, 64, 64), None, "it goes with side: 64"),
        ({"side": 64, "squash": True}, (1, None, 64, 64), 96, "it goes with side: 64"),
        ({"side": 64, "squash": True}, (1, None, 64, 96), None, "pictures of 64 x 96 .* export it with free sides"),
        ({"side": 64, "squash": True}, (1, None, 100, 100), None, "export it with free sides"),
        ({"side": 64, "squash": True}, (1, None, 96, "width"), None, "pictures of 96 x width"),
        ({"side": 64}, (4, None, "height", "width"), None, "takes 4 pictures at once"),
    ],
)
def test_a_fixed_size_is_obeyed(said, shape, side, sentence, tmp_path):
    path = write(tmp_path / "x.onnx", PLAIN | said, shape=shape)
    with pytest.raises(ModelError, match=sentence):
        describe(path, side)


def test_graphs_that_are_no_colorizers_are_refused(tmp_path):
    port, path = helper.make_tensor_value_info, tmp_path / "x.onnx"
    same, given = [helper.make_node("Identity", ["in"], ["out"])], port("out", TensorProto.FLOAT, None)
    two = [helper.make_node("Concat", ["in", "hints"], ["out"], axis=1)]
    taken = [port(name, TensorProto.FLOAT, FREE) for name in ("in", "hints")]
    write(path, PLAIN, nodes=two, tensors=[], inputs=taken, outputs=[given])
    with pytest.raises(ModelError, match="takes in, hints and gives out; a colorizer takes one input"):
        describe(path)
    for type, shape, sentence in (
        (TensorProto.UINT8, FREE, r"in is a tensor\(uint8\)"),
        (TensorProto.FLOAT, FREE[2:], r"has the shape \['height', 'width'\]"),
        (TensorProto.FLOAT, None, r"has the shape \[\]"),
    ):
        write(path, PLAIN, nodes=same, tensors=[], inputs=[port("in", type, shape)], outputs=[port("out", type, None)])
        with pytest.raises(ModelError, match=sentence):
            describe(path)


@pytest.mark.parametrize(
    ("operator", "attributes", "sentence"),
    [
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}, r"shape \(1, 2, 32, 32\) to \(1, 1, 64, 64\)"),
        ("Log", {}, "not finite"),
    ],
)
def test_answers_that_are_no_colors_are_refused(operator, attributes, sentence, tmp_path):
    nodes = [helper.make_node("Concat", ["in", "in"], ["two"], axis=1),
             helper.make_node(operator, ["two"], ["out"], **attributes)]  # fmt: skip
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in
             (("in", FREE), ("out", None))]  # fmt: skip
    path = write(tmp_path / "x.onnx", PLAIN, nodes=nodes, tensors=[], inputs=ports[:1], outputs=ports[1:])
    with pytest.raises(ModelError, match=sentence):
        colored(path, np.zeros((64, 64), np.float32))


def test_what_onnx_runtime_cannot_run_is_refused(tmp_path):
    node = helper.make_node("Paint", ["picture in"], ["picture out"], domain="com.example")
    with pytest.raises(
        ModelError, match=rf"ONNX Runtime {onnxruntime.__version__} refuses .*x.onnx.*com.example:Paint"
    ):
        describe(write(tmp_path / "x.onnx", PLAIN, nodes=[node], domain="com.example"))
    with pytest.raises(ModelError, match=r"refuses .*x.onnx \(a newer one may not\): .*till opset"):
        describe(write(tmp_path / "x.onnx", PLAIN, opset=999))


def test_files_that_are_not_onnx_are_refused(tmp_path):
    path = write(tmp_path / "x.onnx", PLAIN)
    whole = path.read_bytes()
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\n", whole[:-40], b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="x.onnx .*was it downloaded whole"):
            describe(path)
    path.unlink()
    with pytest.raises(ModelError, match="no weights at .*x.onnx"):
        describe(path)


def outside(path: Path, location: str) -> Path:
    """The graph of ``write`` with its kernel in another file."""
    model = onnx.load(write(path, PLAIN))
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel")
    content = kernel.raw_data
    onnx.external_data_helper.set_external_data(kernel, location, offset=0, length=len(content))
    kernel.ClearField("raw_data")
    onnx.save(model, path)
    place = path.parent / location
    if not place.exists():
        place.write_bytes(content)
    return place


def test_weights_in_a_second_file_count(lightness, tmp_path):
    place = outside(tmp_path / "x.onnx", "x.onnx.data")
    np.testing.assert_allclose(colored(tmp_path / "x.onnx", lightness)[0], expected(PLAIN, lightness), atol=1e-3)
    before = describe(tmp_path / "x.onnx")[3]["digest"]
    place.write_bytes(np.array([2, 0], np.float32).tobytes())
    assert describe(tmp_path / "x.onnx")[3]["digest"] != before
    place.unlink()
    with pytest.raises(ModelError, match="keeps weights in 'x.onnx.data', which is missing"):
        describe(tmp_path / "x.onnx")


def test_weights_outside_the_folder_are_not_read(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    for location in ("../secret", str(tmp_path / "secret"), "link"):
        (tmp_path / "secret").write_bytes(bytes(8))
        if location == "link":
            (folder / "link").symlink_to("../secret")
        outside(folder / "x.onnx", location)
        with pytest.raises(ModelError, match="keeps weights outside its folder"):
            describe(folder / "x.onnx")
        with pytest.raises(ModelError, match="refuses"):  # nor would ONNX Runtime
            open_session(folder / "x.onnx", CPU)


def test_the_digest_covers_the_meaning_of_the_description(tmp_path):
    path = write(tmp_path / "x.onnx", codes("gray", 1) | {"output": "ab", "side": 64})
    digests = set()
    for said in (codes("gray", 1), codes("gray", 255), codes("gray", 1) | {"license": "MIT"}):
        (tmp_path / "x.onnx.yaml").write_text(yaml.safe_dump(said | {"output": "ab", "side": 64}))
        digests.add(describe(path)[3]["digest"])
    assert len(digests) == 2


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(package, tmp_path, monkeypatch):
    path = write(tmp_path / "x.onnx", PLAIN)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=r"pip install 'autochrome-archive\[onnx\]'"):
        describe(path)


def test_one_thread_computes_whatever_the_machine(tmp_path):
    options = open_session(write(tmp_path / "x.onnx", PLAIN), CPU).get_session_options()
    assert options.intra_op_num_threads == 1


def test_hints_are_refused(lightness, tmp_path):
    graph = OnnxGraph(**describe(write(tmp_path / "x.onnx", PLAIN))[1])
    with pytest.raises(ValueError, match="takes no color hints"):
        graph(torch.from_numpy(lightness)[None, None], torch.zeros(1, 3, 32, 64))


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="it is not missing here")
def test_a_device_that_onnx_runtime_lacks_is_refused(tmp_path):
    path = write(tmp_path / "x.onnx", PLAIN)
    with pytest.raises(ModelError, match="cannot run on cuda with the installed onnxruntime"):
        open_session(path, torch.device("cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_agrees_with_the_cpu(lightness, tmp_path):
    path = write(tmp_path / "x.onnx", PLAIN)
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is not installed")
    photo = torch.from_numpy(lightness)[None, None].cuda()
    ab = OnnxGraph(**describe(path)[1]).to("cuda")(photo)
    assert ab.is_cuda
    np.testing.assert_allclose(ab[0].permute(1, 2, 0).cpu(), expected(PLAIN, lightness), atol=0.1)

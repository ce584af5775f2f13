"""Specs, and weights that others published: of two small networks that are in the table for these tests alone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from torch import nn

from colorize_core.colorizer import open_network
from colorize_core.inputs import Input
from colorize_core.models import ARCHITECTURES, build
from colorize_core.storage import Store
from colorize_core.weights import DEFAULT, FOLDER, ModelError, find, find_all, load
from colorize_core.weights.published import PUBLISHED, Published

OFFICIAL = "small-official.pth"
FLIPS = 200


class Small(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.into, self.norm, self.out = nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 2, 1)


class Other(Small):
    def __init__(self):
        super().__init__(8)
        self.more = nn.Conv2d(8, 8, 1)


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {k: torch.randn(v.shape) if v.is_floating_point() else v for k, v in network.state_dict().items()}


WEIGHTS = state(Small())
OTHER = state(Other())


@pytest.fixture
def networks(monkeypatch):
    """The table of published networks holds ``small``, with one file whose digest is known, and ``other``."""
    for name in list(PUBLISHED):
        monkeypatch.delitem(PUBLISHED, name)
    content = io.BytesIO()
    torch.save(WEIGHTS, content)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    for name, network, files, side in (
        ("small", Small, {OFFICIAL: digest}, 64),
        ("other", Other, {"other-a.pth": None, "other-b.pth": None}, 128),
    ):
        monkeypatch.setitem(ARCHITECTURES, name, network)
        monkeypatch.setitem(PUBLISHED, name, Published(side, files, "the authors", "MIT", "A. Author, 2020"))
    return content.getvalue()


@pytest.fixture
def small(networks, tmp_path) -> Path:
    path = tmp_path / "small.pth"
    path.write_bytes(networks)
    return path


def refusal(spec: str, call=find) -> str:
    """The one sentence in which a spec is refused."""
    with pytest.raises(ModelError) as caught:
        call(spec)
    sentence = str(caught.value)
    assert "\n" not in sentence and ". " not in sentence.replace(spec, ""), sentence
    return sentence


def equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return set(found) == set(wanted) and all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_finding_a_shipped_model_loads_no_torch():
    """Ray's driver and the workers that only read files stay small."""
    code = (
        "import sys; import colorize_core.recipe; from colorize_core.weights import find; "
        f"assert find({DEFAULT!r}).input.side; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_name_and_a_path_find_the_same(tmp_path):
    named = find(DEFAULT)
    assert named.path == FOLDER / f"{DEFAULT}.safetensors" and not named.input.squash
    copy = tmp_path / "mine.safetensors"
    shutil.copy(named.path, copy)
    found = find(str(copy))
    assert (found.path, found.name, found.digest, found.input) == (copy, named.name, named.digest, named.input)


def test_a_published_file_says_what_it_is(small):
    model = find(f"small={small}")
    assert (model.path, model.name, model.architecture, model.config) == (small, "small", "small", {})
    assert model.input == Input(64, squash=True)
    assert model.digest == hashlib.sha256(small.read_bytes()).hexdigest()
    assert model.about["license"] == "MIT" and model.about["citation"] == "A. Author, 2020"
    assert equal(load(model), WEIGHTS)


@pytest.mark.parametrize("name", ["weights.pth", "legacy.pth", "pytorch_model.bin", "model.safetensors"])
def test_a_file_alone_is_known_by_its_keys(name, networks, tmp_path):
    path = tmp_path / name
    for wanted, content in (("small", WEIGHTS), ("other", OTHER)):
        if path.suffix == ".safetensors":
            save_file(content, path)
        else:
            torch.save({"params": content}, path, _use_new_zipfile_serialization="legacy" not in name)
        model = find(str(path))
        assert model.architecture == wanted and equal(load(model), content)
        assert find(f"{wanted}={path}") == model


def test_a_side_goes_with_every_form(small):
    for spec, side, squash in (
        (DEFAULT, 256, False),
        (str(FOLDER / f"{DEFAULT}.safetensors"), 64, False),
        (str(small), 2048, True),
        (f"small={small}", 96, True),
    ):
        assert find(f"{spec}@{side}").input == Input(side, squash)


@pytest.mark.parametrize("side", ["0", "32", "63", "100", "2080", "99999999999999999999"])
def test_sides_that_no_network_takes_are_refused(side, small):
    for spec in (f"{DEFAULT}@{side}", f"small={small}@{side}"):
        assert f"@{side}: a side is a multiple of 32 from 64 to 2048 pixels" in refusal(spec)


@pytest.mark.parametrize("side", ["", "big", "64.0", "-64", "1e3", "64@"])
def test_what_is_no_side_is_part_of_the_name(side, small):
    assert "no weights at" in refusal(f"{small}@{side}")
    assert "no weights at" in refusal(f"{DEFAULT}@{side}")


def test_several_are_found_in_their_order(small, tmp_path):
    torch.save(OTHER, tmp_path / "other.pth")
    models = find_all(f"{DEFAULT}@64+small={small}@96+{tmp_path / 'other.pth'}+{DEFAULT}")
    assert [model.name for model in models] == [DEFAULT, "small", "other", DEFAULT]
    assert [model.input.side for model in models] == [64, 96, 128, find(DEFAULT).input.side]
    assert find_all(DEFAULT) == (find(DEFAULT),)


@pytest.mark.parametrize("name", ["a+b.pth", "a@64.pth", "weights@64", "small=c.pth", "é ü+@=.pth"])
def test_a_file_that_is_there_is_one_file(name, small):
    path = small.rename(small.with_name(name))
    for spec in (str(path), f"small={path}"):
        (model,) = find_all(spec)
        assert model.path == path and model.input.side == 64


def test_a_relative_path_with_an_equals_sign_is_a_file(small, monkeypatch):
    monkeypatch.chdir(small.parent)
    small.rename("small=x.pth")
    (model,) = find_all("small=x.pth")
    assert model.path == Path("small=x.pth")
    Path("run=3").mkdir()
    Path("small=x.pth").rename("run=3/x.pth")
    assert find("run=3/x.pth@96").input.side == 96


def test_home_is_understood_where_the_shell_left_it(small, monkeypatch):
    monkeypatch.setenv("HOME", str(small.parent))
    assert find("small=~/small.pth").path == small


@pytest.mark.parametrize("spec", ["", "small=", "small=@64", "+autochrome", "autochrome+", "autochrome++autochrome"])
def test_a_spec_without_a_file_is_refused(spec, networks):
    assert "names no file; write " in refusal(spec, find_all)


def test_what_is_not_there_is_named(networks, tmp_path):
    for name in ("x.pth", "x.bin", "x.pt", "x.onnx", "x.safetensors"):
        assert refusal(f"{tmp_path}/{name}") == f"no weights at {tmp_path}/{name}; is the path right?"
    assert "is the path right?" in refusal(f"small={tmp_path}/x")
    assert "no weights at" in refusal(str(tmp_path))
    assert "no weights at" in refusal("x" * 300)
    assert "'nonesuch' is none of small, other" in refusal(f"nonesuch={tmp_path}/x.pth")
    assert f"one of: {DEFAULT}, " in (sentence := refusal("nonesuch")) and "small=FILE, other=FILE" in sentence


def test_a_name_without_weights_says_where_they_are(networks):
    assert refusal("other") == (
        "the weights of other do not come with Autochrome (MIT); get other-a.pth or other-b.pth from the authors, "
        "then: --model other --weights FILE"
    )


def test_large_ddcolor_says_where_its_weights_are():
    sentence = refusal("ddcolor-large")
    assert "pytorch_model.bin from piddnad/ddcolor_modelscope, ddcolor_paper" in sentence
    assert "Hugging Face" in sentence and "Apache-2.0" in sentence
    assert "--model ddcolor-large --weights FILE" in sentence


def test_the_authors_own_file_is_recognized_under_any_name(small):
    about = find(str(small)).about
    assert (about["official"], about["origin"]) == (True, "the authors' file")
    copy = small.rename(small.with_name(OFFICIAL))
    assert find(f"small={copy}").about["official"] is True
    torch.save(WEIGHTS | {"into.bias": torch.zeros(4)}, small)
    changed = find(str(small))
    assert changed.about["official"] is False
    assert changed.about["origin"] == f"not the authors' published file: its SHA-256 is {changed.digest}"
    os.replace(small, copy)
    sentence = refusal(f"small={copy}")
    assert str(copy) in sentence and hashlib.sha256(copy.read_bytes()).hexdigest() in sentence


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize(
    ("wrong", "differences"),
    [
        ({"out.bias": None}, "1 missing (out.bias)"),
        ({"out.bias": None, "head.bias": torch.ones(2)}, "1 missing (out.bias); 1 unexpected (head.bias)"),
        ({"out.weight": torch.ones(2, 4, 3, 3)}, "1 of another shape (out.weight)"),
        ({"into.weight": torch.ones(36)}, "1 of another shape (into.weight)"),
        ({"module.a": torch.ones(1), "module.b": torch.ones(1)}, "2 unexpected (module.a, module.b)"),
    ],
)
def test_keys_and_shapes_that_differ_are_named(name, wrong, differences, networks, tmp_path):
    path = tmp_path / name
    content = {key: value for key, value in (WEIGHTS | wrong).items() if value is not None}
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    assert refusal(f"small={path}") == f"{path} does not hold small: {differences}"
    assert refusal(str(path)) == (
        f"{path} lacks metadata of ours and fits none of small, other; it is most like small, but: {differences}"
    )


def test_weights_of_another_network_are_called_what_they_are(small):
    sentence = refusal(f"other={small}")
    assert sentence.startswith(
        f"{small} holds small, not other: 2 missing (more.weight, more.bias); 7 of another shape ("
    )
    assert "(into.weight, into.bias, norm.weight, ...)" in sentence


def test_counts_of_batches_may_be_missing(networks, tmp_path):
    path = tmp_path / "old.pth"
    torch.save({key: value for key, value in WEIGHTS.items() if "num_batches" not in key}, path)
    state = load(find(str(path)))
    assert equal(state, WEIGHTS)
    build("small").load_state_dict(state, strict=True)


def test_values_that_are_no_numbers_are_found_when_loaded(networks, tmp_path):
    path = tmp_path / "nan.pth"
    torch.save(WEIGHTS | {"norm.running_var": torch.full((4,), torch.nan)}, path)
    model = find(str(path))
    with pytest.raises(ModelError, match=r"nan\.pth: norm\.running_var holds values that are not finite"):
        load(model)


def test_real_weights_open_strictly_and_are_not_anothers(tmp_path):
    path = tmp_path / "zhang.pth"
    with torch.device("meta"):
        layout = build("eccv16").state_dict()
    half = {key: torch.full(value.shape, 0.01, dtype=torch.float16) for key, value in layout.items()}
    torch.save({key: value for key, value in half.items() if "num_batches" not in key}, path)
    model = find(str(path))
    assert (model.name, model.input, model.about["official"]) == ("eccv16", Input(256, squash=True), False)
    assert open_network(model).model1[0].weight.unique().tolist() == pytest.approx([0.01], rel=1e-3)
    sentence = refusal(f"siggraph17={path}")
    assert sentence.startswith(f"{path} holds eccv16, not siggraph17: ") and " missing (" in sentence


def test_metadata_of_ours_that_is_incomplete_is_named(tmp_path):
    path, about = tmp_path / "ours.safetensors", {"architecture": "linear", "config": "{}", "side": "64"}
    for key, value in (("config", None), ("config", "{"), ("side", None), ("side", "wide")):
        said = {k: v for k, v in (about | {key: value}).items() if v is not None}
        save_file({"x": torch.zeros(1)}, path, said)
        assert f"{path} lacks metadata of ours" in refusal(str(path))
    save_file({"x": torch.zeros(1)}, path, about | {"squash": "true"})
    assert find(str(path)).input == Input(64, squash=True) and find(str(path)).name == "ours"


def test_a_graph_is_no_published_network(small):
    graph = small.with_name("small.onnx")
    graph.write_bytes(b"graph")
    assert refusal(f"small={graph}") == f"{graph} is a graph with a network of its own; leave out small="


@pytest.mark.parametrize("format", ["zip", "safetensors"])
@pytest.mark.filterwarnings("ignore")
def test_damage_is_refused_or_changes_nothing(format, networks, tmp_path):
    """One wrong bit may pass unnoticed in a legacy file and in the values of a safetensors file: no checksums there."""
    content = save(WEIGHTS) if format == "safetensors" else networks
    values = 8 + int.from_bytes(content[:8], "little") if format == "safetensors" else len(content)
    path, draw, refused = tmp_path / f"fuzz.{'pth' if format == 'zip' else format}", random.Random(1), 0
    for turn in range(FLIPS):
        damaged = bytearray(content)
        if turn % 2:
            del damaged[draw.randrange(len(content)) :]
        else:
            damaged[draw.randrange(values)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            assert equal(load(find(f"small={path}")), WEIGHTS)
        except ModelError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused >= FLIPS // 2


@pytest.mark.filterwarnings("ignore")
def test_damage_to_a_legacy_file_raises_nothing_else(networks, tmp_path):
    content = io.BytesIO()
    torch.save(WEIGHTS, content, _use_new_zipfile_serialization=False)
    path, draw = tmp_path / "fuzz.pth", random.Random(2)
    for _ in range(FLIPS):
        damaged = bytearray(content.getvalue())
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with suppress(ModelError):
            load(find(f"small={path}"))


@pytest.fixture
def bucket(moto_s3, monkeypatch, tmp_path):
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with suppress(moto_s3.client().exceptions.BucketAlreadyOwnedByYou):
        moto_s3.make_bucket("catalog")
    return Store("s3://catalog")


def test_an_object_is_fetched_once_for_each_version(bucket, networks, tmp_path):
    bucket.put("a=b/small.pth", networks)
    address = "small=s3://catalog/a=b/small.pth"
    first = find(address)
    assert first.path.name == "small.pth" and tmp_path in first.path.parents and equal(load(first), WEIGHTS)
    before = first.path.stat()
    again = find(f"{address}@96")
    assert again.path == first.path and again.input.side == 96
    assert (again.path.stat().st_ino, again.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    content = io.BytesIO()
    torch.save(WEIGHTS | {"out.bias": torch.zeros(2)}, content)
    assert len(content.getvalue()) == len(networks)
    bucket.put("a=b/small.pth", content.getvalue())
    changed = find(address)
    assert changed.digest == hashlib.sha256(content.getvalue()).hexdigest() and not load(changed)["out.bias"].any()
    assert first.path.read_bytes() == networks
    assert not list((tmp_path / "temporary").rglob("*.part"))


def test_a_graph_brings_its_description_as_it_is_now(bucket, tmp_path):
    from onnx import TensorProto, helper

    kernel = helper.make_tensor("kernel", TensorProto.FLOAT, (2, 1, 1, 1), [0.5, 0.5])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (None, channels, None, None))
             for name, channels in (("L", 1), ("ab", 2))]  # fmt: skip
    graph = helper.make_graph([helper.make_node("Conv", ["L", "kernel"], ["ab"])], "g", ports[:1], ports[1:], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    bucket.put("mine.onnx", model.SerializeToString())
    assert "does not say what its numbers mean" in refusal("s3://catalog/mine.onnx")
    for side in (64, 96):
        bucket.put("mine.onnx.yaml", f"{{input: L, output: ab, side: {side}}}".encode())
        assert find("s3://catalog/mine.onnx").input.side == side
    bucket.delete("mine.onnx.yaml")
    assert "does not say what its numbers mean" in refusal("s3://catalog/mine.onnx")
    bucket.put("mine.yaml", b"{input: L, output: ab, side: 128, squash: true}")
    assert find("s3://catalog/mine.onnx").input == Input(128, squash=True)


def test_workers_that_start_together_fetch_once(bucket, networks, monkeypatch):
    bucket.put("together.pth", networks)
    fetched, fetch = [], Store.fetch
    monkeypatch.setattr(Store, "fetch", lambda *arguments: fetched.append(arguments) or fetch(*arguments))
    with ThreadPoolExecutor(4) as threads:
        models = list(threads.map(find, ["small=s3://catalog/together.pth"] * 4))
    assert len(fetched) == 1 and len(set(model.path for model in models)) == 1


def test_an_object_that_is_not_there_is_named(bucket, networks):
    assert refusal("small=s3://catalog/none.pth") == "no weights at s3://catalog/none.pth; is the path right?"
    for address in ("s3://catalog/", "s3://small.pth", "s3://"):
        assert "names no object; write s3://bucket/key" in refusal(address)
    assert "file://, s3://, gs://" in refusal("https://example.org/small.pth")


@pytest.mark.parametrize("name", ["large.pth", "large.safetensors", "large.onnx"])
def test_what_a_server_sent_instead_is_named_for_every_format(name, networks, tmp_path):
    path = tmp_path / name
    for content, sentence in (
        (b"", "is empty; download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "kept by Git LFS"),
        (b"<!doctype html><title>404</title>", "is a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
    ):
        path.write_bytes(content)
        assert sentence in refusal(str(path))


@pytest.mark.parametrize("kind", ["open folder", "link", "file"])
def test_a_temporary_folder_that_others_can_write_to_is_refused(kind, bucket, networks, tmp_path):
    bucket.put("small.pth", networks)
    folder = tmp_path / "temporary" / f"autochrome-{os.getuid()}"
    if kind == "open folder":
        folder.mkdir(mode=0o755)
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.touch(mode=0o600)
    assert f"{folder} is not a folder closed to others" in refusal("s3://catalog/small.pth")


def test_a_missing_temporary_folder_is_named(bucket, networks, tmp_path, monkeypatch):
    bucket.put("small.pth", networks)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert str(tmp_path / "gone") in refusal("s3://catalog/small.pth")


@pytest.mark.parametrize(
    "address",
    [
        "https://catalog.example.org/small.pth?X-Amz-Credential=SECRET/20240101/us-east-1&X-Amz-Signature=SECRET",
        "s3://catalog/small.pth?token=SECRET",
        "s3://KEY:SECRET@catalog/small.pth",
        "s3://KEY:SEC/SECRET+x@catalog/small.pth",
        "s3://SECRET@catalog/small.pth",
    ],
)
@pytest.mark.parametrize("form", ["{}", "small={}", "{}@100", f"{DEFAULT}+{{}}"])
def test_secrets_in_an_address_are_neither_used_nor_repeated(address, form, networks):
    sentence = refusal(form.format(address), find_all)
    assert "SEC" not in sentence.replace("AWS_SECRET", "") and "KEY:" not in sentence
    assert "small.pth" in sentence and "credentials or a query" in sentence


def test_a_shipped_models_values_load(tmp_path):
    model = find("linear")
    assert equal(load(model), load_file(model.path)) and json.dumps(model.config)
    build(model.architecture, model.config).load_state_dict(load(model), strict=True)

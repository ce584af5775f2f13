"""Files as torch.save and safetensors write them, and files that went wrong on their way."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from colorize_core.weights import ModelError
from colorize_core.weights.checkpoint import LEFT_OVER, differences, read, shapes

WEIGHTS = {
    "first.weight": torch.linspace(-1, 1, 36).reshape(4, 1, 3, 3),
    "norm.running_var": torch.linspace(0.5, 2, 4),
    "norm.num_batches_tracked": torch.tensor(7),
    "last.weight": torch.linspace(-2, 2, 8).reshape(2, 4, 1, 1),
}
SHAPES = {key: tuple(value.shape) for key, value in WEIGHTS.items()}
PAGES = {
    "is empty": b"",
    "only points to a file kept by Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 912\n",
    "is a web page": b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>",
}
FORMATS = ["zip.pth", "legacy.pth", "plain.safetensors"]


class MakesFolder:
    """What is unpickled to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def save(path: Path, content=WEIGHTS) -> Path:
    """Write the file that its name asks for."""
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization="legacy" not in path.name)
    return path


def refusal(path: Path, call=shapes) -> str:
    """The one sentence in which a file is refused."""
    with pytest.raises(ModelError) as caught:
        call(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path)), sentence
    rest = sentence.removeprefix(str(path))
    assert ". " not in rest and "\n" not in rest and "weights_only" not in rest and len(rest) < 400, sentence
    return rest


def assert_whole(path: Path, wanted=WEIGHTS) -> None:
    assert shapes(path) == {key: tuple(value.shape) for key, value in wanted.items()}
    found = read(path)
    assert list(found) == list(wanted) or path.suffix == ".safetensors" and set(found) == set(wanted)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert all(value.dtype == torch.float32 for key, value in found.items() if "num_batches" not in key)


@pytest.mark.parametrize("name", [*FORMATS, "pytorch_model.bin", "zip.pt"])
def test_every_format_is_read(name, tmp_path):
    assert_whole(save(tmp_path / name))


@pytest.mark.parametrize("name", ["params", "state_dict", "model"])
@pytest.mark.parametrize("format", ["zip.pth", "legacy.pth"])
def test_weights_are_found_under_their_usual_names(name, format, tmp_path):
    assert_whole(save(tmp_path / format, {"iteration": 400_000, name: WEIGHTS, "optimizer": {"lr": [1e-4]}}))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_left_over_of_the_encoders_training_is_ignored(name, tmp_path):
    extra = {"encoder.arch.head_cls.weight": torch.ones(10, 4), "encoder.arch.head_cls.bias": torch.ones(10)}
    assert all(LEFT_OVER.fullmatch(key) for key in extra)
    assert_whole(save(tmp_path / name, WEIGHTS | extra))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(name, dtype, tmp_path):
    stored = {key: value.to(dtype) if value.is_floating_point() else value for key, value in WEIGHTS.items()}
    wanted = {key: value.float() if value.is_floating_point() else value for key, value in stored.items()}
    assert_whole(save(tmp_path / name, stored), wanted)


def test_a_file_of_parameters_and_views_is_read(tmp_path):
    parts = torch.arange(12.0).reshape(2, 6)
    content = {"whole": nn.Parameter(parts), "turned": parts.T, "row": parts[1]}
    assert_whole(save(tmp_path / "views.pth", content), content)


@pytest.mark.parametrize("name", ["weights.pth", "weights.bin", "weights.safetensors"])
@pytest.mark.parametrize(("sentence", "content"), PAGES.items())
def test_what_is_often_downloaded_instead_is_named(sentence, content, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    assert sentence in refusal(path)
    assert sentence in refusal(path, read)


@pytest.mark.parametrize("name", ["picture.pth", "picture.bin", "picture.safetensors"])
def test_a_file_of_another_kind_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    sentence = "not a whole safetensors file" if path.suffix == ".safetensors" else "is no file of weights"
    assert sentence in refusal(path)
    assert sentence in refusal(path, read)


def test_a_missing_file_is_named(tmp_path):
    for name in FORMATS:
        with pytest.raises(ModelError, match=name):
            shapes(tmp_path / name)
        with pytest.raises(ModelError, match=name):
            read(tmp_path / name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_was_cut_off_is_refused_before_its_values_are_needed(name, tmp_path):
    path = save(tmp_path / name)
    whole = path.read_bytes()
    for length in (1, 3, 9, 70, len(whole) // 4, len(whole) // 2, len(whole) * 9 // 10, len(whole) - 4, len(whole) - 1):
        path.write_bytes(whole[:length])
        refusal(path)
        refusal(path, read)


def test_one_wrong_bit_of_a_value_is_found_by_the_checksum(tmp_path):
    path = save(tmp_path / "zip.pth")
    with zipfile.ZipFile(path) as archive:
        (member,) = (item for item in archive.infolist() if item.filename.endswith("/data/0"))
    whole = bytearray(path.read_bytes())
    whole[whole.index(WEIGHTS["first.weight"].numpy().tobytes()) + 11] ^= 1
    path.write_bytes(whole)
    assert f"the checksum of {member.filename} is wrong" in refusal(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda archive, name: None, "cut off, damaged"),
        (lambda archive, name: archive.writestr(name, bytes(32), zipfile.ZIP_DEFLATED), "was packed anew"),
    ],
    ids=["missing", "deflated"],
)
def test_members_that_are_not_as_pytorch_wrote_them_are_refused(change, sentence, tmp_path):
    """What is missing would else be found when its values are needed."""
    path = save(tmp_path / "zip.pth")
    with zipfile.ZipFile(path) as archive:
        members = {item.filename: archive.read(item) for item in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        (last,) = (name for name in members if name.endswith("/data/3"))
        for name, content in members.items():
            if name != last:
                archive.writestr(name, content)
        change(archive, last)
    assert sentence in refusal(path)


def test_a_packed_member_is_refused_before_it_is_unpacked(tmp_path):
    """This one is no deflate stream at all, and another might be gigabytes of zeros."""
    path = save(tmp_path / "zip.pth")
    whole = bytearray(path.read_bytes())
    whole[whole.rindex(b"PK\x01\x02") + 10] = zipfile.ZIP_DEFLATED
    path.write_bytes(whole)
    assert "was packed anew" in refusal(path)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])
@pytest.mark.parametrize("call", ["os.mkdir", "exec"])
def test_code_is_named_and_never_run(name, call, tmp_path):
    folder = tmp_path / "made"
    if call == "exec":
        made = MakesFolder(exec, f"import os; os.mkdir({str(folder)!r})")
    else:
        made = MakesFolder(os.mkdir, str(folder))
    for content in (made, WEIGHTS | {"extra": made}, {"params": WEIGHTS, "epoch": made}):
        path = save(tmp_path / name, content)
        for opened in (shapes, read):
            assert f"holds code beside its weights ({call.replace('os', os.name)})" in refusal(path, opened)
    assert not folder.exists()


def test_a_pickled_network_is_refused_by_the_name_of_its_class(tmp_path):
    assert "torch.nn.modules.linear.Linear" in refusal(save(tmp_path / "module.pth", nn.Linear(2, 2)))


@pytest.mark.filterwarnings("ignore:.*torch.jit.:DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path):
    path = tmp_path / "program.pt"
    torch.jit.trace(nn.Conv2d(1, 2, 1), torch.zeros(1, 1, 4, 4), check_trace=False).save(path)
    assert "TorchScript" in refusal(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_an_uncommon_pickle_is_not_taken_for_code(tmp_path):
    path = tmp_path / "fourth.pth"
    torch.save(WEIGHTS, path, pickle_protocol=4)
    sentence = refusal(path)
    assert "uncommon kind (Unsupported operand" in sentence and "code" not in sentence


@pytest.mark.parametrize(
    "content",
    [[torch.zeros(3)], torch.zeros(3), {0: torch.zeros(3)}, WEIGHTS | {"epoch": 3}, {"params": [torch.zeros(3)]}],
    ids=["list", "tensor", "number as key", "number as value", "wrapped list"],
)
def test_what_is_no_table_of_tensors_is_refused(content, tmp_path):
    path = save(tmp_path / "zip.pth", content)
    assert "something other than the weights of one network" in refusal(path)
    assert "something other than the weights of one network" in refusal(path, read)


@pytest.mark.parametrize("name", ["zip.pth", "plain.safetensors"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_quantized_weights_are_refused(name, dtype, tmp_path):
    path = save(tmp_path / name, WEIGHTS | {"last.weight": torch.ones(2, 4).to(dtype)})
    assert ": last.weight is no plain tensor" in refusal(path)


def test_sparse_weights_are_refused(tmp_path):
    path = save(tmp_path / "sparse.pth", WEIGHTS | {"last.weight": torch.eye(4).to_sparse()})
    assert ": last.weight is no plain tensor" in refusal(path)
    assert ": last.weight is no plain tensor" in refusal(path, read)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_finite_numbers_are_found_when_read(name, value, tmp_path):
    bad = WEIGHTS["last.weight"].clone()
    bad[1, 2] = value
    path = save(tmp_path / name, WEIGHTS | {"last.weight": bad})
    assert shapes(path) == SHAPES
    assert ": last.weight holds values that are not finite" in refusal(path, read)


def test_differences_are_counted_and_the_first_are_named():
    wanted = {"a": (1,), "b": (2, 2), "c": (3,), "d": (4,), "n.num_batches_tracked": ()}
    assert differences(wanted, wanted) == []
    assert differences({key: wanted[key] for key in "abcd"}, wanted) == []
    assert differences({"a": (1,), "b": (4,), "x": (9,)}, wanted) == [
        "2 missing (c, d)",
        "1 unexpected (x)",
        "1 of another shape (b)",
    ]
    assert differences({}, wanted) == ["4 missing (a, b, c, ...)"]

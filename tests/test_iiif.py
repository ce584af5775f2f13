"""IIIF manifests: valid by the classes made from the specification's schema, true to the records, complete."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from outputs import HOSTILE_KEYS, PHOTOS, record, write_output, write_records
from PIL import Image

from colorize_core import iiif
from colorize_core.iiif import Site
from colorize_core.storage import Store, safe_key
from jobs.iiif import main

try:
    import iiif_prezi3 as prezi
except ImportError:
    prezi = None

BASE, SCANS = "https://archive.example/color", "https://archive.example/scans"
SITE = Site(BASE, SCANS)


def validate(resource: dict) -> None:
    """Raise ValueError unless it is a valid Presentation 3 manifest or collection, with nothing to repair or ignore."""
    parsed = json.loads(getattr(prezi, resource["type"])(**resource).json())
    if parsed != resource:
        raise ValueError("the classes of the schema read something else")


def photo(key: str, page: int = 0, **values):
    """A colorized record; its derivative is a JPEG unless an ``extension`` says otherwise."""
    extension = values.pop("extension", "jpg")
    name = safe_key(key) + (f".page-{page + 1}" if page else "")
    fields = {"source_format": "JPEG", "width": 300, "height": 200, "model": "autochrome", "model_digest": "ab" * 32}
    return record(key, page=page, output_key=f"photos/{name}.{extension}", **fields | values)


def export(store: Store, *arguments: str) -> int:
    return main([store.root, "--base", f"{BASE}/", "--originals", SCANS, *arguments])


def manifests(store: Store) -> dict[str, dict]:
    """Everything under ``iiif/`` by its path, each valid where that can be found out."""
    found = {entry.key: json.loads(store.read(entry.key)) for entry in store.list("iiif/")}
    for resource in found.values() if prezi else ():
        validate(resource)
    return found


def body(canvas: dict) -> dict:
    (page,) = canvas["items"]
    (annotation,) = page["items"]
    assert annotation["target"] == canvas["id"] and annotation["motivation"] == "painting"
    return annotation["body"]


def identifiers(resource) -> list[str]:
    if isinstance(resource, list):
        return [found for part in resource for found in identifiers(part)]
    if not isinstance(resource, dict):
        return []
    own = [resource["id"]] if resource.get("type") in ("Manifest", "Canvas", "AnnotationPage", "Annotation") else []
    return own + identifiers(list(resource.values()))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "color out"))


def test_every_photo_with_a_result_is_a_canvas_with_a_choice_of_scan_and_colors(tmp_path, capsys):
    source, output = write_output(tmp_path)
    assert export(output) == 0
    said = capsys.readouterr().out
    assert f"{BASE}/iiif/collection.json: 12 photos in 8 manifests" in said
    assert "left out: 41 photos that have no result" in said
    found = manifests(output)
    collection = found.pop("iiif/collection.json")
    assert {item["id"] for item in collection["items"]} == {manifest["id"] for manifest in found.values()}
    assert all(unquote(manifest["id"]) == f"{BASE}/{key}" for key, manifest in found.items())
    canvases = [canvas for manifest in found.values() for canvas in manifest["items"]]
    shown = set()
    for canvas in canvases:
        painted = body(canvas)
        images = painted["items"] if painted["type"] == "Choice" else [painted]
        for image, root, base in zip(images[::-1], (output, source), (BASE, SCANS), strict=False):
            path = root.root.removeprefix("file://") + unquote(image["id"]).removeprefix(base)
            with Image.open(path) as opened:
                assert (opened.width, opened.height) == (image["width"], image["height"])
                assert (canvas["width"], canvas["height"]) == opened.size
                assert image["format"] == Image.MIME[opened.format]
        if painted["type"] == "Choice":
            assert [image["label"] for image in images] == [{"en": ["Original scan"]}, {"en": ["Colorized by machine"]}]
            shown.add(unquote(images[0]["id"]).removeprefix(f"{SCANS}/"))
    assert shown == {key for _, _, key, _ in PHOTOS if not key.endswith(".tif")}
    for manifest in found.values():
        assert "proposed by a machine" in manifest["requiredStatement"]["value"]["en"][0]
        assert "rights" not in manifest
        ((who,),) = (pair["value"]["none"] for pair in manifest["metadata"])
        assert who.startswith("autochrome, weights SHA-256 ")


def test_identifiers_are_addresses_made_of_key_and_page_alone(store):
    keys = [
        *(key for key in HOSTILE_KEYS if not key.startswith("..")),
        "a",
        "a/1",
        "a/1/annotations",
        "100%",
        "100%25",
        "box/manifest.json/a.jpg",
        "box/b.jpg",
    ]
    write_records(store, [photo(key, page) for key in keys for page in (0, 1)])
    assert export(store) == 0
    found = manifests(store)
    assert len([key for key in found if key != "iiif/collection.json"]) == len({k.rpartition("/")[0] for k in keys})
    there = [i for key, resource in found.items() if key != "iiif/collection.json" for i in identifiers(resource)]
    assert len(there) == len(set(there)) == len(found) - 1 + 3 * 2 * len(keys)
    for identifier in there:
        parts = urlsplit(identifier)
        assert identifier.isascii() and not set(identifier) & set(' "<>\\')
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "archive.example", "", "")
    write_records(store, [photo(key, p, recipe="s" * 16, model="other") for key in keys for p in (0, 1)], "part-1")
    assert export(store) == 0
    again = manifests(store)
    assert sorted(there) == sorted(
        i for key, resource in again.items() if key != "iiif/collection.json" for i in identifiers(resource)
    )


def test_no_key_leads_an_identifier_out_of_the_output_folder():
    key = "../../etc/passwd"
    found = iiif.manifest("../../etc", [dataclasses.asdict(photo(key))], SITE)
    for identifier in identifiers(found):
        assert urljoin(BASE, identifier) == identifier and identifier.startswith(f"{BASE}/iiif/")


def test_a_scan_that_no_browser_shows_is_a_download_or_comes_through_an_image_service(store):
    write_records(
        store,
        [photo("box 1/a b.tif", source_format="TIFF"), photo("box 1/a b.tif", 1, source_format="TIFF"), photo("c.jpg")],
    )
    assert export(store) == 0
    first, second = manifests(store)["iiif/box 1/manifest.json"]["items"]
    for canvas in (first, second):
        assert body(canvas)["type"] == "Image"
        (file,) = canvas["rendering"]
        assert (file["id"], file["format"]) == (f"{SCANS}/box%201/a%20b.tif", "image/tiff")
    assert second["label"] == {"en": ["a b.tif, page 2"]}

    assert export(store, "--image-service", "https://iiif.example/image/3/{key}") == 0
    first, second = manifests(store)["iiif/box 1/manifest.json"]["items"]
    scan = body(first)["items"][0]
    service = "https://iiif.example/image/3/box%201%2Fa%20b.tif"
    assert scan["service"] == [{"id": service, "type": "ImageService3", "profile": "level1"}]
    assert (scan["id"], scan["format"]) == (f"{service}/full/max/0/default.jpg", "image/jpeg")
    assert first["rendering"] and body(second)["type"] == "Image"

    assert export(store, "--image-service", "https://iiif.example/image/3/{key};{page}") == 0
    _, second = manifests(store)["iiif/box 1/manifest.json"]["items"]
    assert body(second)["items"][0]["service"][0]["id"] == f"{service};2"


def test_a_result_that_no_browser_shows_is_left_out_aloud_or_comes_through_its_image_service(store, capsys):
    write_records(store, [photo("box/a.tif", extension="tif"), photo("b.jpg")])
    assert export(store) == 0
    assert "left out: 1 results in TIFF" in capsys.readouterr().out
    assert set(manifests(store)) == {"iiif/manifest.json", "iiif/collection.json"}
    assert len(json.loads(store.read("iiif/collection.json"))["items"]) == 1
    assert export(store, "--color-image-service", "https://iiif.example/color/{key}") == 0
    (canvas,) = manifests(store)["iiif/box/manifest.json"]["items"]
    assert body(canvas)["items"][1]["service"][0]["id"] == "https://iiif.example/color/photos%2Fbox%2Fa.tif.tif"


def test_only_the_last_word_on_a_photo_counts(store):
    old, new = photo("a.jpg", width=300), photo("a.jpg", width=600, recipe="s" * 16, attempt=2)
    gone = record("b.jpg", status="failed", attempt=2, error_class="NotFound")
    write_records(store, [old, photo("b.jpg"), new, gone])
    assert export(store) == 0
    (canvas,) = manifests(store)["iiif/manifest.json"]["items"]
    assert (canvas["width"], canvas["label"]) == (600, {"none": ["a.jpg"]})


def test_rights_are_stated_only_when_given(store):
    write_records(store, [photo("a.jpg")])
    rights = "http://rightsstatements.org/vocab/NoC-NC/1.0/"
    assert export(store, "--rights", rights) == 0
    assert manifests(store)["iiif/manifest.json"]["rights"] == rights


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--base", "archive.example/color"], "is not an address such as"),
        (["--base", f"{BASE}?v=1"], "is not an address such as"),
        (["--image-service", "https://iiif.example/3/"], "has no {key}"),
        (["--rights", "https://creativecommons.org/licenses/by/4.0/"], "is no URI of a license"),
    ],
)
def test_what_is_impossible_is_said_before_any_work(store, capsys, arguments, words):
    write_records(store, [photo("a.jpg")])
    with pytest.raises(SystemExit) as exit:
        export(store, *arguments)
    assert exit.value.code == 2 and words in capsys.readouterr().err
    assert not list(store.list("iiif/"))


def test_a_folder_without_results_is_impossible_too(store, capsys):
    assert export(store) == 2
    assert "not there" in capsys.readouterr().err
    store.put("notes.txt", b"no job's output")
    assert export(store) == 2
    assert "name the folder that was the job's second argument" in capsys.readouterr().err
    write_records(store, [record("a.jpg", status="rejected")])
    assert export(store) == 2
    assert "none of the 1 photos" in capsys.readouterr().err


def test_a_store_that_refuses_the_manifests_is_a_failure(store, capsys, tmp_path):
    write_records(store, [photo("a.jpg")])
    (tmp_path / "color out" / "iiif").write_text("in the way")
    assert export(store) == 1
    assert "the same command begins again" in capsys.readouterr().err


TAMPERINGS = {
    "no label": lambda m: m.pop("label"),
    "label without a language": lambda m: m.update(label="box"),
    "an identifier that is no address": lambda m: m.update(id="manifest.json"),
    "a property that no manifest has": lambda m: m.update(license="none"),
    "a canvas without items": lambda m: m["items"][0].update(items={}),
    "a width in words": lambda m: m["items"][0].update(width="300"),
    "a choice of nothing": lambda m: m["items"][0]["items"][0]["items"][0]["body"].pop("items"),
    "no target": lambda m: m["items"][0]["items"][0]["items"][0].pop("target"),
    "a statement in one word": lambda m: m.update(requiredStatement="by a machine"),
}


@pytest.mark.skipif(prezi is None, reason="pip install --no-deps iiif-prezi3; its dependencies ask for an older Pillow")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_the_validator_sees_what_is_wrong(tampering):
    manifest = iiif.manifest("", [dataclasses.asdict(photo("a.jpg"))], SITE)
    validate(manifest)
    TAMPERINGS[tampering](manifest)
    with pytest.raises(ValueError):
        validate(manifest)


def test_the_same_in_a_bucket(moto_s3, monkeypatch):
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    store = Store(moto_s3.make_bucket("iiif") + "/color")
    write_records(store, [photo("box/a.jpg")])
    assert export(store) == 0
    assert set(manifests(store)) == {"iiif/box/manifest.json", "iiif/collection.json"}
    served = moto_s3.client().get_object(Bucket="iiif", Key="color/iiif/box/manifest.json")
    assert served["ContentType"] == iiif.CONTENT_TYPE

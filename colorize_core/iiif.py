"""IIIF Presentation 3 manifests: every photo a canvas on which a viewer switches between the scan and its colors.

One manifest stands for each folder of keys, ``iiif/<folder>/manifest.json`` (``iiif/manifest.json`` for keys outside
any folder), and ``iiif/collection.json`` names them all. A canvas is painted with a Choice of the scan, which viewers
show first, and the derivative. Identifiers are made of key and page alone, so that annotations outlive another run.

The specification lets an image be of any format, but viewers hand what has no image service to the browser as it is:
Mirador 4 shows an empty canvas when the first choice is a TIFF. So only what a browser shows is painted. A scan in
another format, or a page after the first, is painted through an image service where one is given; without one the
canvas has the colors alone, and the file of the scan is a ``rendering`` of the canvas, something to download.
Derivatives follow the same rule: without an image service of their own, those that no browser shows are left out.
"""

from __future__ import annotations

import itertools
import json
import mimetypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from colorize_core.keys import safe_key
from colorize_core.ledger import columns_of, current, gather
from colorize_core.records import Status
from colorize_core.storage import Store
from colorize_core.text import visible

CONTEXT = "http://iiif.io/api/presentation/3/context.json"
CONTENT_TYPE = f'application/ld+json;profile="{CONTEXT}"'
FOLDER = "iiif"
COLLECTION = f"{FOLDER}/collection.json"
MEDIA_TYPES = {  # of scans, by the format in their record
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "JPEG2000": "image/jp2",
    "PSD": "image/vnd.adobe.photoshop",
}
HIDDEN = ("image/tiff", "image/jp2", "image/vnd.adobe.photoshop", None)  # what browsers do not show
COLUMNS = (
    *("key", "page", "attempt", "finished_at", "status", "output_key", "width", "height"),
    *("source_format", "source_sha256", "model", "model_digest"),
)
CODED = ("status", "source_format", "model", "model_digest")  # few values, many rows
STATEMENT = {
    "label": {"en": ["About the colors"]},
    "value": {"en": ["These colors were proposed by a machine; they are not a record of what was there."]},
}
_RESERVED = re.compile(r"(^|/)(manifest|collection)\.json(?=/|$)")


@dataclass(frozen=True)
class Site:
    """Where the archive is on the web.

    base, originals: addresses of the output folder and of the scans, without a slash at the end. rights: URI of a
    license or statement. image_service: base URI of an IIIF image in an Image API 3 service of level 1 that serves the
    scans, where ``{key}`` stands for the percent-encoded key and ``{page}`` for the page from 1; without ``{page}`` it
    serves first pages only. color_image_service: the same for derivatives, ``{key}`` being their path under the output
    folder.
    """

    base: str
    originals: str
    rights: str | None = None
    image_service: str | None = None
    color_image_service: str | None = None


def colorized(store: Store) -> tuple[pa.Table, int]:
    """What manifests need of the photos whose last state is colorized, sorted by folder, key and page.

    The column ``folder`` is added. Also gives how many photos have no result. Raises StorageError, and LookupError
    where there is no record.
    """
    photos = current(gather(store, columns_of(COLUMNS, CODED)).unify_dictionaries())
    if not photos.num_rows:
        raise LookupError(f"{store.root} holds no records of a colorize job")
    found = photos.filter(pc.equal(photos["status"], Status.COLORIZED.value))
    without = photos.num_rows - found.num_rows
    found = found.drop_columns(["status", "attempt", "finished_at"])
    found = found.append_column("folder", pc.replace_substring_regex(found["key"], "/?[^/]*$", ""))
    return found.sort_by([(name, "ascending") for name in ("folder", "key", "page")]), without


def by_folder(photos: pa.Table) -> Iterator[tuple[str, list[dict]]]:
    """Each folder of ``colorized`` with its rows, of which only one folder's are Python objects at a time."""
    rows = (row for batch in photos.to_batches(1024) for row in batch.to_pylist())
    for folder, some in itertools.groupby(rows, lambda row: row["folder"]):
        yield folder, list(some)


def manifest_key(folder: str) -> str:
    """Where the manifest of a folder lies under the output root."""
    path = _RESERVED.sub(r"\1\2%2Ejson", safe_key(folder)) + "/" if folder else ""
    return f"{FOLDER}/{path}manifest.json"


def manifest(folder: str, rows: list[dict], site: Site) -> dict | None:
    """The manifest of a folder with the rows that ``by_folder`` gives; None when nothing of it can be shown.

    Rows of derivatives that no browser shows have no canvas unless there is a ``color_image_service``.
    """
    canvases = [canvas for row in rows if (canvas := _canvas(row, site))]
    if not canvases:
        return None
    models = sorted({_model(row) for row in rows})
    return {
        "@context": CONTEXT,
        **_reference(folder, site),
        "requiredStatement": STATEMENT,
        **({"rights": site.rights} if site.rights else {}),
        "metadata": [_pair("Colored by", *models)],
        "items": canvases,
    }


def collection(folders: Iterable[str], site: Site) -> dict:
    """The collection that names the manifests of these folders."""
    return {
        "@context": CONTEXT,
        "id": f"{site.base}/{COLLECTION}",
        "type": "Collection",
        "label": {"en": ["Colorized photographs"]},
        "requiredStatement": STATEMENT,
        "items": [_reference(folder, site) for folder in folders],
    }


def write(store: Store, key: str, resource: dict) -> None:
    """Store a manifest or collection as JSON."""
    store.put(key, json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode(), CONTENT_TYPE)


def _reference(folder: str, site: Site) -> dict:
    label = {"none": [visible(folder)]} if folder else {"en": ["Photographs outside any folder"]}
    return {"id": f"{site.base}/{quote(manifest_key(folder))}", "type": "Manifest", "label": label}


def _canvas(row: dict, site: Site) -> dict | None:
    color, scan = _derivative(row, site), _scan(row, site)
    if color is None:
        return None
    key, page = row["key"], row["page"] + 1
    identifier = f"{site.base}/{FOLDER}/canvas/{quote(safe_key(key))}/{page}"
    name = visible(key.rpartition("/")[2])
    file = f"{site.originals}/{quote(key)}"
    canvas = {
        "id": identifier,
        "type": "Canvas",
        "label": {"none": [name]} if page == 1 else {"en": [f"{name}, page {page}"]},
        "width": row["width"],
        "height": row["height"],
        "metadata": [
            _pair("Colored by", _model(row)),
            *([_pair("SHA-256 of the scan", row["source_sha256"])] if row["source_sha256"] else []),
        ],
    }
    if scan is None or scan["id"] != file:
        canvas["rendering"] = [
            {
                "id": file,
                "type": "Image",
                "label": {"en": ["The file of the scan"]},
                "format": MEDIA_TYPES.get(row["source_format"], "application/octet-stream"),
            }
        ]
    annotation = {
        "id": f"{identifier}/painting",
        "type": "Annotation",
        "motivation": "painting",
        "body": {"type": "Choice", "items": [scan, color]} if scan else color,
        "target": identifier,
    }
    canvas["items"] = [{"id": f"{identifier}/annotations", "type": "AnnotationPage", "items": [annotation]}]
    return canvas


def _scan(row: dict, site: Site) -> dict | None:
    key, page, label = row["key"], row["page"], "Original scan"
    if site.image_service and (page == 0 or "{page}" in site.image_service):
        return _served(site.image_service, key, page, row, label)
    media_type = MEDIA_TYPES.get(row["source_format"])
    return None if page or media_type in HIDDEN else _image(f"{site.originals}/{quote(key)}", media_type, row, label)


def _derivative(row: dict, site: Site) -> dict | None:
    key, label = row["output_key"], "Colorized by machine"
    if site.color_image_service:
        return _served(site.color_image_service, key, 0, row, label)
    media_type = mimetypes.guess_type(key)[0]
    return None if media_type in HIDDEN else _image(f"{site.base}/{quote(key)}", media_type, row, label)


def _served(template: str, key: str, page: int, row: dict, label: str) -> dict:
    service = template.replace("{key}", quote(key, safe="")).replace("{page}", str(page + 1))
    image = _image(f"{service}/full/max/0/default.jpg", "image/jpeg", row, label)
    return image | {"service": [{"id": service, "type": "ImageService3", "profile": "level1"}]}


def _image(address: str, media_type: str | None, row: dict, label: str) -> dict:
    size = {"width": row["width"], "height": row["height"]}
    return {"id": address, "type": "Image", "label": {"en": [label]}, "format": media_type, **size}


def _model(row: dict) -> str:
    return f"{row['model']}, weights SHA-256 {row['model_digest']}"


def _pair(label: str, *values: str) -> dict:
    return {"label": {"en": [label]}, "value": {"none": list(values)}}

"""Content Credentials (C2PA): a signed manifest in a copy of a derivative that says what it was made from, and how.

Actions are those of the C2PA specification for an edited asset: ``c2pa.opened`` with the scan as parent ingredient,
then ``c2pa.edited`` with the derivative's own digital source type. The scan is not read again: the SHA-256 in its
record stands as the ingredient's instance ID, in the form that the derivative's XMP has too.
"""

from __future__ import annotations

import io
import mimetypes
from pathlib import Path
from typing import Any

from PIL import Image

from colorize_core import __version__, xmp
from colorize_core.iiif import MEDIA_TYPES
from colorize_core.provenance import SOURCE_TYPES, read_metadata

CREATED = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPES[0]}  # all that a trial states
SETTINGS = {
    "builder": {
        "thumbnail": {"enabled": False},  # half a megabyte that shows what the picture shows
        "created_assertion_labels": ["c2pa.actions", "c2pa.ingredient"],  # the signer vouches for these
    },
    "verify": {"remote_manifest_fetch": False},
}


class CannotSign(Exception):
    """A key or a derivative that cannot be used, or a missing package; the message says what to do."""


class Notary:
    """Signs copies of derivatives with one key. Serves several threads."""

    def __init__(self, certificate: Path, key: Path, algorithm: str = "es256", timestamp_url: str | None = None):
        """Read the key and try it.

        certificate: PEM file of the chain, the signer's own first. key: PEM file, unencrypted PKCS #8. algorithm:
        es256, es384, es512, ps256, ps384, ps512 or ed25519. timestamp_url: an RFC 3161 authority, asked for every
        signature; without one nothing goes over the network. Raises CannotSign.
        """
        try:
            import c2pa
        except ImportError as error:
            message = f"signing needs the package c2pa-python ({error}): pip install 'autochrome-archive[sign]'"
            raise CannotSign(message) from None
        self._c2pa = c2pa
        try:
            info = c2pa.C2paSignerInfo(algorithm, certificate.read_bytes(), key.read_bytes(), timestamp_url)
            signer = c2pa.Signer.from_info(info)
            self._context = c2pa.Context(c2pa.Settings.from_dict(SETTINGS), signer)
            with io.BytesIO() as trial, io.BytesIO() as signed:
                Image.new("L", (1, 1)).save(trial, "PNG")
                self._builder(_manifest("trial", [], [CREATED])).sign("image/png", trial, signed)
        except OSError as error:
            raise CannotSign(f"{error.filename} cannot be read: {error.strerror}") from error
        except (c2pa.C2paError, ValueError) as error:
            asked = f" with a time stamp of {timestamp_url}" if timestamp_url else ""
            raise CannotSign(
                f"{certificate} and {key} do not sign as {algorithm}{asked} ({_line(error)}); give the chain with the "
                "signer's certificate first, and the key that belongs to it, PKCS #8 without a passphrase"
            ) from error

    def sign(self, row: dict, source: Path, target: Path) -> None:
        """Write a signed copy of the derivative ``source`` that a record, as a dict, describes.

        Raises CannotSign where the derivative or its record lacks what the manifest states.
        """
        media_type = mimetypes.guess_type(row["output_key"])[0] or ""
        if not row["source_sha256"]:
            raise CannotSign(f"{row['output_key']}: its record lacks the SHA-256 of the scan; colorize it again")
        manifest = describe(row, _label(row["output_key"], source, media_type))
        try:
            with open(source, "rb") as unsigned, open(target, "w+b") as signed:
                self._builder(manifest).sign(media_type, unsigned, signed)
        except self._c2pa.C2paError as error:
            raise CannotSign(f"{row['output_key']} was not signed: {_line(error)}") from error

    def _builder(self, manifest: dict) -> Any:
        return self._c2pa.Builder(manifest, self._context)


def describe(row: dict, digital_source_type: str) -> dict:
    """The manifest of a derivative, of its record as a dict, for c2pa's Builder."""
    page = f", page {row['page'] + 1}" if row["page"] else ""
    scan = {
        "label": "scan",
        "relationship": "parentOf",
        "title": row["key"] + page,
        "format": MEDIA_TYPES.get(row["source_format"], "application/octet-stream"),
        "instance_id": f"sha256:{row['source_sha256']}",
    }
    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": digital_source_type,
        "softwareAgent": {"name": row["model"], "version": f"sha256:{row['model_digest']}"},
        "when": row["finished_at"].isoformat(timespec="seconds"),
        "description": "Colors proposed by a model",
    }
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["scan"]}}
    return _manifest(row["output_key"].rpartition("/")[2], [scan], [opened, edited])


def _manifest(title: str, ingredients: list[dict], actions: list[dict]) -> dict:
    return {
        "claim_generator_info": [{"name": "Autochrome", "version": __version__}],
        "title": title,
        "ingredients": ingredients,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _label(key: str, path: Path, media_type: str) -> str:
    """The digital source type that the derivative itself states. Raises CannotSign."""
    found = read_metadata(path, media_type.rpartition("/")[2]).xmp
    label = xmp.Packet(found).get(f"{{{xmp.IPTC_EXT}}}DigitalSourceType") if found else None
    if label not in SOURCE_TYPES:
        raise CannotSign(f"{key} does not say that a machine colored it; colorize it again")
    return label

"""Signed copies: valid by C2PA's own reader, made once, and nothing else touched."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from outputs import record, write_records
from PIL import Image

from colorize_core.derivative import Encoding, encode
from colorize_core.provenance import SOURCE_TYPES, Label, Metadata, derive
from colorize_core.signatures import read_signatures, signed_key
from colorize_core.storage import Store
from jobs.sign import main

SCAN = "cd" * 32


@pytest.fixture
def c2pa():
    return pytest.importorskip("c2pa", reason="pip install c2pa-python")


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """A folder with chain.pem and key.pem as an archive gets them, and other.pem, a key that is not of that chain."""
    x509 = pytest.importorskip("cryptography.x509", reason="pip install cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now, folder = datetime.now(UTC), tmp_path_factory.mktemp("keys")
    root, signer, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

    def name(common: str):
        return x509.Name(
            [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "An archive"),
             x509.NameAttribute(x509.NameOID.COMMON_NAME, common)]
        )  # fmt: skip

    def certificate(common: str, key, issuer: str, *extensions) -> bytes:
        builder = x509.CertificateBuilder(
            name(issuer), name(common), key.public_key(), x509.random_serial_number(),
            now - timedelta(days=1), now + timedelta(days=1),
        )  # fmt: skip
        identifiers = [
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()),
        ]
        for extension in [*identifiers, *extensions]:
            critical = isinstance(extension, x509.KeyUsage | x509.BasicConstraints)
            builder = builder.add_extension(extension, critical)
        return builder.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def usage(**used: bool):
        names = (
            "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign "
            "crl_sign encipher_only decipher_only"
        )
        return x509.KeyUsage(**{use: used.get(use, False) for use in names.split()})

    chain = certificate(
        "Scan desk", signer, "Root", usage(digital_signature=True), x509.BasicConstraints(False, None),
        x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]),
    )  # fmt: skip
    chain += certificate("Root", root, "Root", usage(key_cert_sign=True), x509.BasicConstraints(True, None))
    (folder / "chain.pem").write_bytes(chain)
    for key, file in ((signer, "key.pem"), (other, "other.pem")):
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        (folder / file).write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return folder


def photo(store: Store, name: str, seed: int = 0, label: Label | None = None, **values):
    """Store a derivative as jobs write it; gives its record."""
    format = {"jpg": "jpeg", "png": "png", "tif": "tiff"}[name.rpartition(".")[2]]
    rgb = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    path = Path(store.root.removeprefix("file://")).parent / "derivative"
    metadata = derive(Metadata(), label or Label(), 60, 40, name, SCAN)
    encode(path, iter([rgb]), 60, 40, 8, Encoding(format), metadata)
    store.put(f"photos/{name}", path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return record(
        name.rpartition(".")[0], output_key=f"photos/{name}", output_sha256=sha256, source_sha256=SCAN,
        source_format="TIFF", model="autochrome", model_digest="ab" * 32, width=60, height=40, **values,
    )  # fmt: skip


def sign(store: Store, keys: Path, *more: str) -> int:
    return main([store.root, "--certificate", f"{keys}/chain.pem", "--key", f"{keys}/key.pem", *more])


def read(c2pa, store: Store, key: str) -> tuple[dict, set[str]]:
    """The manifest of a signed copy, and what its reader has against it."""
    kind = {"jpg": "image/jpeg", "png": "image/png", "tif": "image/tiff"}[key.rpartition(".")[2]]
    reader = c2pa.Reader(kind, io.BytesIO(store.read(key)))
    return reader.get_active_manifest(), {
        f["code"] for f in reader.get_validation_results()["activeManifest"]["failure"]
    }


def contents(store: Store, prefix: str) -> dict[str, bytes]:
    return {entry.key: store.read(entry.key) for entry in store.list(prefix)}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "color out"))


def test_copies_of_every_format_are_signed_and_derivatives_stay_as_they_are(store, keys, c2pa, capfd):
    names = ["box 1/a.tif.jpg", "b.png.png", "c.tif.tif", "d.tif.page-2.jpg"]
    enhanced = Label(SOURCE_TYPES[1])
    records = [photo(store, name, i, enhanced if i == 2 else None) for i, name in enumerate(names)]
    records[3].key, records[3].page = "d.tif", 1
    write_records(store, [*records, record("e.tif", status="rejected")])
    before = contents(store, "photos/")
    assert sign(store, keys) == 0
    assert "4 signed, 0 were signed before, 0 could not be signed" in capfd.readouterr().out
    assert contents(store, "photos/") == before
    assert set(contents(store, "signed/")) == {f"signed/{name}" for name in names}
    for name, row in zip(names, records, strict=True):
        manifest, failures = read(c2pa, store, f"signed/{name}")
        assert failures == {"signingCredential.untrusted"}
        assert manifest["title"] == name.rpartition("/")[2]
        (scan,) = manifest["ingredients"]
        assert (scan["relationship"], scan["instance_id"]) == ("parentOf", f"sha256:{SCAN}")
        assert (scan["title"], scan["format"]) == (row.key + ", page 2" * row.page, "image/tiff")
        (actions,) = (a["data"]["actions"] for a in manifest["assertions"] if a["label"].startswith("c2pa.actions"))
        opened, edited = actions
        assert opened["action"] == "c2pa.opened" and scan["label"] in opened["parameters"]["ingredients"][0]["url"]
        assert edited["action"] == "c2pa.edited"
        assert edited["digitalSourceType"] == SOURCE_TYPES[name.startswith("c")]
        assert edited["softwareAgent"]["name"] == "autochrome" and "ab" * 32 in edited["softwareAgent"]["version"]
        copy = store.read(f"signed/{name}")
        with Image.open(io.BytesIO(copy)) as signed, Image.open(io.BytesIO(before[f"photos/{name}"])) as plain:
            assert (np.asarray(signed) == np.asarray(plain)).all()
        assert 2000 < len(copy) - len(before[f"photos/{name}"]) < 8000
    noted = {row["signed_key"]: row["signed_sha256"] for row in read_signatures(store).to_pylist()}
    assert noted == {key: hashlib.sha256(data).hexdigest() for key, data in contents(store, "signed/").items()}


def test_a_changed_copy_is_no_longer_valid(store, keys, c2pa):
    write_records(store, [photo(store, "a.jpg.jpg")])
    assert sign(store, keys) == 0
    data = bytearray(store.read("signed/a.jpg.jpg"))
    data[-40] ^= 1
    store.put("signed/a.jpg.jpg", bytes(data))
    assert "assertion.dataHash.mismatch" in read(c2pa, store, "signed/a.jpg.jpg")[1]


def test_another_run_signs_what_is_new_changed_or_gone(store, keys, c2pa, capfd):
    old = [photo(store, f"{name}.jpg.jpg", i) for i, name in enumerate("abc")]
    write_records(store, old)
    assert sign(store, keys) == 0
    first = contents(store, "signed/")
    assert sign(store, keys) == 0
    assert "0 signed, 3 were signed before" in capfd.readouterr().out
    assert contents(store, "signed/") == first

    again = {"attempt": 2, "recipe": "s" * 16, "finished_at": old[0].finished_at + timedelta(hours=1)}
    write_records(store, [photo(store, "a.jpg.jpg", 7, **again), photo(store, "d.jpg.jpg", 8)], "part-1")
    store.delete("signed/b.jpg.jpg")
    assert sign(store, keys) == 0
    assert "3 signed, 1 were signed before" in capfd.readouterr().out
    second = contents(store, "signed/")
    assert {key for key in second if second[key] != first.get(key)} == {f"signed/{n}.jpg.jpg" for n in "abd"}

    photo(store, "a.jpg.jpg", 0)
    back = dataclasses.replace(old[0], attempt=3, finished_at=old[0].finished_at + timedelta(hours=2))
    write_records(store, [back], "part-2")
    assert sign(store, keys) == 0
    assert "1 signed, 3 were signed before" in capfd.readouterr().out


def test_what_cannot_be_signed_is_named_and_does_not_stop_the_others(store, keys, c2pa, capfd):
    rows = [photo(store, f"{name}.jpg.jpg", i) for i, name in enumerate("abcde")]
    store.put("photos/a.jpg.jpg", b"not what was recorded")
    store.delete("photos/b.jpg.jpg")
    rows[2].source_sha256 = None
    Image.new("RGB", (9, 9)).save(plain := io.BytesIO(), "JPEG")
    store.put("photos/d.jpg.jpg", plain.getvalue())
    rows[3].output_sha256 = hashlib.sha256(plain.getvalue()).hexdigest()
    write_records(store, rows)
    assert sign(store, keys) == 3
    said = capfd.readouterr()
    assert "1 signed, 0 were signed before, 4 could not be signed" in said.out
    assert "photos/a.jpg.jpg is not the file that its record tells of" in said.err
    assert "photos/b.jpg.jpg" in said.err
    assert "photos/c.jpg.jpg: its record lacks the SHA-256 of the scan" in said.err
    assert "photos/d.jpg.jpg does not say that a machine colored it" in said.err
    assert set(contents(store, "signed/")) == {"signed/e.jpg.jpg"}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--key", "{keys}/other.pem"], "do not sign as es256"),
        (["--key", "{keys}/chain.pem"], "do not sign as es256"),
        (["--key", "{keys}/none.pem"], "none.pem cannot be read"),
        (["--certificate", "{keys}/key.pem"], "do not sign as es256"),
        (["--algorithm", "ps256"], "do not sign as ps256"),
        (["--timestamp-url", "http://127.0.0.1:9/"], "with a time stamp of http://127.0.0.1:9/"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_before_any_work(store, keys, c2pa, capfd, arguments, words):
    write_records(store, [photo(store, "a.jpg.jpg")])
    assert sign(store, keys, *(argument.format(keys=keys) for argument in arguments)) == 2
    said = capfd.readouterr()
    assert words in said.err and said.err.count("\n") == 1
    for secret in ("key.pem", "other.pem"):
        assert not any(line in said.out + said.err for line in (keys / secret).read_text().split("\n")[1:-2])
    assert not contents(store, "sign")


def test_the_private_key_is_in_no_file_that_is_written(store, keys, c2pa, capfd):
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    write_records(store, [photo(store, "a.jpg.jpg")])
    assert sign(store, keys) == 0
    pem = (keys / "key.pem").read_bytes()
    secret = load_pem_private_key(pem, None).private_numbers().private_value.to_bytes(32, "big")
    said = capfd.readouterr()
    everything = [*contents(store, "").values(), said.out.encode(), said.err.encode()]
    assert len(everything) == 6
    assert not any(secret in data or line in data for data in everything for line in pem.split(b"\n")[1:-2])


def test_without_the_package_the_command_to_install_it_is_said(store, keys, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert sign(store, keys) == 2
    assert "pip install 'autochrome-archive[sign]'" in capfd.readouterr().err


def test_a_folder_that_no_job_wrote_is_impossible(store, keys, c2pa, capfd):
    store.put("notes.txt", b"")
    assert sign(store, keys) == 2
    assert "name the folder that was the job's second argument" in capfd.readouterr().err
    store.put("records/run=r1/a.parquet", b"junk")
    assert sign(store, keys) == 2


def test_signed_copies_have_the_names_of_derivatives():
    assert signed_key("photos/box 1/photos/a.jpg.jpg") == "signed/box 1/photos/a.jpg.jpg"

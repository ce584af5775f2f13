"""S3, with an emulated and a real server, through a proxy that misbehaves."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import threading
import time
import tracemalloc
import uuid
from collections.abc import Iterator

import pytest
from faultproxy import FaultProxy, Rule

from colorize_core import storage
from colorize_core.places import bucket
from colorize_core.storage import AccessDenied, Damaged, Entry, NotFound, StorageError, Store

BODY = bytes(range(256)) * 1200  # about 300 KB


@pytest.fixture(params=["moto_s3", pytest.param("radosgw", marks=pytest.mark.real_s3)])
def server(request, monkeypatch):
    server = request.getfixturevalue(request.param)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(storage, "BACKOFF", 0.01)
    return server


@pytest.fixture
def root(server) -> str:
    return server.make_bucket(f"b-{uuid.uuid4()}")


@pytest.fixture
def proxy(server, monkeypatch) -> Iterator[FaultProxy]:
    with FaultProxy(*server.address) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


FAULTS = {
    "slow down": Rule("status"),
    "too many": Rule("status", status=429, code="TooManyRequests"),
    "internal": Rule("status", status=500, code="InternalError"),
    "unreadable": Rule("status", status=502, code="<<<"),
    "reset": Rule("reset"),
    "hang": Rule("hang"),
    "cut": Rule("truncate", at=100),
    "cut hard": Rule("truncate", at=100, abort=True),
    "corrupt": Rule("corrupt", at=120),
    "done but lost": Rule("commit_then_reset"),
}


def hit(rule: Rule, method: str, path: str = "", nth: tuple[int, ...] = ()) -> Rule:
    return Rule(**(vars(rule) | {"method": method, "path": path, "nth": nth}))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_goes_unnoticed(fault, root, proxy, tmp_path):
    store = Store(root, timeout=0.5)
    store.put("dir/photo.tif", BODY)
    rule = FAULTS[fault]
    proxy.set_rules([hit(rule, "GET", "photo.tif", (1, 2))])
    entry = Entry("dir/photo.tif", len(BODY), hashlib.md5(BODY).hexdigest())
    assert store.fetch(entry, tmp_path / "copy") == hashlib.sha256(BODY).hexdigest()
    assert (tmp_path / "copy").read_bytes() == BODY
    assert proxy.counts[rule.fault] == 2

    proxy.set_rules([hit(rule, "PUT", "other.tif", (1, 2))])
    store.put("dir/other.tif", BODY[::-1])
    assert proxy.counts[rule.fault] == 2
    assert store.read("dir/other.tif") == BODY[::-1]

    if rule.fault != "corrupt":  # nothing in a listing tells that it was altered; the next test is about that
        proxy.set_rules([hit(rule, "GET", "list-type", (1, 2))])
        assert {entry.key for entry in store.list()} == {"dir/photo.tif", "dir/other.tif"}
        assert proxy.counts[rule.fault] == 2

        if rule.fault != "truncate":  # the answer to HEAD has no body
            proxy.set_rules([hit(rule, "HEAD", "photo.tif", (1, 2))])
            assert store.stat("dir/photo.tif") == entry
            assert proxy.counts[rule.fault] == 2


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "done but lost"])
def test_a_fault_that_stays_becomes_an_error(fault, root, proxy, server, tmp_path):
    store = Store(root, attempts=2, timeout=0.5)
    store.put("photo.tif", BODY)
    entry = store.stat("photo.tif")
    rule = FAULTS[fault]
    damaged = Damaged if rule.fault in ("corrupt", "truncate") else StorageError
    proxy.set_rules([hit(rule, "GET", "photo.tif")])
    with pytest.raises(damaged, match=f"^{root}/photo.tif: .*Run again") as caught:
        store.fetch(entry, tmp_path / "copy")
    assert caught.value.retryable
    assert not (tmp_path / "copy").exists()
    assert proxy.counts[rule.fault] >= 2

    proxy.set_rules([hit(rule, "PUT", "new.tif")])
    with pytest.raises(StorageError, match=f"^{root}/new.tif: ") as caught:
        store.put("new.tif", BODY)
    assert caught.value.retryable
    assert proxy.counts[rule.fault] >= 2
    if fault != "corrupt" or server.verifies_bodies:
        assert not Store(root).exists("new.tif")

    if rule.fault != "corrupt":
        proxy.set_rules([hit(rule, "GET", "list-type")])
        with pytest.raises(StorageError) as caught:
            list(store.list())
        assert caught.value.retryable


def test_an_altered_listing_never_leads_to_wrong_bytes(root, proxy, tmp_path):
    patient, store = Store(root), Store(root, attempts=1, timeout=0.5)
    bodies = {f"photo {number}.tif": os.urandom(1000) for number in range(3)}
    for key, body in bodies.items():
        patient.put(key, body)
    length = 400 + 300 * len(bodies)
    outcomes = set()
    for at in range(0, length, 23):
        proxy.set_rules([Rule("corrupt", path="list-type", at=at)])
        try:
            for entry in store.list():
                store.fetch(entry, tmp_path / "copy")
                assert (tmp_path / "copy").read_bytes() == bodies[entry.key]
            outcomes.add("right")
        except StorageError:
            outcomes.add("refused")
    assert outcomes == {"right", "refused"}


def test_a_storm_of_faults(root, proxy, tmp_path):
    store = Store(root, attempts=12, timeout=1)
    faults = [Rule(f, probability=0.1, at=50) for f in ("status", "reset", "truncate", "corrupt", "commit_then_reset")]
    proxy.set_rules([Rule("corrupt", path="list-type", probability=0), *faults])
    bodies = {f"{number}/x": os.urandom(20_000 + number) for number in range(20)}
    for key, body in bodies.items():
        store.put(key, body)
        assert store.fetch(store.stat(key), tmp_path / "copy") == hashlib.sha256(body).hexdigest()
    assert min(proxy.counts[rule.fault] for rule in faults) > 0


def test_a_large_object_in_parts(root, proxy, monkeypatch, tmp_path):
    monkeypatch.setattr(bucket, "PART", 5 << 20)
    body = os.urandom((11 << 20) + 5)
    (tmp_path / "big").write_bytes(body)
    faults = [
        Rule("status", method="POST", nth=(1, 3)),
        Rule("corrupt", method="PUT", path="partNumber=2", nth=(1,), at=4000),
        Rule("truncate", method="PUT", path="partNumber=3", nth=(1,), at=4000),
        Rule("commit_then_reset", method="PUT", path="partNumber=1", nth=(1,)),
        Rule("commit_then_reset", method="POST", path="uploadId", nth=(1,)),
    ]
    proxy.set_rules(faults)
    store = Store(root)
    store.put("big", tmp_path / "big")
    assert proxy.counts["corrupt"] == proxy.counts["truncate"] == 1
    assert proxy.counts["commit_then_reset"] == 2
    entry = store.stat("big")
    assert entry.etag.endswith("-3") and entry.size == len(body)
    assert store.fetch(entry, tmp_path / "copy") == hashlib.sha256(body).hexdigest()


def test_a_large_object_that_fails_leaves_no_upload_behind(root, proxy, server, monkeypatch):
    monkeypatch.setattr(bucket, "PART", 5 << 20)
    proxy.set_rules([Rule("status", path="partNumber=2")])
    with pytest.raises(StorageError):
        Store(root, attempts=2).put("big", bytes(6 << 20))
    assert not Store(root).exists("big")
    uploads = server.client().list_multipart_uploads(Bucket=root.removeprefix("s3://"))
    assert "Uploads" not in uploads


def test_the_wait_a_server_asks_for_is_kept(root, proxy):
    store = Store(root)
    store.put("x", b"1")
    proxy.set_rules([Rule("status", status=429, code="TooManyRequests", retry_after=1, nth=(1,))])
    begin = time.monotonic()
    assert store.read("x") == b"1"
    assert time.monotonic() - begin >= 1


def test_a_server_that_stops_reading_an_upload_is_noticed(root, proxy):
    proxy.set_rules([Rule("hang", method="PUT")])
    begin = time.monotonic()
    with pytest.raises(StorageError, match="timed out"):
        Store(root, attempts=1, timeout=0.5).put("x", bytes(30 << 20))
    assert time.monotonic() - begin < 10


def test_permanent_trouble_is_told_at_once(root, server, proxy, monkeypatch):
    proxy.set_rules([Rule("status", status=403, code="AccessDenied")])
    for call in (lambda s: s.read("x"), lambda s: s.put("x", b"1"), lambda s: list(s.list()), lambda s: s.check()):
        proxy.counts.clear()
        with pytest.raises(AccessDenied, match=f"^{root}.*permission") as caught:
            call(Store(root))
        assert not caught.value.retryable
        assert proxy.counts["requests"] == 1


def test_check_names_what_is_missing(root, server, monkeypatch):
    Store(root).check(write=True)
    with pytest.raises(NotFound, match="s3://no-such-bucket/x: the bucket does not exist. Create it"):
        Store("s3://no-such-bucket/x").check()
    with pytest.raises(NotFound, match="bucket does not exist"):
        Store("s3://no-such-bucket/x").check(write=True)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(StorageError, match="no answer from 127.0.0.1:1"):
            Store(root).check()
        patch.setenv("AWS_ENDPOINT_URL", "http://no-such-host.invalid")
        with pytest.raises(StorageError, match="no-such-host.invalid.*AWS_ENDPOINT_URL"):
            Store(root).check()
        patch.setenv("AWS_ENDPOINT_URL", "nonsense")
        with pytest.raises(StorageError, match="Correct AWS_ENDPOINT_URL"):
            Store(root).check()
        patch.setenv("AWS_ENDPOINT_URL", "http://user:hush@127.0.0.1:1")
        with pytest.raises(AccessDenied) as caught:
            Store(root).check()
        assert "hush" not in str(caught.value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(AccessDenied, match="Set AWS_ACCESS_KEY_ID"):
        Store(root).check()


@pytest.mark.real_s3
@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials_are_named_and_not_shown(radosgw, monkeypatch, variable):
    for name, value in radosgw.env.items():
        monkeypatch.setenv(name, value)
    root = radosgw.make_bucket(f"b-{uuid.uuid4()}")
    monkeypatch.setenv(variable, "hushhushhushhush")
    for call in (lambda s: s.check(), lambda s: s.read("x"), lambda s: s.put("x", b"1")):
        with pytest.raises(AccessDenied, match=variable) as caught:
            call(Store(root))
        assert "hushhush" not in str(caught.value)


@pytest.mark.parametrize("young", [False, True])
def test_rotated_keys_are_read_again(moto_s3, monkeypatch, tmp_path, young):
    """... from the file that holds them; but a connection refused from its start is not made twice."""
    keys = tmp_path / "credentials"

    def rotate(key: str) -> None:
        keys.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = hush\n")

    with FaultProxy(*moto_s3.address) as proxy:
        for name, value in moto_s3.env.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
        monkeypatch.setattr(bucket, "RENEWAL", 60 if young else 0)
        rotate("AKIAOLD")
        root = moto_s3.make_bucket(f"b-{uuid.uuid4()}")
        store = Store(root, attempts=1)
        store.put("a", b"before")
        proxy.set_rules([Rule("status", header="Credential=AKIAOLD", status=403, code="InvalidAccessKeyId")])
        rotate("AKIANEW")
        if young:
            with pytest.raises(AccessDenied):
                store.put("a", b"after")
        else:
            store.put("a", b"after")
            assert store.read("a") == b"after" and proxy.counts["status"] == 1


def test_odd_keys_come_back_exactly(root, server, tmp_path):
    odd = ["a//b", "a/../b", "a/./b", "/lead", "x y+z%20é", "e\u0301", "q?x#y&z=1", "a&b<c>\"'", "tab\tx", "~t", "日本"]
    client = server.client()
    for key in [*odd, "dir/", "dir/full/"]:
        client.put_object(Bucket=root[5:], Key=f"pre/{key}", Body=b"" if key == "dir/" else key.encode())
    client.put_object(Bucket=root[5:], Key="prefix-neighbor", Body=b"1")
    entries = list(Store(root + "/pre").list())
    assert {entry.key for entry in entries} == {*odd, "dir/full/"}
    for entry in entries:
        Store(root + "/pre").fetch(entry, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == entry.key.encode()


def test_a_long_listing_is_paged_through(root, proxy, server):
    names = {f"{number:05}" for number in range(2500)}
    server.fill(root[5:], names)
    store = Store(root)
    proxy.set_rules([Rule("reset", path="continuation-token", nth=(1,))])
    assert {entry.key for entry in store.list()} == names
    assert proxy.counts == {"requests": 4, "reset": 1}


def test_a_listing_does_not_grow_in_memory(monkeypatch):
    place = Store("s3://bucket")._place
    item = {"Size": 1, "ETag": '"x"'}
    pages = ({"Contents": [item | {"Key": f"{page}/{n}"} for n in range(1000)]} for page in range(50))

    def next_page(query: dict[str, str]) -> dict:
        page = next(pages)
        return page | ({} if page["Contents"][0]["Key"].startswith("49/") else {"NextContinuationToken": "more"})

    monkeypatch.setattr(place, "_page", next_page)
    tracemalloc.start()
    assert sum(1 for _ in place.list("", lambda call: call())) == 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_a_garbled_answer_does_not_wait_for_good(moto_s3, monkeypatch):
    head, body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"\xce5\r\n<xml>\r\n0\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.recv(1 << 16)
            connection.sendall(head)
            time.sleep(0.1)  # only a bad chunk that comes apart from the head makes the client wait
            connection.sendall(body)
            connection.recv(1)
            connection.close()

        threading.Thread(target=serve, daemon=True).start()
        for name, value in moto_s3.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(StorageError) as caught:
            list(Store("s3://bucket", attempts=1, timeout=0.3).list())
        assert caught.value.retryable


class PartServer(http.server.BaseHTTPRequestHandler):
    """One object written in parts of unequal size, given part by part as S3 documents it. Moto and old Ceph do not."""

    parts = [bytes([65 + n]) * size for n, size in enumerate((70_000, 90_000, 10))]
    damage = 0

    def do_GET(self):
        number = int(self.path.partition("partNumber=")[2].partition("&")[0])
        body = bytearray(self.parts[number - 1])
        if number == 2 and type(self).damage:
            type(self).damage -= 1
            body[1000] ^= 1
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.etag()}"')
        self.send_header("x-amz-mp-parts-count", str(len(self.parts)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    @classmethod
    def etag(cls) -> str:
        return f"{hashlib.md5(b''.join(hashlib.md5(part).digest() for part in cls.parts)).hexdigest()}-{len(cls.parts)}"


@pytest.mark.parametrize(("damage", "right"), [(0, True), (1, True), (100, False)])
def test_an_object_in_parts_is_checked_part_by_part(moto_s3, monkeypatch, tmp_path, damage, right):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), PartServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(storage, "BACKOFF", 0.01)
    monkeypatch.setattr(PartServer, "damage", damage)
    whole = b"".join(PartServer.parts)
    entry = Entry("x", len(whole), PartServer.etag())
    try:
        if right:
            assert Store("s3://bucket").fetch(entry, tmp_path / "copy") == hashlib.sha256(whole).hexdigest()
        else:
            with pytest.raises(Damaged):
                Store("s3://bucket", attempts=3).fetch(entry, tmp_path / "copy")
    finally:
        server.shutdown()
        server.server_close()


def test_a_store_works_again_after_a_fork(root):
    store = Store(root)
    store.put("x", b"1")
    child = os.fork()
    if child == 0:
        os._exit(0 if store.read("x") == b"1" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

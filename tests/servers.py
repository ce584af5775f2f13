"""Servers for tests: moto, which emulates S3 in this process, and a Ceph radosgw, which is the real thing."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore.config import Config

ACCESS_KEY = "AKIATESTTESTTESTTEST"
SECRET_KEY = "not/a/secret/only/for/tests/0123456789AB"


@dataclass(frozen=True)
class S3Server:
    """endpoint: its URL. verifies_bodies: whether it refuses a body that does not match its Content-MD5."""

    endpoint: str
    verifies_bodies: bool = True

    @property
    def env(self) -> dict[str, str]:
        """The variables that lead a client here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.endpoint.removeprefix("http://").split(":")
        return host, int(port)

    def client(self):
        """A plain botocore client, to look at the server past the code under test."""
        return _client(self.endpoint)

    def make_bucket(self, name: str) -> str:
        """Make a bucket and return its s3:// address."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def fill(self, bucket: str, keys: Iterable[str]) -> None:
        """Store an empty object under every key, quickly."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: self.client().put_object(Bucket=bucket, Key=key), keys))


class MotoServer(S3Server):
    def fill(self, bucket: str, keys: Iterable[str]) -> None:
        from moto.s3.models import s3_backends

        (account,) = s3_backends
        for key in keys:
            s3_backends[account]["aws"].put_object(bucket, key, b"")


@cache
def _client(endpoint: str):
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )


@contextmanager
def moto_s3() -> Iterator[S3Server]:
    """An emulated S3. It checks neither signatures nor checksums."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield MotoServer("http://{}:{}".format(*server.get_host_and_port()), verifies_bodies=False)
    finally:
        server.stop()


CEPH_TOOLS = ("ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")
CEPH_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {home}/keyring
run dir = {home}
pid file = {home}/$name.pid
log file = {home}/$name.log
admin socket = {home}/$name.asok
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 500
mon data avail crit = 1
[mon.a]
mon data = {home}/mon
[osd]
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
[client.rgw]
rgw data = {home}/rgw
rgw frontends = beast endpoint=127.0.0.1:{s3}
rgw enable usage log = false
rgw enable ops log = false
rgw override bucket index max shards = 1
rgw dynamic resharding = false
"""


@contextmanager
def radosgw() -> Iterator[S3Server]:
    """A Ceph object gateway over one monitor and one in-memory disk, all on loopback; ready in about 12 seconds."""
    if missing := [tool for tool in CEPH_TOOLS if not shutil.which(tool)]:
        pytest.skip(f"no Ceph here: {', '.join(missing)} not found (packages radosgw, ceph-mon, ceph-osd)")
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="radosgw-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        for folder in ("mon", "osd", "rgw"):
            (home / folder).mkdir()
        mon1, mon2, s3 = free_ports(3)
        fsid = str(uuid.uuid4())
        conf, keyring = home / "ceph.conf", str(home / "keyring")
        conf.write_text(CEPH_CONF.format(home=home, fsid=fsid, mon1=mon1, mon2=mon2, s3=s3))

        def run(*command: str) -> None:
            environment = os.environ | {"CEPH_CONF": str(conf)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)}: {done.stderr}")

        def start(*command: str) -> subprocess.Popen:
            with open(home / f"{command[0]}.out", "wb") as output:
                process = subprocess.Popen([*command, "-c", str(conf), "-f"], stdout=output, stderr=output)
            stack.callback(_stop, process)
            return process

        allow = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
        run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *allow, "--cap", "mgr", "allow *")
        run("ceph-authtool", keyring, "--gen-key", "-n", "client.rgw", *allow)
        run("ceph-authtool", keyring, "--gen-key", "-n", "osd.0", "--cap", "mon", "allow profile osd", *allow[3:])
        monmap, where = str(home / "monmap"), f"[v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]"
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", where, monmap)
        run("ceph-mon", "-c", str(conf), "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
        start("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        run("ceph", "osd", "new", osd)
        run("ceph-osd", "-c", str(conf), "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", "-i", "0")
        user = ("--uid=test", "--display-name=test", f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")
        run("radosgw-admin", "-c", str(conf), "user", "create", *user)
        gateway = start("radosgw", "-n", "client.rgw")
        wait_for_port(s3, gateway)
        yield S3Server(f"http://127.0.0.1:{s3}")


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in sockets]


def wait_for_port(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args[0]} does not listen on port {port}")


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

from __future__ import annotations

import pytest
from scrapy import Request
from scrapy.exceptions import CannotResolveHostError
from twisted.internet.address import IPv4Address, IPv6Address

from crawler.addresses import Addresses, PrivateAddress, _Resolver, is_public

PUBLIC = ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
PRIVATE = [
    "127.0.0.1", "127.255.0.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "198.18.0.1", "224.0.0.251", "232.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::1",
    "2001:0:1:2:3:4:f5ff:fffe",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address):
    assert not is_public(address)


class Changing:
    """A resolver whose answer to the same question changes: a name that is bound again."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def resolveHostName(self, receiver, name, port=0, types=None, semantics="TCP"):
        receiver.resolutionBegan(None)
        for address in self.answers.pop(0):
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, port))
        receiver.resolutionComplete()


class Receiver:
    def __init__(self):
        self.addresses, self.complete = [], False

    def resolutionBegan(self, resolution):
        pass

    def addressResolved(self, address):
        self.addresses.append(address.host)

    def resolutionComplete(self):
        self.complete = True


def resolve(resolver: _Resolver, host: str, port: int) -> list[str]:
    receiver = Receiver()
    resolver.resolveHostName(receiver, host, port)
    assert receiver.complete
    return receiver.addresses


def test_the_address_that_is_used_is_the_one_that_was_checked():
    addresses = Addresses([])
    resolver = _Resolver(Changing(["8.8.8.8"], ["10.0.0.1"], ["127.0.0.1", "8.8.4.4", "::1"]), addresses)
    assert resolve(resolver, "example.org", 80) == ["8.8.8.8"]
    addresses.process_exception(Request("http://example.org/"), CannotResolveHostError())
    assert resolve(resolver, "example.org", 80) == []
    with pytest.raises(PrivateAddress, match="example.org has a private address"):
        addresses.process_exception(Request("http://Example.org./"), CannotResolveHostError())
    assert resolve(resolver, "example.org", 80) == ["8.8.4.4"]


def test_private_hosts_are_trusted_by_name_and_port():
    addresses = Addresses(["Intranet.example.org:8080", "[::1]:80"])
    resolver = _Resolver(Changing(*[["10.0.0.1"]] * 3, ["::1"]), addresses)
    assert resolve(resolver, "intranet.example.org", 8080) == ["10.0.0.1"]
    assert resolve(resolver, "intranet.example.org", 80) == []
    assert resolve(resolver, "other.example.org", 8080) == []
    assert resolve(resolver, "::1", 80) == ["::1"]


@pytest.mark.parametrize("name", ["intranet", "intranet:http", ":80", "http://intranet"])
def test_private_hosts_want_a_port(name):
    with pytest.raises(ValueError, match="host:port"):
        Addresses([name])

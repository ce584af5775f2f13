"""Addresses that may be visited: public ones, and those private ones that were named beforehand."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import CannotResolveHostError, IgnoreRequest
from scrapy.utils.httpobj import urlparse_cached
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

NAT64 = [ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48")]
PORTS = {"http": 80, "https": 443}

log = logging.getLogger(__name__)


class PrivateAddress(IgnoreRequest):
    """A request that would have gone to a private address."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet at large; an IPv4 address inside an IPv6 one is what counts."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if any(ip in network for network in NAT64):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


class Addresses:
    """A downloader middleware that stands between Scrapy and the resolution of names.

    Every connection, of a robots.txt or a redirect too, begins with a resolution, an IP literal in any notation
    included, and goes to what that returned; so what is checked here is what is connected to.
    """

    def __init__(self, private_hosts: Iterable[str]):
        self.private_hosts = {_host_port(name) for name in private_hosts}
        self.refused: set[tuple[str, int]] = set()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Addresses:
        from twisted.internet import reactor

        addresses = cls(crawler.settings.getlist("PRIVATE_HOSTS"))
        reactor.installNameResolver(_Resolver(reactor.nameResolver, addresses))
        return addresses

    def allows(self, host: str, port: int, address: str) -> bool:
        """Whether a connection to a host may go to this address of it. A refusal is remembered."""
        host = _normal(host)
        if (host, port) in self.private_hosts or is_public(address):
            return True
        if (host, port) not in self.refused:
            self.refused.add((host, port))
            log.warning(
                "no request goes to %s: its address %s is private; if it is meant, set PRIVATE_HOSTS=%s",
                host, address, f"{host}:{port}",
            )  # fmt: skip
        return False

    def process_exception(self, request: Request, exception: Exception) -> None:
        if isinstance(exception, CannotResolveHostError):
            url = urlparse_cached(request)
            host, port = _normal(url.hostname or ""), url.port or PORTS.get(url.scheme, 0)
            if (host, port) in self.refused:
                raise PrivateAddress(f"{host} has a private address and is not one of PRIVATE_HOSTS")


@implementer(IHostnameResolver)
class _Resolver:
    def __init__(self, inner: Any, addresses: Addresses):
        self.inner, self.addresses = inner, addresses

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        receiver = _Receiver(resolutionReceiver, hostName, portNumber, self.addresses)
        return self.inner.resolveHostName(receiver, hostName, portNumber, addressTypes, transportSemantics)


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self, inner: Any, host: str, port: int, addresses: Addresses):
        self.inner, self.host, self.port, self.addresses = inner, host, port, addresses

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self.inner.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: Any) -> None:
        if self.addresses.allows(self.host, self.port, address.host):
            self.inner.addressResolved(address)

    def resolutionComplete(self) -> None:
        self.inner.resolutionComplete()


def _host_port(name: str) -> tuple[str, int]:
    host, _, port = name.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"PRIVATE_HOSTS wants host:port, such as intranet.example.org:80, not {name!r}")
    return _normal(host), int(port)


def _normal(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()

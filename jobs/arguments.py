"""Arguments that several jobs share, for argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from jobs.runlog import allowed_failures


def bound(text: str) -> str:
    """What bounds failures, ``20`` or ``1%``, as it is."""
    try:
        allowed_failures(text, 100)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a count such as 20 nor a share such as 1%") from None
    return text


def clusters(text: str) -> tuple[int, ...]:
    """``0,3``."""
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of clusters, such as 0,3") from None


def address(text: str) -> tuple[str, int]:
    """``9108``, on loopback, or ``0.0.0.0:9108``."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a port such as 9108 nor an address such as 0.0.0.0:9108")
    return host or "127.0.0.1", int(port)


def words(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """A list such as ``flip,sizes`` of known words; gives them once each, in the order in which they are known."""

    def parse(text: str) -> tuple[str, ...]:
        given = {word.strip() for word in text.split(",")}
        if unknown := sorted(given - set(known)):
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return tuple(word for word in known if word in given)

    return parse
